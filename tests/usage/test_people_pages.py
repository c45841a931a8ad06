"""Owners and admins at the pages of people, limits and tokens."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from plans import seats
from plans.models import PolicyRule, RuleKey
from tenants import tokens
from tenants.models import ATIToken, Role, TokenStatus, User, UserStatus
from tests.cast import Company, make_tenant
from tests.enforcement.api import Api
from tests.usage.pages import browser, spend, words

PEOPLE, LIMITS, TOKENS = "/t/ACME/people/", "/t/ACME/people/limits/", "/t/ACME/tokens/"


@pytest.fixture
def owner(acme: Company) -> Client:
    return browser(acme.owner.user)


def person_page(person: User) -> str:
    return f"{PEOPLE}{person.pk}/"


def said_after(client: Client, path: str, sent: dict[str, Any], status: int = 302) -> str:
    """Posts a form and tells what the page then says."""
    response = client.post(path, sent)
    assert response.status_code == status, response.content
    if status == 302:
        response = client.get(response["Location"])
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def test_everybody_is_listed_with_role_and_usage(acme: Company, owner: Client, svc: str) -> None:
    me = acme.people[0].user
    spend(Api(svc), "ACME", user=str(me.pk))
    said = words(owner, PEOPLE)
    assert "3 of 25 seats taken" in said
    assert re.search(r"user1@acme.example Analyst Active never 1 0\.01", said)
    assert "owner@acme.example Owner Active" in said


def test_people_are_found_by_name_or_address_and_paged(acme: Company, owner: Client) -> None:
    User.objects.bulk_create(
        User(email=f"p{number:03}@acme.example", name=f"Person {number}", tenant=acme.tenant) for number in range(60)
    )
    assert "Page 1 of 2" in words(owner, PEOPLE)
    said = words(owner, PEOPLE, {"q": "PERSON 59"})
    assert "p059@acme.example" in said
    assert "p058@acme.example" not in said
    assert "Nobody's name or e-mail has “zzz” in it." in words(owner, PEOPLE, {"q": "zzz"}).replace("&#x27;", "'")
    assert owner.get(PEOPLE, {"q": "\x00", "page": "-7"}).status_code == 200


def test_a_role_is_given_and_on_record(acme: Company, owner: Client) -> None:
    person = acme.people[0].user
    said = said_after(owner, person_page(person), {"role": "MANAGER", "is_shown_all_usage": "on"})
    assert "user1@acme.example is now manager, and shown everybody’s usage." in said
    person.refresh_from_db()
    assert (person.role, person.is_shown_all_usage) == (Role.MANAGER, True)
    assert LogEntry.objects.get().user == acme.owner.user


def test_a_role_that_is_not_a_tenants_cannot_be_given(acme: Company, owner: Client) -> None:
    for role in ("SUPER_ADMIN", "BOSS", ""):
        assert owner.post(person_page(acme.people[0].user), {"role": role}).status_code == 422
    acme.people[0].user.refresh_from_db()
    assert acme.people[0].user.role == Role.ANALYST


def test_suspending_asks_once_and_ends_the_session(acme: Company, owner: Client) -> None:
    person = acme.people[0].user
    theirs = browser(person)
    assert theirs.get("/t/ACME/").status_code == 200
    unsure = {"status": "SUSPENDED"}
    assert "Tick the box to say that you mean it." in said_after(owner, person_page(person), unsure, 422)
    assert "user1@acme.example is now suspended." in said_after(owner, person_page(person), unsure | {"sure": "on"})
    assert theirs.get("/t/ACME/").status_code == 302
    assert "Revive" in words(owner, person_page(person))
    said_after(owner, person_page(person), {"status": "ACTIVE", "sure": "on"})
    person.refresh_from_db()
    assert person.status == UserStatus.ACTIVE


def test_a_refused_change_says_why(acme: Company, owner: Client) -> None:
    User.objects.filter(pk=acme.people[0].user.pk).update(role=Role.ADMIN)
    admin = browser(acme.people[0].user)
    said = said_after(admin, person_page(acme.owner.user), {"status": "SUSPENDED", "sure": "on"})
    assert "Only an owner changes an owner, or makes somebody one." in said
    assert "This is you." in words(owner, person_page(acme.owner.user))


def test_a_limit_is_set_shown_replaced_and_removed(acme: Company, owner: Client) -> None:
    sent = {"user_key": "u-1", "feature": "PRIOR_ART_SEARCH", "key": "USER_DAILY_QUOTA", "value": "5"}
    assert "u-1 Prior-art search 5 API calls a day" in said_after(owner, LIMITS, sent)
    assert "u-1 Prior-art search 7 API calls a day" in said_after(owner, LIMITS, sent | {"value": "7"})
    assert "Each user Prior-art search 9" in said_after(owner, LIMITS, sent | {"user_key": "", "value": "9"})
    rule = PolicyRule.objects.get(user_key="u-1")
    assert (rule.set_by_tenant, rule.value) == (True, 7)
    assert "The limit is gone." in said_after(owner, f"{LIMITS}{rule.pk}/", {})
    assert not PolicyRule.objects.filter(pk=rule.pk).exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"value": "-1"}, "greater than or equal to 0"),
        ({"value": "9" * 30}, "less than or equal to"),
        ({"value": ""}, "This field is required."),
        ({"feature": "EMBEDDINGS"}, "Select a valid choice."),
        ({"key": "DAILY_QUOTA"}, "Select a valid choice."),
        ({"user_key": "u" * 129}, "at most 128 characters"),
        ({"user_key": "u\x00"}, "Null characters are not allowed."),
    ],
)
def test_a_limit_that_cannot_be_names_the_field(acme: Company, owner: Client, wrong: dict[str, str], said: str) -> None:
    sent = {"user_key": "u-1", "feature": "PRIOR_ART_SEARCH", "key": "USER_DAILY_QUOTA", "value": "5"}
    assert said in said_after(owner, LIMITS, sent | wrong, 422)
    assert not PolicyRule.objects.filter(tenant=acme.tenant).exists()


def test_a_super_admins_rule_is_not_the_tenants_to_remove(acme: Company, owner: Client) -> None:
    rule = PolicyRule.objects.create(
        scope="USER", tenant=acme.tenant, user_key="u-1", feature_id="PRIOR_ART_SEARCH",
        key=RuleKey.USER_DAILY_QUOTA, value=1, reason="abuse",
    )  # fmt: skip
    assert owner.post(f"{LIMITS}{rule.pk}/").status_code == 404
    assert PolicyRule.objects.filter(pk=rule.pk).exists()


def issue(client: Client, **sent: str) -> Any:
    return client.post(TOKENS, {"token_id": str(uuid4()), "kind": "invitation", "max_uses": "2"} | sent)


def test_an_invitation_is_shown_once_and_signs_people_up(acme: Company, owner: Client) -> None:
    response = issue(owner, name="Spring hires")
    assert response.status_code == 200
    (text,) = set(re.findall(r"ati_[0-9a-f]{16}_[\w-]{43}", response.content.decode()))
    assert text not in owner.get(TOKENS).content.decode()
    token = ATIToken.objects.get(name="Spring hires")
    assert (token.max_uses, token.root, token.user) == (2, acme.root, None)
    joined = seats.join(text, email="new@acme.example", password="correct horse", name="", now=datetime.now(UTC))
    assert (joined.tenant, joined.role) == (acme.tenant, Role.VIEWER)
    assert "Spring hires Invitation Active" in words(owner, TOKENS)
    assert LogEntry.objects.get().change_message == "Issued: The invitation “Spring hires”."


def test_a_form_sent_twice_issues_one_token(acme: Company, owner: Client) -> None:
    once = str(uuid4())
    assert issue(owner, token_id=once).status_code == 200
    again = issue(owner, token_id=once)
    assert again.status_code == 302
    assert "This token was issued already" in words(owner, TOKENS)
    assert ATIToken.objects.filter(user=None).count() == 2
    assert LogEntry.objects.count() == 1


def test_the_id_of_another_tenants_token_gets_nobody_anything(acme: Company, rival: Company, owner: Client) -> None:
    issue(owner, token_id=str(rival.root.pk))
    rival.root.refresh_from_db()
    assert rival.root.tenant == rival.tenant
    assert ATIToken.objects.filter(tenant=acme.tenant, user=None).count() == 1


def test_a_callers_token_authenticates_that_person(acme: Company, owner: Client) -> None:
    person = acme.people[0].user
    response = issue(owner, kind="caller", user=str(person.pk), expires_on="2090-01-31")
    (text,) = set(re.findall(r"ati_[0-9a-f]{16}_[\w-]{43}", response.content.decode()))
    assert Api(text).get("/entitlements").json()["user"] == str(person.pk)
    token = ATIToken.objects.order_by("-created_at").first()
    assert token is not None
    assert token.expires_at == datetime(2090, 2, 1, tzinfo=UTC)


def test_the_record_of_a_token_has_no_name_that_an_erasure_would_leave(acme: Company, owner: Client) -> None:
    person = acme.people[0].user
    User.objects.filter(pk=person.pk).update(name="Vera Stone")
    issue(owner, kind="caller", user=str(person.pk), name="Vera's laptop")
    token = ATIToken.objects.get(name="Vera's laptop")
    assert "Vera Stone" in said_after(owner, f"{TOKENS}{token.pk}/", {"status": "SUSPENDED"})
    said = [entry.change_message for entry in LogEntry.objects.order_by("id")]
    assert said == [f"Issued: The token of {person.pk}.", f"The token of {person.pk}: suspended."]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"expires_on": "2020-01-01"}, "A day from today on, within a hundred years."),
        ({"expires_on": "9999-12-31"}, "A day from today on, within a hundred years."),
        ({"max_uses": "0"}, "greater than or equal to 1"),
        ({"name": "n" * 101}, "at most 100 characters"),
        ({"token_id": "x"}, "Enter a valid UUID."),
        ({"kind": "caller", "user": "x"}, "is not a valid"),
    ],
)
def test_a_token_that_cannot_be_names_the_field(acme: Company, owner: Client, wrong: dict[str, str], said: str) -> None:
    response = issue(owner, **wrong)
    assert response.status_code == 422
    assert said in response.content.decode()
    assert ATIToken.objects.filter(tenant=acme.tenant).count() == 4


def test_a_token_of_nobody_here_or_of_an_unknown_kind_is_not_issued(
    acme: Company, rival: Company, owner: Client
) -> None:
    assert issue(owner, kind="caller", user=str(rival.owner.user.pk)).status_code == 422
    assert issue(owner, kind="root").status_code == 404
    assert ATIToken.objects.filter(tenant=acme.tenant).count() == 4


def test_the_plan_cannot_be_chosen_or_sent(acme: Company, owner: Client) -> None:
    issue(owner, plan="ENTERPRISE", next_plan="ENTERPRISE")
    acme.root.refresh_from_db()
    assert acme.root.plan is not None
    assert (acme.root.plan.code, acme.root.next_plan) == ("PRO", None)
    assert "Pro plan" in words(owner, TOKENS)


def test_a_token_is_suspended_released_and_revoked_for_good(acme: Company, owner: Client) -> None:
    token = tokens.issue_invitation(acme.tenant, name="Spring").record
    path = f"{TOKENS}{token.pk}/"
    assert "The invitation “Spring” is now suspended." in said_after(owner, path, {"status": "SUSPENDED"})
    assert "is now active." in said_after(owner, path, {"status": "ACTIVE"})
    assert "is now revoked." in said_after(owner, path, {"status": "REVOKED"})
    assert "A revoked token stays revoked" in said_after(owner, path, {"status": "ACTIVE"})
    assert owner.post(path, {"status": "GONE"}).status_code == 404
    token.refresh_from_db()
    assert token.status == TokenStatus.REVOKED


@pytest.mark.parametrize("status", list(TokenStatus))
def test_the_root_token_is_a_super_admins_to_change(acme: Company, owner: Client, status: TokenStatus) -> None:
    ATIToken.objects.filter(pk=acme.root.pk).update(status=TokenStatus.SUSPENDED)
    assert "only a super admin changes it" in said_after(owner, f"{TOKENS}{acme.root.pk}/", {"status": status})
    acme.root.refresh_from_db()
    assert acme.root.status == TokenStatus.SUSPENDED


def test_a_full_tenant_is_told_so(db: None) -> None:
    full = make_tenant("FULL", "FREE", people=2)
    client = browser(full.owner.user)
    assert "All seats are taken" in words(client, "/t/FULL/people/")
    assert "All seats are taken" in words(client, "/t/FULL/tokens/")


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ANALYST, Role.VIEWER])
def test_nobody_else_may_look_or_change(acme: Company, role: Role) -> None:
    User.objects.filter(pk=acme.people[0].user.pk).update(role=role)
    client = browser(acme.people[0].user)
    other = acme.people[1].user
    for path in (PEOPLE, LIMITS, TOKENS, person_page(other)):
        assert client.get(path).status_code == 403
        assert client.post(path, {"role": "OWNER"}).status_code == 403
    assert client.post(f"{TOKENS}{acme.root.pk}/", {"status": "SUSPENDED"}).status_code == 403
    other.refresh_from_db()
    assert other.role == Role.ANALYST


def test_a_form_without_its_token_is_refused(acme: Company) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(acme.owner.user)
    response = client.post(TOKENS, {"kind": "invitation", "token_id": str(uuid4())})
    assert response.status_code == 403
    assert "The form was not sent" in response.content.decode()


def test_an_expired_session_leads_to_the_log_in_and_changes_nothing(acme: Company, owner: Client) -> None:
    owner.session.flush()
    response = issue(owner)
    assert (response.status_code, response["Location"].split("?")[0]) == (302, "/accounts/login/")
    assert ATIToken.objects.filter(tenant=acme.tenant).count() == 4


def test_an_address_with_nul_leads_nowhere(acme: Company, owner: Client) -> None:
    assert owner.get("/t/AC%00ME/").status_code == 404
