"""The console's pages of tenants, people, ATI tokens and service keys."""

import json
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.test import Client

from tenants import tokens
from tenants.models import (
    ATIToken,
    ConfigVersion,
    EnforcementMode,
    Role,
    Scope,
    ServiceKey,
    Tenant,
    TenantPlan,
    TenantStatus,
    TokenStatus,
    User,
    UserStatus,
)
from tests import cast, console
from tests.usage.rows import make_meter

SECRET = re.compile(r"(?:ati|mk)_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def _more_rows() -> None:
    for n in range(3):
        company = cast.make_tenant(f"MORE{n}", "FREE", people=1)
        tokens.issue_invitation(company.tenant)
        tokens.issue_key(f"key {n}", [Scope.READ], tenant=company.tenant)


@pytest.mark.parametrize("model", console.models_of("tenants"), ids=lambda model: model.__name__)
def test_every_page_opens(model: type[Model], acme: cast.Company, svc: str) -> None:
    console.assert_every_page_opens(model)


@pytest.mark.parametrize("model", console.models_of("tenants"), ids=lambda model: model.__name__)
def test_a_list_asks_no_question_per_row(model: type[Model], acme: cast.Company, svc: str) -> None:
    console.assert_list_costs_the_same_with_more_rows(model, _more_rows)


def test_all_models_of_tenants_have_pages() -> None:
    assert console.models_of("tenants") == [
        ATIToken, ConfigVersion, ServiceKey, Tenant, TenantPlan, User,
    ]  # fmt: skip


@pytest.mark.parametrize("model", [TenantPlan, ConfigVersion])
def test_what_the_database_keeps_by_itself_is_read_only(model: type[Model], acme: cast.Company) -> None:
    console.assert_read_only(model)


# --- who may enter -------------------------------------------------------------
def test_a_super_admin_logs_in_by_e_mail_in_whatever_case(db: None) -> None:
    User.objects.create_superuser(console.EMAIL, console.PASSWORD)
    client = console.browser()
    asked = client.get("/admin/", follow=True)
    assert "E-mail" in console.text_of(asked)
    sent = {"login": console.EMAIL.upper(), "password": console.PASSWORD, "next": "/admin/"}
    answer = client.post("/accounts/login/", sent, follow=True)
    assert answer.redirect_chain == [("/admin/", HTTPStatus.FOUND)]
    assert answer.wsgi_request.user.get_username() == console.EMAIL


def test_an_owner_and_a_suspended_super_admin_cannot_enter(acme: cast.Company) -> None:
    owner = acme.owner.user
    owner.set_password(console.PASSWORD)
    owner.save(update_fields=["password"])
    User.objects.create_superuser(console.EMAIL, console.PASSWORD, status=UserStatus.SUSPENDED)
    for email in (owner.email, console.EMAIL):
        client = console.browser()
        for form in ("/admin/login/", "/accounts/login/"):
            client.post(form, {"login": email, "username": email, "password": console.PASSWORD})
        assert client.get("/admin/").status_code == HTTPStatus.FOUND
    logged_in = console.browser()
    logged_in.force_login(owner)
    assert logged_in.get(console.address(Tenant, "changelist")).status_code == HTTPStatus.FOUND


# --- tenants -------------------------------------------------------------------
def test_a_tenant_is_made_and_its_ati_id_stays(browser: Client) -> None:
    sent = {
        "ati_id": "NEWCO", "name": "New & Co", "enforcement_mode": "ENFORCE", "timezone": "Asia/Kolkata",
        "billing_anchor_day": 31,
    }  # fmt: skip
    console.post(browser, console.address(Tenant, "add"), sent)
    tenant = Tenant.objects.get(ati_id="NEWCO")
    assert (tenant.timezone, tenant.billing_anchor_day) == ("Asia/Kolkata", 31)
    page = browser.get(console.address(Tenant, "change", tenant.pk))
    assert "It has no root token yet." in console.text_of(page)
    sent = {"name": "New name", "enforcement_mode": "OBSERVE", "ati_id": "OTHER", "timezone": "UTC"}
    console.post(browser, console.address(Tenant, "change", tenant.pk), sent)
    tenant.refresh_from_db()
    assert (tenant.name, tenant.enforcement_mode) == ("New name", EnforcementMode.OBSERVE)
    assert (tenant.ati_id, tenant.timezone) == ("NEWCO", "Asia/Kolkata")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ati_id", "lower", "Upper-case letters"),
        ("ati_id", "ACME", "already exists"),
        ("timezone", "Mars/Olympus", "Mars/Olympus"),
        ("billing_anchor_day", 32, "less than or equal to 31"),
    ],
)
def test_what_a_tenant_cannot_be_is_said_in_words(
    browser: Client, acme: cast.Company, field: str, value: object, words: str
) -> None:
    sent = {
        "ati_id": "NEWCO", "name": "New", "enforcement_mode": "ENFORCE", "timezone": "UTC", "billing_anchor_day": 1,
    }  # fmt: skip
    answer = browser.post(console.address(Tenant, "add"), sent | {field: value})
    assert answer.status_code == HTTPStatus.OK
    assert words in console.text_of(answer)
    assert not Tenant.objects.filter(name="New").exists()


