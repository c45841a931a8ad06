"""From credentials to a Caller: what authenticates, as whom, and that a revocation binds the next request."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from tenants import facts, tokens, versions
from tenants.authentication import Caller, CallerAuthentication, Unauthenticated, resolve
from tenants.models import ATIToken, Role, Scope, ServiceKey, Tenant, TenantStatus, TokenStatus, User, UserStatus
from tests import cast
from tests.parallel import at_once
from tests.tenants.credentials import credentials, request

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
NONSENSE = ["", "mk_", "ati_x", "Basic", f"mk_{'0' * 16}_{'A' * 43}", f"ati_{'0' * 16}_{'A' * 43}"]


def caller(bearer: str | None, ati: str | None = None, *, now: datetime = NOW, fresh: bool = True) -> Caller:
    return resolve(credentials(bearer, ati), now=now, fresh=fresh)


def is_current(found: Caller) -> bool:
    """What the ledger asks of the numbers that an answer relied on, in its one call."""
    keys, tenant = found.numbers.keys, found.numbers.tenant
    return (keys is None or keys == versions.number_of(versions.KEYS)) and (
        tenant is None or (found.tenant is not None and tenant == versions.number_of(found.tenant))
    )


# --- Who calls ------------------------------------------------------------------------


def test_an_ati_token_calls_for_its_user_and_tenant_alone(acme: cast.Company) -> None:
    for person, sees_all in ((acme.owner, True), (acme.people[0], False)):
        found = caller(person.token)
        assert found.scopes == {Scope.ENFORCE, Scope.READ}
        assert (found.tenant, found.user_key) == (acme.tenant.id, str(person.user.id))
        assert (found.key, found.calls_per_second, found.numbers.keys) == (None, None, None)
        assert found.sees_all == sees_all
        assert found.is_authenticated


@pytest.mark.parametrize(
    ("role", "sees_all"),
    [(Role.OWNER, True), (Role.ADMIN, True), (Role.MANAGER, True), (Role.ANALYST, False), (Role.VIEWER, False)],
)
def test_a_role_decides_whose_usage_is_seen(acme: cast.Company, role: Role, sees_all: bool) -> None:
    User.objects.filter(pk=acme.owner.user.pk).update(role=role)
    assert caller(acme.owner.token).sees_all == sees_all
    User.objects.filter(pk=acme.owner.user.pk).update(is_shown_all_usage=True)
    assert caller(acme.owner.token).sees_all


def test_a_key_with_an_ati_token_beside_it_calls_for_that_user(acme: cast.Company, svc: str) -> None:
    found = caller(svc, acme.owner.token)
    assert found.scopes == set(Scope)
    assert (found.tenant, found.user_key) == (acme.tenant.id, str(acme.owner.user.id))
    assert not found.has_bad_ati_token
    assert found.numbers.keys is not None
    assert found.numbers.tenant is not None


def test_a_caller_is_valid_until_the_first_of_its_credentials_ends(acme: cast.Company) -> None:
    key = tokens.issue_key("search", [Scope.ENFORCE], expires_at=NOW + 2 * HOUR).text
    token = tokens.issue_for_user(acme.owner.user, expires_at=NOW + HOUR).text
    assert caller(key).until == NOW + 2 * HOUR
    assert caller(token).until == caller(key, token).until == NOW + HOUR
    assert caller(acme.owner.token).until is None
    assert caller(key, acme.owner.token).until == NOW + 2 * HOUR


def test_a_key_of_another_tenant_does_not_learn_of_a_token(acme: cast.Company, rival: cast.Company) -> None:
    key = tokens.issue_key("search", [Scope.ENFORCE], tenant=acme.tenant).text
    assert caller(key, acme.owner.token).tenant == acme.tenant.id
    with pytest.raises(facts.TenantUnknown):
        caller(key, rival.owner.token)


# --- What does not authenticate --------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("text", [None, *NONSENSE])
def test_nonsense_is_nobody(acme: cast.Company, text: str | None, fresh: bool) -> None:
    """Defects 11 and 14: no credential, no placeholder tenant, no invented plan."""
    with pytest.raises(Unauthenticated, match=r"\.$"):
        caller(text, fresh=fresh)


@pytest.mark.parametrize("scheme", ["", "Basic ", "Token ", "bearer", "Bearer\t"])
def test_only_a_bearer_credential_counts(acme: cast.Company, scheme: str) -> None:
    wrong = request()
    wrong._request.META["HTTP_AUTHORIZATION"] = f"{scheme}{acme.owner.token}"
    with pytest.raises(Unauthenticated, match="Send a service key"):
        CallerAuthentication().authenticate(wrong)


def test_the_scheme_is_read_in_any_case(acme: cast.Company) -> None:
    right = request()
    right._request.META["HTTP_AUTHORIZATION"] = f"bEARER  {acme.owner.token} "
    assert CallerAuthentication().authenticate(right)[0].tenant == acme.tenant.id


def test_debug_mode_lets_nobody_in(acme: cast.Company, settings: Settings) -> None:
    """Defect 14."""
    settings.DEBUG = True
    with pytest.raises(Unauthenticated):
        caller(acme.owner.token[:-43] + "A" * 43)


def test_a_right_public_part_with_a_wrong_secret_is_nobody(acme: cast.Company, svc: str) -> None:
    """Defect 14."""
    for text in (svc, acme.owner.token):
        with pytest.raises(Unauthenticated, match="not known"):
            caller(text[:-43] + "A" * 43)


def test_an_invitation_authenticates_no_call(acme: cast.Company) -> None:
    """Defect 22."""
    for text in (acme.invitation, tokens.issue_invitation(acme.tenant).text):
        with pytest.raises(Unauthenticated, match="sign up with it"):
            caller(text)


def test_an_ati_token_that_expired_is_nobody(acme: cast.Company) -> None:
    """Defect 22."""
    issued = tokens.issue_for_user(acme.owner.user, expires_at=NOW + HOUR)
    assert caller(issued.text).until == NOW + HOUR
    ATIToken.objects.filter(pk=issued.record.pk).update(expires_at=NOW)
    with pytest.raises(Unauthenticated):
        caller(issued.text)


def test_the_databases_clock_says_whether_a_credential_has_expired(acme: cast.Company) -> None:
    """A process whose clock is wrong neither turns a good token away nor lets an expired one in."""
    good = tokens.issue_for_user(acme.owner.user, expires_at=NOW + HOUR).text
    assert caller(good, now=NOW + 2 * HOUR, fresh=False).user_key == str(acme.owner.user.id)
    ended = tokens.issue_for_user(acme.owner.user, expires_at=NOW - HOUR).text
    with pytest.raises(Unauthenticated):
        caller(ended, now=NOW - 2 * HOUR)


def test_a_suspended_tenants_token_still_says_who_calls(acme: cast.Company) -> None:
    """Defect 22: the refusal is TENANT_SUSPENDED, not 401, and usage already begun is still booked."""
    Tenant.objects.filter(pk=acme.tenant.pk).update(status=TenantStatus.SUSPENDED)
    assert caller(acme.owner.token).tenant == acme.tenant.id
    assert not facts.tenant(acme.tenant.id).is_active


@pytest.mark.parametrize("ati", [*NONSENSE, "invitation", "revoked", "key"])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_bad_ati_token_beside_a_key_is_told_apart_from_a_bad_key(
    acme: cast.Company, svc: str, ati: str, fresh: bool
) -> None:
    tokens.set_status(ATIToken.objects.get(user=acme.people[0].user), TokenStatus.REVOKED)
    text = {"invitation": acme.invitation, "revoked": acme.people[0].token, "key": svc}.get(ati, ati)
    found = caller(svc, text, fresh=fresh)
    assert (found.has_bad_ati_token, found.tenant, found.user_key) == (True, None, None)
    with pytest.raises(Unauthenticated):
        caller(svc[:-43] + "A" * 43, acme.owner.token, fresh=fresh)


# --- The next request -------------------------------------------------------------------

Change = Callable[[cast.Company, ServiceKey], object]


def _token(company: cast.Company) -> ATIToken:
    return ATIToken.objects.get(user=company.owner.user)


ENDS_OF_A_TOKEN: dict[str, Change] = {
    "revoked": lambda acme, _: tokens.set_status(_token(acme), TokenStatus.REVOKED),
    "suspended": lambda acme, _: tokens.set_status(_token(acme), TokenStatus.SUSPENDED),
    "renewed": lambda acme, _: tokens.renew(_token(acme), expires_at=None),
    "expired": lambda acme, _: ATIToken.objects.filter(user=acme.owner.user).update(expires_at=NOW),
    "user suspended": lambda acme, _: User.objects.filter(pk=acme.owner.user.pk).update(status=UserStatus.SUSPENDED),
}
ENDS_OF_A_KEY: dict[str, Change] = {
    "revoked": lambda _, key: tokens.revoke_key(key, now=NOW),
    "rotated": lambda _, key: tokens.rotate_key(key, now=NOW, grace=timedelta(0)),
    "expired": lambda _, key: ServiceKey.objects.update(expires_at=NOW),
    "deleted": lambda _, key: key.delete(),
}


@pytest.mark.parametrize("end", ENDS_OF_A_TOKEN)
def test_a_token_that_ends_is_refused_by_the_very_next_request(acme: cast.Company, end: str, svc: str) -> None:
    """Defect 28: this process holds a snapshot taken before, which is compared with the database first."""
    assert is_current(caller(acme.owner.token))
    ENDS_OF_A_TOKEN[end](acme, ServiceKey.objects.get())
    with pytest.raises(Unauthenticated):
        caller(acme.owner.token, fresh=True)
    assert caller(svc, acme.owner.token).has_bad_ati_token


@pytest.mark.parametrize("end", ENDS_OF_A_TOKEN)
def test_a_caller_by_a_stale_token_relies_on_a_number_that_moved(acme: cast.Company, end: str, svc: str) -> None:
    """Defect 28: without the comparison the ledger's own call answers STALE, and the next try is refused."""
    assert is_current(caller(acme.owner.token))
    assert is_current(caller(svc, acme.owner.token))
    ENDS_OF_A_TOKEN[end](acme, ServiceKey.objects.get())
    stale = caller(acme.owner.token, fresh=False)
    assert not is_current(stale)
    assert not is_current(caller(svc, acme.owner.token, fresh=False))
    versions.arrived(acme.tenant.id, versions.number_of(acme.tenant.id))
    with pytest.raises(Unauthenticated):
        caller(acme.owner.token, fresh=False)


