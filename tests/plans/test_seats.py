"""Sign-up by an invitation: who gets in, as what, and what everybody else is told to do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from pytest_django import Settings

from plans import seats
from plans.models import Plan, PlanStatus
from plans.seats import Refusal, SignUpRefused, join
from tenants import authentication, tokens
from tenants.models import ATIToken, Role, Scope, Tenant, TenantStatus, TokenStatus, User, UserStatus
from tests import cast
from tests.parallel import at_once
from tests.tenants.credentials import credentials

NOW = datetime.now(UTC)
PASSWORD = "a long and quiet road"
HOUR = timedelta(hours=1)

_numbers = count()


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def new_email() -> str:
    return f"new{next(_numbers)}@people.example"


def sign_up(text: str, *, email: str = "", password: str = PASSWORD, now: datetime = NOW) -> User:
    return join(text, email=email or new_email(), password=password, name="New", now=now)


def refusal(text: str, *, email: str = "", now: datetime = NOW) -> Refusal:
    people = User.objects.count()
    with pytest.raises(SignUpRefused) as caught:
        sign_up(text, email=email, now=now)
    assert str(caught.value).endswith(".")
    assert User.objects.count() == people
    return caught.value.code


def uses(token: ATIToken) -> int:
    token.refresh_from_db()
    return token.usage_count


def attempt(text: str, *, email: str = "", password: str = PASSWORD) -> Callable[[], User | Refusal]:
    """A sign-up for a thread: what comes of it."""
    chosen = email or new_email()

    def outcome() -> User | Refusal:
        try:
            return sign_up(text, email=chosen, password=password)
        except SignUpRefused as refused:
            return refused.code

    return outcome


@pytest.mark.parametrize("plan_code", ["FREE", "PRO", "ENTERPRISE"])
def test_a_plan_reaches_an_employee_by_root_token_owner_and_invitation(db: None, plan_code: str) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    root = tokens.issue_root(tenant, cast.plan(plan_code), starts_at=NOW - HOUR)

    owner = sign_up(root.text, email="Boss@Newco.example")
    assert (owner.role, owner.tenant, owner.email) == (Role.OWNER, tenant, "boss@newco.example")
    assert owner.signup_token == root.record
    assert uses(root.record) == 1

    invitation = tokens.issue_invitation(tenant, name="Spring", max_uses=5)
    employee = sign_up(invitation.text)
    assert (employee.role, employee.signup_token) == (Role.VIEWER, invitation.record)
    issued = tokens.issue_for_user(employee)
    assert issued.record.plan_tier(NOW) == plan_code

    caller = authentication.resolve(credentials(issued.text), now=NOW, fresh=True)
    assert (caller.tenant, caller.user_key, caller.sees_all) == (tenant.id, str(employee.id), False)
    assert caller.scopes == {Scope.ENFORCE, Scope.READ}


def test_only_the_first_to_join_by_the_root_token_is_the_owner(acme: cast.Company) -> None:
    assert sign_up(acme.invitation).role == Role.VIEWER
    assert sign_up(tokens.issue_invitation(acme.tenant).text).role == Role.VIEWER


def test_somebody_who_joined_can_log_in(acme: cast.Company) -> None:
    user = sign_up(acme.invitation)
    found = User.objects.get_by_natural_key(user.email.upper())
    assert found == user
    assert found.check_password(PASSWORD)
    assert not found.check_password(PASSWORD.upper())


def test_what_is_no_invitation_signs_nobody_up(acme: cast.Company, svc: str) -> None:
    unknown = f"ati_{'0' * 16}_{'A' * 43}"
    wrong_secret = acme.invitation[:-43] + "A" * 43
    user_token = acme.owner.token
    for text in ("", "ati_", unknown, wrong_secret, user_token, svc, acme.invitation[:-1]):
        assert refusal(text) == Refusal.INVALID
    assert sign_up(f"  {acme.invitation}\n").tenant == acme.tenant


def test_an_expired_invitation_signs_nobody_up(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, expires_at=NOW)
    assert refusal(invitation.text, now=NOW) == Refusal.EXPIRED
    assert sign_up(invitation.text, now=NOW - HOUR).tenant == acme.tenant


def test_a_suspended_invitation_signs_nobody_up_until_it_is_revived(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant)
    tokens.set_status(invitation.record, TokenStatus.SUSPENDED)
    assert refusal(invitation.text) == Refusal.SUSPENDED
    tokens.set_status(invitation.record, TokenStatus.ACTIVE)
    assert sign_up(invitation.text).tenant == acme.tenant


def test_a_revoked_invitation_signs_nobody_up(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant)
    tokens.set_status(invitation.record, TokenStatus.REVOKED)
    assert refusal(invitation.text) == Refusal.REVOKED


def test_a_renewed_invitation_works_with_its_new_secret_alone(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, expires_at=NOW)
    renewed = tokens.renew(invitation.record, expires_at=NOW + HOUR)
    assert refusal(invitation.text) == Refusal.INVALID
    assert sign_up(renewed.text).tenant == acme.tenant


def test_raising_the_uses_revives_a_used_up_invitation(acme: cast.Company) -> None:
    """Defect 24."""
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1)
    sign_up(invitation.text)
    assert refusal(invitation.text) == Refusal.USED_UP
    invitation.record.max_uses = 2
    invitation.record.save(update_fields=["max_uses"])
    sign_up(invitation.text)
    assert refusal(invitation.text) == Refusal.USED_UP
    assert uses(invitation.record) == 2


def test_no_uses_means_none_and_no_number_means_any(acme: cast.Company) -> None:
    """Defect 4."""
    assert refusal(tokens.issue_invitation(acme.tenant, max_uses=0).text) == Refusal.USED_UP
    assert sign_up(tokens.issue_invitation(acme.tenant, max_uses=None).text).tenant == acme.tenant


@pytest.mark.parametrize("end", ["used up", "expired", "suspended", "revoked"])
def test_the_end_of_an_invitation_never_locks_out_those_who_joined(acme: cast.Company, end: str) -> None:
    """Defect 24."""
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1, expires_at=NOW + HOUR)
    user = sign_up(invitation.text)
    issued = tokens.issue_for_user(user)
    now = NOW
    if end == "expired":
        now += HOUR
    elif end != "used up":
        tokens.set_status(invitation.record, TokenStatus(end.upper()))
    assert invitation.record.state(now) != "ACTIVE" or end == "used up"

    user.refresh_from_db()
    assert user.is_active
    assert user.check_password(PASSWORD)
    assert authentication.resolve(credentials(issued.text), now=now, fresh=True).user_key == str(user.id)


def test_a_suspended_tenant_takes_nobody_in(acme: cast.Company) -> None:
    acme.tenant.status = TenantStatus.SUSPENDED
    acme.tenant.save(update_fields=["status"])
    assert refusal(acme.invitation) == Refusal.TENANT_SUSPENDED


def test_nobody_joins_without_a_plan_in_force(acme: cast.Company) -> None:
    tokens.end_plan(acme.root, at=NOW)
    assert refusal(acme.invitation, now=NOW) == Refusal.PLAN_EXPIRED
    assert refusal(acme.invitation, now=cast.STARTED - HOUR) == Refusal.PLAN_EXPIRED
    assert sign_up(acme.invitation, now=NOW - HOUR).tenant == acme.tenant


def test_seats_are_those_of_the_plan_in_force(db: None) -> None:
    """Defect 25: seats and uses are two numbers."""
    full = cast.make_tenant("FULL", "FREE", people=2)
    before = uses(full.root)
    assert (seats.taken(full.tenant), cast.plan("FREE").max_seats) == (3, 3)
    assert refusal(full.invitation) == Refusal.SEATS_FULL
    assert uses(full.root) == before

    tokens.change_plan(full.root, cast.plan("PRO"), now=NOW, at=NOW + HOUR)
    assert refusal(full.invitation, now=NOW) == Refusal.SEATS_FULL
    assert sign_up(full.invitation, now=NOW + HOUR).tenant == full.tenant


def test_no_seats_means_none_and_no_number_means_any(acme: cast.Company) -> None:
    """Defect 4."""
    none = Plan.objects.create(code="NOBODY", name="Nobody", status=PlanStatus.ACTIVE, max_seats=0)
    tokens.change_plan(acme.root, none, now=NOW)
    User.objects.filter(tenant=acme.tenant).update(status=UserStatus.SUSPENDED)
    assert refusal(acme.invitation) == Refusal.SEATS_FULL
    assert cast.plan("ENTERPRISE").max_seats is None
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=NOW)
    assert sign_up(acme.invitation).tenant == acme.tenant


def test_suspending_somebody_frees_their_seat(db: None) -> None:
    full = cast.make_tenant("FULL", "FREE", people=2)
    User.objects.filter(pk=full.people[0].user.pk).update(status=UserStatus.SUSPENDED)
    assert sign_up(full.invitation).tenant == full.tenant
    assert refusal(full.invitation) == Refusal.SEATS_FULL


def test_an_e_mail_address_is_one_account_whatever_its_case(acme: cast.Company, rival: cast.Company) -> None:
    before = uses(rival.root)
    sign_up(acme.invitation, email="Ann@People.example")
    assert refusal(rival.invitation, email="ann@people.EXAMPLE") == Refusal.EMAIL_TAKEN
    assert uses(rival.root) == before


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("email", {"email": "nobody"}),
        ("email", {"email": f"{'x' * 250}@people.example"}),
        ("email", {"email": ""}),
        ("password", {"password": "short"}),
        ("password", {"password": "123456789012345"}),
        ("password", {"email": "annabelle.jones@people.example", "password": "annabelle.jones@people"}),
        ("name", {"name": "x" * 201}),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_written(acme: cast.Company, field: str, values: dict[str, str]) -> None:
    before = (User.objects.count(), uses(acme.root))
    form = {"email": "ann@people.example", "password": PASSWORD, "name": "Ann"} | values
    with pytest.raises(ValidationError) as caught:
        join(acme.invitation, **form, now=NOW)
    assert set(caught.value.message_dict) == {field}
    assert (User.objects.count(), uses(acme.root)) == before


def test_a_form_sent_twice_acts_once(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1)
    user = sign_up(invitation.text, email="ann@people.example")
    assert sign_up(invitation.text, email="Ann@people.example") == user
    assert uses(invitation.record) == 1


def test_a_form_sent_twice_is_no_way_in_for_others(acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant)
    sign_up(invitation.text, email="ann@people.example")
    with pytest.raises(SignUpRefused, match="Log in"):
        sign_up(invitation.text, email="ann@people.example", password=PASSWORD + "!")
    assert refusal(invitation.text, email="ann@people.example", now=NOW + HOUR) == Refusal.EMAIL_TAKEN
    assert refusal(acme.invitation, email="ann@people.example") == Refusal.EMAIL_TAKEN
    User.objects.filter(email="ann@people.example").update(status=UserStatus.SUSPENDED)
    assert refusal(invitation.text, email="ann@people.example") == Refusal.EMAIL_TAKEN


@pytest.mark.parametrize("scarce", ["one seat", "one use"])
def test_of_sixteen_at_once_exactly_one_gets_the_last(committed: None, scarce: str) -> None:
    """Defect 25."""
    company = cast.make_tenant("ACME", "FREE" if scarce == "one seat" else "ENTERPRISE", people=1)
    invitation = tokens.issue_invitation(company.tenant, max_uses=1 if scarce == "one use" else None)
    outcomes = at_once(*[attempt(invitation.text) for _ in range(16)])

    assert sum(isinstance(outcome, User) for outcome in outcomes) == 1
    losers = {outcome for outcome in outcomes if isinstance(outcome, Refusal)}
    assert losers == {Refusal.SEATS_FULL if scarce == "one seat" else Refusal.USED_UP}
    assert (seats.taken(company.tenant), uses(invitation.record)) == (3, 1)


def test_of_eight_at_once_by_a_new_root_token_one_is_the_owner(committed: None) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    root = tokens.issue_root(tenant, cast.plan("PRO"), starts_at=NOW - HOUR)
    outcomes = at_once(*[attempt(root.text) for _ in range(8)])
    assert sorted(outcome.role for outcome in outcomes if isinstance(outcome, User)) == [Role.OWNER, *[Role.VIEWER] * 7]
    assert uses(root.record) == 8


def test_one_form_sent_sixteen_times_at_once_acts_once(committed: None, acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, max_uses=2)
    outcomes = at_once(*[attempt(invitation.text, email="ann@people.example")] * 16)
    assert set(outcomes) == {User.objects.get(email="ann@people.example")}
    assert uses(invitation.record) == 1


def test_one_address_at_two_tenants_at_once_joins_one(committed: None, acme: cast.Company, rival: cast.Company) -> None:
    before = uses(acme.root) + uses(rival.root)
    texts = [acme.invitation, rival.invitation] * 4
    outcomes = at_once(*[attempt(text, email="ann@people.example") for text in texts])
    user = User.objects.get(email="ann@people.example")
    assert set(outcomes) == {user, Refusal.EMAIL_TAKEN}
    assert uses(acme.root) + uses(rival.root) == before + 1


def test_signing_up_waits_for_nobody_of_another_tenant(
    committed: None, acme: cast.Company, rival: cast.Company
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM tenants_tenant WHERE id = %s FOR NO KEY UPDATE", [acme.tenant.id])
        try:
            (outcome,) = at_once(attempt(rival.invitation), timeout=20)
        finally:
            cursor.execute("ROLLBACK")
    assert isinstance(outcome, User)