def test_suspending_tenants_asks_first_and_says_how_many(
    browser: Client, acme: cast.Company, rival: cast.Company
) -> None:
    ticked = {"action": "suspend", "_selected_action": [str(acme.tenant.pk), str(rival.tenant.pk)]}
    asked = browser.post(console.address(Tenant, "changelist"), ticked)
    assert "Suspend 2 tenants" in console.text_of(asked)
    assert "TENANT_SUSPENDED" in console.text_of(asked)
    assert not Tenant.objects.filter(status=TenantStatus.SUSPENDED).exists()
    console.post(browser, console.address(Tenant, "changelist"), ticked | {"confirmed": "yes"})
    assert Tenant.objects.filter(status=TenantStatus.SUSPENDED).count() == 2
    assert LogEntry.objects.filter(change_message="Suspended.").count() == 2


def test_a_tenant_is_suspended_and_activated_from_its_page(browser: Client, acme: cast.Company) -> None:
    suspend = console.address(Tenant, "suspend", acme.tenant.pk)
    assert "Suspend ACME" in console.text_of(browser.get(suspend))
    acme.tenant.refresh_from_db()
    assert acme.tenant.status == TenantStatus.ACTIVE
    page = console.post(browser, suspend, {"confirmed": "yes"})
    assert "Activate" in console.text_of(page)
    acme.tenant.refresh_from_db()
    assert acme.tenant.status == TenantStatus.SUSPENDED
    console.post(browser, console.address(Tenant, "activate", acme.tenant.pk), {"confirmed": "yes"})
    acme.tenant.refresh_from_db()
    assert acme.tenant.status == TenantStatus.ACTIVE


@pytest.mark.parametrize("object_id", ["nonsense", "01900000-0000-7000-8000-000000000000"])
def test_an_action_on_nobody_is_not_found(browser: Client, object_id: str) -> None:
    assert browser.get(console.address(Tenant, "suspend", object_id)).status_code == HTTPStatus.NOT_FOUND


def test_a_tenant_with_a_history_cannot_be_deleted_a_new_one_can(browser: Client, acme: cast.Company) -> None:
    refused = browser.post(console.address(Tenant, "delete", acme.tenant.pk), {"post": "yes"})
    assert refused.status_code == HTTPStatus.FORBIDDEN
    new = Tenant.objects.create(ati_id="TYPO", name="Typo")
    assert "Are you sure" in console.text_of(browser.get(console.address(Tenant, "delete", new.pk)))
    console.post(browser, console.address(Tenant, "delete", new.pk), {"post": "yes"})
    assert not Tenant.objects.filter(pk=new.pk).exists()


def test_a_tenant_that_the_ledger_refers_to_is_kept_and_the_page_says_why(browser: Client) -> None:
    new = Tenant.objects.create(ati_id="USED", name="Used")
    make_meter(new)
    page = console.post(browser, console.address(Tenant, "delete", new.pk), {"post": "yes"})
    assert "the ledger refers to it for ever" in console.text_of(page)
    assert Tenant.objects.filter(pk=new.pk).exists()