@pytest.mark.parametrize("end", ENDS_OF_A_KEY)
def test_a_key_that_ends_is_refused_by_the_very_next_request(acme: cast.Company, svc: str, end: str) -> None:
    """Defect 28."""
    assert is_current(caller(svc))
    ENDS_OF_A_KEY[end](acme, ServiceKey.objects.get())
    stale = caller(svc, fresh=False)
    assert not is_current(stale)
    with pytest.raises(Unauthenticated):
        caller(svc, fresh=True)
    with pytest.raises(Unauthenticated):
        caller(svc, fresh=False)


def test_what_another_process_revoked_is_refused_here(committed: None, acme: cast.Company, svc: str) -> None:
    """Defect 28: this process is told nothing, and its snapshots are from before."""
    assert is_current(caller(svc, acme.owner.token))
    at_once(
        lambda: tokens.revoke_key(ServiceKey.objects.get(), now=NOW),
        lambda: tokens.set_status(_token(acme), TokenStatus.REVOKED),
    )
    assert not is_current(caller(svc, fresh=False))
    assert not is_current(caller(acme.owner.token, fresh=False))
    for text in (svc, acme.owner.token):
        with pytest.raises(Unauthenticated):
            caller(text, fresh=True)


def test_a_credential_issued_or_revived_a_moment_ago_works_at_once(acme: cast.Company, svc: str) -> None:
    """A refusal from a stale snapshot would be as wrong as a permit: it is compared before anybody is told."""
    caller(svc, acme.owner.token)
    key = tokens.issue_key("new", [Scope.READ], tenant=acme.tenant)
    assert caller(key.text, fresh=False).tenant == acme.tenant.id
    token = tokens.issue_for_user(acme.people[0].user)
    assert caller(token.text, fresh=False).user_key == str(acme.people[0].user.id)

    tokens.set_status(token.record, TokenStatus.SUSPENDED)
    assert caller(svc, token.text).has_bad_ati_token
    tokens.set_status(token.record, TokenStatus.ACTIVE)
    assert not caller(svc, token.text, fresh=False).has_bad_ati_token


