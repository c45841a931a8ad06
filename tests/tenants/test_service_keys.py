"""Service keys: issue, rotation with grace, revocation, and how many calls a second."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from tenants import authentication, tokens
from tenants.authentication import Buckets, Caller, CallerAuthentication, Throttled, Unauthenticated
from tenants.models import Scope, ServiceKey
from tenants.tokens import TokenError
from tests import cast
from tests.parallel import at_once
from tests.tenants.credentials import credentials, request

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


def caller(text: str, now: datetime = NOW) -> Caller:
    return authentication.resolve(credentials(text), now=now, fresh=True)


def test_a_key_may_do_what_its_scopes_say(acme: cast.Company) -> None:
    issued = tokens.issue_key("search", [Scope.READ, Scope.ENFORCE, Scope.READ], tenant=acme.tenant)
    found = caller(issued.text)
    assert found.scopes == {Scope.ENFORCE, Scope.READ}
    assert (found.tenant, found.key) == (acme.tenant.id, issued.record.id)
    assert (found.user_key, found.sees_all) == (None, True)
    with pytest.raises(TokenError, match="at least one"):
        tokens.issue_key("search", [])


def test_a_key_without_a_tenant_may_act_for_any(svc: str) -> None:
    assert caller(svc).tenant is None
    assert caller(svc).scopes == set(Scope)


def test_the_old_key_works_until_its_grace_is_over(acme: cast.Company) -> None:
    old = tokens.issue_key("search", [Scope.REPORT], tenant=acme.tenant, calls_per_second=7)
    new = tokens.rotate_key(old.record, now=NOW, grace=HOUR)
    assert new.text != old.text
    assert caller(old.text).until == NOW + HOUR
    ServiceKey.objects.filter(pk=old.record.pk).update(revoked_at=NOW)
    with pytest.raises(Unauthenticated, match="Ask for a new one"):
        caller(old.text)
    found = caller(new.text)
    assert found.scopes == {Scope.REPORT}
    assert (found.tenant, found.calls_per_second) == (acme.tenant.id, 7)
    assert (found.key, found.until) == (new.record.id, None)


def test_rotation_without_grace_ends_the_old_key_at_once(svc: str) -> None:
    old = ServiceKey.objects.get()
    tokens.rotate_key(old, now=NOW, grace=timedelta(0))
    with pytest.raises(Unauthenticated):
        caller(svc)


def test_a_key_is_rotated_once_and_only_while_it_works(db: None) -> None:
    old = tokens.issue_key("a", [Scope.READ]).record
    new = tokens.rotate_key(old, now=NOW, grace=HOUR).record
    with pytest.raises(TokenError, match="rotate the new one"):
        tokens.rotate_key(old, now=NOW, grace=HOUR)
    tokens.revoke_key(new, now=NOW)
    with pytest.raises(TokenError, match="revoked or expired"):
        tokens.rotate_key(new, now=NOW, grace=HOUR)
    expired = tokens.issue_key("b", [Scope.READ], expires_at=NOW).record
    with pytest.raises(TokenError, match="revoked or expired"):
        tokens.rotate_key(expired, now=NOW, grace=HOUR)


def test_two_rotations_at_once_make_one_key(committed: None) -> None:
    old = tokens.issue_key("a", [Scope.READ]).record

    def rotate() -> bool:
        try:
            tokens.rotate_key(ServiceKey.objects.get(pk=old.pk), now=NOW, grace=HOUR)
        except TokenError:
            return False
        return True

    assert sorted(at_once(*[rotate] * 4)) == [False, False, False, True]
    assert ServiceKey.objects.count() == 2


def test_grace_does_not_lengthen_a_life_that_ends_sooner(db: None) -> None:
    issued = tokens.issue_key("a", [Scope.READ])
    tokens.revoke_key(issued.record, now=NOW + HOUR)
    tokens.rotate_key(issued.record, now=NOW, grace=3 * HOUR)
    assert caller(issued.text).until == NOW + HOUR
    tokens.revoke_key(issued.record, now=NOW + 2 * HOUR)
    assert caller(issued.text).until == NOW + HOUR


def test_a_key_expires_at_its_date(db: None) -> None:
    issued = tokens.issue_key("a", [Scope.READ], expires_at=NOW + HOUR)
    assert caller(issued.text).until == NOW + HOUR
    ServiceKey.objects.update(expires_at=NOW)
    with pytest.raises(Unauthenticated, match="expired"):
        caller(issued.text)


# --- Calls per second --------------------------------------------------------------


@pytest.fixture
def one_process(settings: Settings) -> Settings:
    settings.API_PROCESSES = 1
    return settings


KEY = UUID(int=7)


def test_a_bucket_gives_so_many_calls_a_second_and_says_when_to_come_back(one_process: Settings) -> None:
    buckets = Buckets()
    for _ in range(5):
        buckets.take(KEY, 5, 100.0)
    with pytest.raises(Throttled) as caught:
        buckets.take(KEY, 5, 100.0)
    assert caught.value.retry_after_seconds == 1
    buckets.take(KEY, 5, 100.2)
    with pytest.raises(Throttled):
        buckets.take(KEY, 5, 100.2)


def test_a_refused_call_costs_nothing(one_process: Settings) -> None:
    buckets = Buckets()
    buckets.take(KEY, 1, 0.0)
    for at in (0.1, 0.5, 0.9):
        with pytest.raises(Throttled):
            buckets.take(KEY, 1, at)
    buckets.take(KEY, 1, 1.0)


def test_rest_fills_a_bucket_to_one_second_and_no_further(one_process: Settings) -> None:
    buckets = Buckets()
    buckets.take(KEY, 3, 0.0)
    taken = 0
    with pytest.raises(Throttled):  # noqa: PT012 - it gives what it holds, then no more
        while True:
            buckets.take(KEY, 3, 86_400.0)
            taken += 1
    assert taken == 3


def test_the_processes_divide_a_keys_number(one_process: Settings) -> None:
    one_process.API_PROCESSES = 4
    buckets = Buckets()
    buckets.take(KEY, 1, 0.0)
    with pytest.raises(Throttled) as caught:
        buckets.take(KEY, 1, 1.0)
    assert caught.value.retry_after_seconds == 3
    buckets.take(KEY, 1, 4.0)


def test_each_key_has_its_own_bucket(one_process: Settings) -> None:
    buckets = Buckets()
    buckets.take(KEY, 1, 0.0)
    buckets.take(UUID(int=8), 1, 0.0)


def test_threads_take_no_more_than_a_bucket_holds(one_process: Settings) -> None:
    buckets = Buckets()

    def take_all() -> int:
        taken = 0
        for _ in range(100):
            try:
                buckets.take(KEY, 50, 0.0)
            except Throttled:
                continue
            taken += 1
        return taken

    assert sum(at_once(*[take_all] * 8)) == 50


def authenticate(bearer: str, ati: str | None = None) -> Caller:
    return CallerAuthentication().authenticate(request(bearer, ati))[0]


def test_a_request_beyond_the_keys_number_is_throttled(one_process: Settings, acme: cast.Company) -> None:
    slow = tokens.issue_key("slow", [Scope.READ], calls_per_second=1).text
    fast = tokens.issue_key("fast", [Scope.READ]).text
    authenticate(slow)
    with pytest.raises(Throttled, match="try again in 1 s"):
        authenticate(slow, acme.owner.token)
    authenticate(fast)
    authenticate(acme.owner.token)


def test_a_wrong_secret_takes_nothing_from_the_key(one_process: Settings, db: None) -> None:
    text = tokens.issue_key("slow", [Scope.READ], calls_per_second=1).text
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            authenticate(text[:-43] + "A" * 43)
    authenticate(text)


def test_a_key_remembers_the_day_of_its_last_use_by_one_write_a_day(
    svc: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert ServiceKey.objects.get().last_used_on is None
    authenticate(svc)
    assert ServiceKey.objects.get().last_used_on == datetime.now(UTC).date()
    with django_assert_num_queries(1):  # the comparison of numbers alone
        authenticate(svc)