def test_lists_are_filtered_by_tenant(browser: Client, acme: cast.Company, rival: cast.Company) -> None:
    for model in (User, ATIToken):
        page = browser.get(console.address(model, "changelist"), {"tenant__id__exact": str(acme.tenant.pk)})
        assert {row.tenant for row in page.context["cl"].result_list} == {acme.tenant}


# --- people --------------------------------------------------------------------
def _person(**other: object) -> dict[str, object]:
    password = "another long password"
    return {
        "email": "Ann@Acme.example", "name": "Ann", "role": Role.MANAGER, "usable_password": "true",
        "password1": password, "password2": password, **other,
    }  # fmt: skip


def test_a_person_is_made_in_a_tenant_and_stays_there(browser: Client, acme: cast.Company, rival: cast.Company) -> None:
    console.post(browser, console.address(User, "add"), _person(tenant=acme.tenant.pk))
    ann = User.objects.get(email="ann@acme.example")
    assert (ann.tenant, ann.role, ann.is_superuser) == (acme.tenant, Role.MANAGER, False)
    assert ann.check_password("another long password")
    sent = {"email": ann.email, "name": "Ann", "role": Role.ADMIN, "status": "ACTIVE", "tenant": rival.tenant.pk}
    console.post(browser, console.address(User, "change", ann.pk), sent)
    ann.refresh_from_db()
    assert (ann.tenant, ann.role) == (acme.tenant, Role.ADMIN)


def test_a_super_admin_made_here_may_do_everything_here(browser: Client) -> None:
    console.post(browser, console.address(User, "add"), _person(role=Role.SUPER_ADMIN))
    client = console.browser()
    client.force_login(User.objects.get(email="ann@acme.example"))
    assert client.get(console.address(Tenant, "add")).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tenant": ""}, "A super admin belongs to no tenant; everybody else belongs to one."),
        ({"role": Role.SUPER_ADMIN}, "A super admin belongs to no tenant; everybody else belongs to one."),
        ({"email": "OWNER@acme.example"}, "already"),
        ({"password2": "different"}, "didn’t match"),
        ({"password1": "12345678", "password2": "12345678"}, "too short"),
    ],
)
def test_what_a_person_cannot_be_is_said_in_words(
    browser: Client, acme: cast.Company, changed: dict[str, object], words: str
) -> None:
    answer = browser.post(console.address(User, "add"), _person(**{"tenant": acme.tenant.pk} | changed))
    assert answer.status_code == HTTPStatus.OK
    assert words in console.text_of(answer)
    assert not User.objects.filter(name="Ann").exists()


def test_a_person_of_a_tenant_cannot_become_a_super_admin(browser: Client, acme: cast.Company) -> None:
    owner = acme.owner.user
    sent = {"email": owner.email, "name": "", "role": Role.SUPER_ADMIN, "status": "ACTIVE"}
    answer = browser.post(console.address(User, "change", owner.pk), sent)
    assert "not one of the available choices" in console.text_of(answer)


def test_a_password_is_set_on_its_own_page(browser: Client, acme: cast.Company) -> None:
    page = f"/admin/tenants/user/{acme.owner.user.pk}/password/"
    assert browser.get(page).status_code == HTTPStatus.OK
    new = "a quite different password"
    console.post(browser, page, {"usable_password": "true", "password1": new, "password2": new})
    acme.owner.user.refresh_from_db()
    assert acme.owner.user.check_password(new)


# --- ATI tokens ----------------------------------------------------------------
def _shown_once(browser: Client, answer: Any) -> str:
    """The secret that an answer shows; it is nowhere else, and no later page shows it."""
    found = SECRET.findall(console.text_of(answer))
    assert len(found) == 1
    assert "no-store" in answer["Cache-Control"]
    assert not list(get_messages(answer.wsgi_request))
    secret = found[0].rsplit("_", 1)[-1] if found[0].count("_") == 2 else found[0][-43:]
    stored = json.dumps(
        [
            *LogEntry.objects.values_list("object_repr", "change_message"),
            *(session.get_decoded() for session in Session.objects.all()),
            *({name: morsel.value} for name, morsel in browser.cookies.items()),
        ],
        default=str,
    )
    assert secret not in stored
    for model in (ATIToken, ServiceKey):
        assert secret not in browser.get(console.address(model, "changelist")).content.decode()
    return str(found[0])