def test_a_key_given_to_another_tenant_acts_for_it_at_once(acme: cast.Company, rival: cast.Company) -> None:
    key = tokens.issue_key("search", [Scope.ENFORCE], tenant=acme.tenant)
    assert caller(key.text).tenant == acme.tenant.id
    ServiceKey.objects.filter(pk=key.record.pk).update(tenant=rival.tenant)
    assert caller(key.text, rival.owner.token, fresh=False).tenant == rival.tenant.id


@pytest.mark.parametrize(("fresh", "queries"), [(True, 1), (False, 0)])
def test_who_calls_costs_one_query_or_none(
    acme: cast.Company, svc: str, fresh: bool, queries: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Defect 31."""
    caller(svc, acme.owner.token)
    for bearer, ati in ((svc, None), (acme.owner.token, None), (svc, acme.owner.token)):
        with django_assert_num_queries(queries):
            caller(bearer, ati, fresh=fresh)


def test_the_door_asks_for_freshness_unless_the_ledger_confirms(
    acme: cast.Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    class Confirmed:
        is_confirmed_by_ledger = True

    caller(acme.owner.token)
    asked = request(acme.owner.token)
    with django_assert_num_queries(1):
        assert CallerAuthentication().authenticate(asked)[0].tenant == acme.tenant.id
    asked.parser_context = {"view": Confirmed()}
    with django_assert_num_queries(0):
        assert CallerAuthentication().authenticate(asked)[0].tenant == acme.tenant.id
    assert CallerAuthentication().authenticate_header(asked).startswith("Bearer")


def test_credentials_do_not_show_their_secrets(acme: cast.Company, svc: str) -> None:
    found = credentials(svc, acme.owner.token)
    for text in (svc, acme.owner.token):
        assert text.split("_", 2)[2] not in repr(found)
