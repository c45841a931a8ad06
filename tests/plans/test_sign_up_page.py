"""The sign-up form: who gets in by it, and what everybody else reads beside which field."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from plans import seats
from tenants import tokens
from tenants.models import Role, Tenant, TenantStatus, TokenStatus, User
from tests import cast, throttled
from tests.console import browser, text_of
from tests.parallel import at_once

URL = "/accounts/signup/"
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
FORM = {"name": "Ann", "email": "Ann@people.example", "password": "a long and quiet road"}


@pytest.fixture(autouse=True)
def _fresh(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    throttled.forget()


def sign_up(invitation: str, client: Client | None = None, **fields: str) -> Any:
    return (client or browser()).post(URL, FORM | {"invitation": invitation} | fields)


def errors(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == HTTPStatus.OK
    found: dict[str, list[str]] = answer.context["form"].errors
    return found


def test_the_first_by_a_root_token_owns_the_tenant_and_stands_on_its_overview(db: None) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    root = tokens.issue_root(tenant, cast.plan("PRO"), starts_at=NOW - HOUR)
    client = browser()
    assert sign_up(root.text, client).headers["Location"] == "/"
    page = client.get("/", follow=True)
    assert page.redirect_chain[-1][0] == "/t/NEWCO/"
    assert "Your role is owner." in text_of(page)
    user = User.objects.get(email="ann@people.example")
    assert (user.tenant, user.role, user.name) == (tenant, Role.OWNER, "Ann")


def test_an_employee_is_a_viewer(acme: cast.Company) -> None:
    sign_up(tokens.issue_invitation(acme.tenant).text)
    assert User.objects.get(email="ann@people.example").role == Role.VIEWER


def test_a_form_sent_twice_acts_once_and_answers_alike(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1)
    first, second = sign_up(invitation.text), sign_up(invitation.text)
    assert [first.headers["Location"], second.headers["Location"]] == ["/", "/"]
    assert User.objects.filter(email="ann@people.example").count() == 1


def test_one_form_sent_by_eight_threads_at_once_acts_once(committed: None, acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1)
    answers = at_once(*[lambda: sign_up(invitation.text).headers.get("Location")] * 8)
    assert set(answers) == {"/"}
    invitation.record.refresh_from_db()
    assert (invitation.record.usage_count, User.objects.filter(email="ann@people.example").count()) == (1, 1)


def test_of_an_invitation_used_twice_at_once_one_gets_in_and_the_other_reads_why(
    committed: None, acme: cast.Company
) -> None:
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1)
    answers = at_once(
        *[lambda email=email: sign_up(invitation.text, email=email) for email in ("a@x.example", "b@x.example")]
    )
    assert sorted(answer.status_code for answer in answers) == [HTTPStatus.OK, HTTPStatus.FOUND]
    (refused,) = [answer for answer in answers if answer.status_code == HTTPStatus.OK]
    assert errors(refused) == {"invitation": ["This invitation was used as often as it allows. Ask for a new one."]}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("made up", "not an invitation we know"),
        ("somebody's token", "not an invitation we know"),
        ("expired", "has expired"),
        ("suspended", "is suspended for now"),
        ("revoked", "was withdrawn"),
        ("used up", "as often as it allows"),
        ("plan ended", "no plan in force"),
        ("tenant suspended", "organisation is suspended"),
    ],
)
def test_a_refusal_is_read_beside_the_invitation(acme: cast.Company, state: str, told: str) -> None:
    invitation = tokens.issue_invitation(
        acme.tenant, max_uses=0 if state == "used up" else None, expires_at=NOW if state == "expired" else None
    )
    text = invitation.text
    if state in ("suspended", "revoked"):
        tokens.set_status(invitation.record, TokenStatus(state.upper()))
    elif state == "made up":
        text = f"ati_{'0' * 16}_{'A' * 43}"
    elif state == "somebody's token":
        text = acme.owner.token
    elif state == "plan ended":
        tokens.end_plan(acme.root, at=NOW)
    elif state == "tenant suspended":
        acme.tenant.status = TenantStatus.SUSPENDED
        acme.tenant.save(update_fields=["status"])
    client = browser()
    answer = sign_up(text, client)
    (field,) = errors(answer).items()
    assert field[0] == "invitation"
    assert told in field[1][0]
    assert told in text_of(answer)
    assert FORM["password"] not in answer.content.decode()
    assert not User.objects.filter(email="ann@people.example").exists()
    assert client.get("/accounts/profile/").status_code == HTTPStatus.FOUND


def test_full_seats_are_a_refusal(db: None) -> None:
    full = cast.make_tenant("FULL", "FREE", people=2)
    assert seats.taken(full.tenant) == cast.plan("FREE").max_seats
    assert "All seats" in errors(sign_up(full.invitation))["invitation"][0]


def test_a_taken_address_is_told_beside_the_address_and_only_to_the_invited(acme: cast.Company) -> None:
    assert "Log in" in errors(sign_up(acme.invitation, email=acme.owner.user.email))["email"][0]
    stranger = errors(sign_up("ati_nothing", email=acme.owner.user.email))
    assert set(stranger) == {"invitation"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"), ("email", ""), ("email", "x" * 300), ("name", ""), ("name", "x" * 201), ("invitation", ""),
        ("invitation", "x" * 300), ("password", "short"), ("password", "123456789012345"),
        ("password", "ann@people.exam"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(acme: cast.Company, field: str, value: str) -> None:
    answer = browser().post(URL, FORM | {"invitation": acme.invitation, field: value})
    assert set(errors(answer)) == {field}


def test_an_invitation_in_the_address_is_not_taken(acme: cast.Company) -> None:
    page = browser().get(URL, {"invitation": acme.invitation})
    assert acme.invitation not in page.content.decode()
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in page.headers["Cache-Control"]


def test_whoever_is_logged_in_is_told_to_log_out_first(acme: cast.Company) -> None:
    client = browser()
    client.force_login(acme.owner.user)
    page = client.post(URL, FORM | {"invitation": acme.invitation}, follow=True)
    assert "You are logged in as owner@acme.example." in text_of(page)
    assert not User.objects.filter(email="ann@people.example").exists()


def test_a_sign_up_begins_a_new_session(acme: cast.Company) -> None:
    client = browser()
    before = client.session
    before["kept"] = "no"
    before.save()
    sign_up(acme.invitation, client)
    assert client.cookies["sessionid"].value != before.session_key


def test_what_else_a_form_says_is_ignored(acme: cast.Company, rival: cast.Company) -> None:
    """Defect 23: a caller sent the plan or the role along."""
    sign_up(acme.invitation, role="OWNER", tenant=str(rival.tenant.id), plan="ENTERPRISE", is_superuser="on")
    user = User.objects.get(email="ann@people.example")
    assert (user.tenant, user.role, user.is_superuser) == (acme.tenant, Role.VIEWER, False)