def _issue(**other: object) -> dict[str, object]:
    empty = {
        name: "" for field in ("expires_at", "plan_starts_at", "plan_ends_at") for name in (f"{field}_0", f"{field}_1")
    }
    return {**empty, "user": "", "name": "", "max_uses": "", "plan": "", **other}


def test_a_root_token_is_issued_with_a_plan_and_shown_once(browser: Client) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="New")
    sent = _issue(tenant=tenant.pk, plan=cast.plan("PRO").pk, max_uses=1)
    answer = browser.post(console.address(ATIToken, "add"), sent)
    text = _shown_once(browser, answer)
    tenant.refresh_from_db()
    root = tenant.root_token
    assert root is not None
    assert root.plan == cast.plan("PRO")
    presented = tokens.parse(text)
    assert presented is not None
    assert presented.public == root.fingerprint
    assert presented.matches(bytes(root.hash))


def test_an_invitation_and_a_users_token_are_issued_and_shown_once(browser: Client, acme: cast.Company) -> None:
    expires = datetime(2050, 1, 1, 12, tzinfo=UTC)
    sent = _issue(tenant=acme.tenant.pk, name="spring", max_uses=5, expires_at_0="2050-01-01", expires_at_1="12:00:00")
    _shown_once(browser, browser.post(console.address(ATIToken, "add"), sent))
    invitation = ATIToken.objects.get(name="spring")
    assert (invitation.user, invitation.max_uses, invitation.expires_at) == (None, 5, expires)
    person = acme.people[0].user
    sent = _issue(tenant=acme.tenant.pk, user=person.pk, name="laptop")
    text = _shown_once(browser, browser.post(console.address(ATIToken, "add"), sent))
    token = ATIToken.objects.get(name="laptop")
    assert (token.user, token.root) == (person, acme.root)
    assert tokens.parse(text) is not None


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"tenant": "NEWCO"}, "NEWCO has no root token yet. This will be it: choose its plan."),
        ({"tenant": "NEWCO", "plan": "PRO", "user": "ACME"}, "is not one of NEWCO's people"),
        ({"tenant": "ACME", "plan": "PRO"}, "ACME has its root token, which carries the plan."),
        ({"tenant": "ACME", "user": "ACME", "max_uses": 2}, "Only an invitation counts its uses."),
        ({"tenant": "ACME", "user": "RIVAL"}, "is not one of ACME's people"),
        (
            {"tenant": "NEWCO", "plan": "PRO", "plan_ends_at_0": "2001-01-01", "plan_ends_at_1": "00:00"},
            "would end before it begins",
        ),
    ],
)
def test_what_a_token_cannot_be_is_said_in_words(
    browser: Client, acme: cast.Company, rival: cast.Company, sent: dict[str, object], words: str
) -> None:
    companies = {"ACME": acme, "RIVAL": rival}
    newco = Tenant.objects.create(ati_id="NEWCO", name="New")
    before = ATIToken.objects.count()
    values = dict(sent)
    values["tenant"] = newco.pk if sent["tenant"] == "NEWCO" else companies[str(sent["tenant"])].tenant.pk
    if "user" in sent:
        values["user"] = companies[str(sent["user"])].owner.user.pk
    if "plan" in sent:
        values["plan"] = cast.plan("PRO").pk
    answer = browser.post(console.address(ATIToken, "add"), _issue(**values))
    assert answer.status_code == HTTPStatus.OK
    assert words in console.text_of(answer)
    assert ATIToken.objects.count() == before


def test_a_tokens_owner_and_plan_cannot_be_edited_its_limits_can(browser: Client, acme: cast.Company) -> None:
    sent = {
        "name": "Root of Acme", "max_uses": 7, "expires_at_0": "", "expires_at_1": "", "plan_ends_at_0": "2050-01-01",
        "plan_ends_at_1": "00:00", "plan": cast.plan("FREE").pk, "user": acme.owner.user.pk, "status": "REVOKED",
    }  # fmt: skip
    console.post(browser, console.address(ATIToken, "change", acme.root.pk), sent)
    acme.root.refresh_from_db()
    assert (acme.root.name, acme.root.max_uses) == ("Root of Acme", 7)
    assert acme.root.plan_ends_at == datetime(2050, 1, 1, tzinfo=UTC)
    assert (acme.root.plan, acme.root.user, acme.root.status) == (cast.plan("PRO"), None, TokenStatus.ACTIVE)


def test_an_end_before_the_start_of_a_plan_is_refused_at_its_field(browser: Client, acme: cast.Company) -> None:
    sent = {"name": "", "max_uses": "", "plan_ends_at_0": "2001-01-01", "plan_ends_at_1": "00:00"}
    answer = browser.post(console.address(ATIToken, "change", acme.root.pk), sent)
    assert answer.context["adminform"].form.errors["plan_ends_at"] == ["The plan must end after its start."]


def test_tokens_are_suspended_activated_and_revoked_for_good(browser: Client, acme: cast.Company) -> None:
    token = ATIToken.objects.get(user=acme.owner.user)
    page = console.address(ATIToken, "change", token.pk)
    for action, status in (
        ("suspend", TokenStatus.SUSPENDED), ("revive", TokenStatus.ACTIVE), ("revoke", TokenStatus.REVOKED),
    ):  # fmt: skip
        address = console.address(ATIToken, action, token.pk)
        before = token.status
        assert browser.get(address).status_code == HTTPStatus.OK
        token.refresh_from_db()
        assert token.status == before
        console.post(browser, address, {"confirmed": "yes"})
        token.refresh_from_db()
        assert token.status == status
    answer = console.post(browser, console.address(ATIToken, "revive", token.pk), {"confirmed": "yes"})
    assert "A revoked token stays revoked" in console.text_of(answer)
    assert "Renew" not in console.text_of(browser.get(page))


def test_a_renewed_token_is_shown_once_and_the_old_secret_is_dead(browser: Client, acme: cast.Company) -> None:
    address = console.address(ATIToken, "renew", acme.root.pk)
    old = acme.root.fingerprint
    assert "stops working at once" in console.text_of(browser.get(address))
    sent = {"confirmed": "yes", "expires_at_0": "", "expires_at_1": ""}
    _shown_once(browser, browser.post(address, sent))
    acme.root.refresh_from_db()
    assert acme.root.fingerprint != old


def test_a_plan_is_changed_now_or_later_and_a_past_date_is_refused(browser: Client, acme: cast.Company) -> None:
    address = console.address(ATIToken, "change_plan", acme.root.pk)
    free, enterprise = cast.plan("FREE"), cast.plan("ENTERPRISE")
    now = {"confirmed": "yes", "plan": free.pk, "at_0": "", "at_1": ""}
    console.post(browser, address, now)
    acme.root.refresh_from_db()
    assert acme.root.plan == free
    later = {"confirmed": "yes", "plan": enterprise.pk, "at_0": "2050-01-01", "at_1": "00:00"}
    console.post(browser, address, later)
    acme.root.refresh_from_db()
    assert (acme.root.plan, acme.root.next_plan) == (free, enterprise)
    past = later | {"at_0": "2001-01-01"}
    assert "must begin in the future" in console.text_of(console.post(browser, address, past))
    employee = ATIToken.objects.get(user=acme.owner.user)
    assert "Change plan" not in console.text_of(browser.get(console.address(ATIToken, "change", employee.pk)))
    refused = console.post(browser, console.address(ATIToken, "change_plan", employee.pk), now)
    assert "Only the root token carries a plan" in console.text_of(refused)


def test_a_pasted_token_is_found_by_its_public_part(browser: Client, acme: cast.Company) -> None:
    page = browser.get(console.address(ATIToken, "changelist"), {"q": acme.invitation})
    assert list(page.context["cl"].result_list) == [acme.root]


@pytest.mark.parametrize(("kind", "count"), [("root", 1), ("invitation", 1), ("user", 3)])
def test_tokens_are_filtered_by_kind(browser: Client, acme: cast.Company, kind: str, count: int) -> None:
    tokens.issue_invitation(acme.tenant)
    page = browser.get(console.address(ATIToken, "changelist"), {"kind": kind})
    assert len(page.context["cl"].result_list) == count


# --- service keys --------------------------------------------------------------
def test_a_key_is_issued_with_its_scopes_and_shown_once(browser: Client, acme: cast.Company) -> None:
    sent = {
        "name": "drafting", "scopes": ["enforce", "read"], "tenant": acme.tenant.pk, "calls_per_second": 50,
        "expires_at_0": "", "expires_at_1": "",
    }  # fmt: skip
    text = _shown_once(browser, browser.post(console.address(ServiceKey, "add"), sent))
    key = ServiceKey.objects.get(name="drafting")
    assert (set(key.scopes), key.tenant, key.calls_per_second) == ({"enforce", "read"}, acme.tenant, 50)
    presented = tokens.parse(text)
    assert presented is not None
    assert presented.matches(bytes(key.hash))


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"scopes": []}, "required"), ({"scopes": ["all"]}, "not one of"), ({"calls_per_second": 0}, "greater than")],
)
def test_what_a_key_cannot_be_is_said_in_words(browser: Client, changed: dict[str, object], words: str) -> None:
    sent = {"name": "k", "scopes": ["read"], "tenant": "", "calls_per_second": 50, **changed}
    answer = browser.post(console.address(ServiceKey, "add"), sent)
    assert answer.status_code == HTTPStatus.OK
    assert words in console.text_of(answer)
    assert not ServiceKey.objects.exists()


def test_a_keys_scopes_can_change_its_tenant_cannot(browser: Client, acme: cast.Company, rival: cast.Company) -> None:
    key = tokens.issue_key("worker", [Scope.READ], tenant=acme.tenant).record
    sent = {"name": "worker", "scopes": ["report"], "calls_per_second": 9, "tenant": rival.tenant.pk}
    console.post(browser, console.address(ServiceKey, "change", key.pk), sent)
    key.refresh_from_db()
    assert (key.scopes, key.calls_per_second, key.tenant) == (["report"], 9, acme.tenant)


def test_keys_are_revoked_after_a_question(browser: Client, db: None) -> None:
    key = tokens.issue_key("worker", [Scope.READ]).record
    ticked = {"action": "revoke", "_selected_action": [str(key.pk)]}
    assert f"Revoke {key}" in console.text_of(browser.post(console.address(ServiceKey, "changelist"), ticked))
    assert ServiceKey.objects.filter(pk=key.pk, revoked_at=None).exists()
    page = console.post(browser, console.address(ServiceKey, "changelist"), ticked | {"confirmed": "yes"})
    assert "Revoked" in console.text_of(page)
    key.refresh_from_db()
    assert key.revoked_at is not None
    again = console.post(browser, console.address(ServiceKey, "rotate", key.pk), {"confirmed": "yes", "grace_hours": 1})
    assert "This key is revoked or expired; issue a new one." in console.text_of(again)


def test_a_rotated_key_works_until_its_grace_is_over_and_the_new_one_is_shown_once(browser: Client, db: None) -> None:
    key = tokens.issue_key("worker", [Scope.READ]).record
    address = console.address(ServiceKey, "rotate", key.pk)
    assert "Grace (hours)" in console.text_of(browser.get(address))
    refused = browser.post(address, {"confirmed": "yes", "grace_hours": -1})
    assert "greater than or equal to 0" in console.text_of(refused)
    now = datetime.now(UTC)
    _shown_once(browser, browser.post(address, {"confirmed": "yes", "grace_hours": 48}))
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert timedelta(hours=47) < key.revoked_at - now <= timedelta(hours=48, minutes=1)
    assert ServiceKey.objects.get(replaces=key).scopes == key.scopes
    again = console.post(browser, address, {"confirmed": "yes", "grace_hours": 48})
    assert "rotated already" in console.text_of(again)


@pytest.mark.parametrize("model", [User, ATIToken, ServiceKey])
def test_people_tokens_and_keys_are_never_deleted(
    browser: Client, acme: cast.Company, svc: str, model: type[Model]
) -> None:
    row = model._default_manager.first()
    assert row is not None
    refused = browser.post(console.address(model, "delete", row.pk), {"post": "yes"})
    assert refused.status_code == HTTPStatus.FORBIDDEN
