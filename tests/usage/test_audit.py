"""The audit: silent on a ledger that is right, whatever happens to it; loud on every way it can be wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from tests.cast import Company
from tests.database import run
from tests.usage.ledger_world import Books, end, everything, released, totals
from usage import ledger
from usage.audit import Breach, audit
from usage.models import UsageMeter, UsageReservation

LIMITS = {"UNITS": 1_000_000, "TOKENS": 1_000_000, "COST": 1_000_000, "REQUESTS": 100, "SLOTS": 100}
CHARGES = everything("TOKENS", limits=LIMITS)
SOME = totals(30, 10, calls=1, items=1)
MORE = totals(300, 100, calls=5, items=7)


@dataclass(frozen=True, slots=True)
class Story:
    """A tenant whose reservations ended in every way."""

    books: Books
    committed: UUID
    released: UUID
    expired: UUID
    late: UUID
    open: UUID


def story(company: Company) -> Story:
    books = Books.of(company.tenant.id)
    told = Story(books, *(books.hold(CHARGES) for _ in range(5)))
    books.settle(told.committed, end("REPORT", SOME))
    books.settle(told.committed, end(said=MORE))
    books.settle(told.released, released())
    books.expire(told.expired, told.late)
    books.settle(told.late, end(said=SOME))
    books.settle(told.open, end("REPORT", SOME))
    books.record(books.event(end(said=SOME), fact=books.fact(CHARGES)))
    # A fact that names a released reservation is not a second end of it.
    books.record(books.event(end(said=SOME), fact=books.fact(CHARGES), reservation=told.released))
    wrong = next(row for row in books.log() if row.reservation_id == told.committed and row.status == "COMPLETED")
    ledger.correct(books.tenant, wrong.id, end(said=totals(250, 90)))
    return told


@pytest.fixture
def told(acme: Company) -> Story:
    return story(acme)


@contextmanager
def log_open_to_tampering() -> Iterator[None]:
    run("ALTER TABLE usage_usagelog DISABLE TRIGGER USER")
    yield
    run("ALTER TABLE usage_usagelog ENABLE TRIGGER USER")


def found(*tenants: UUID, full: bool = False) -> set[str]:
    """The invariants that an audit finds broken."""
    return {breach.invariant for breach in audit(tenants or None, full=full).breaches}


@pytest.mark.parametrize("full", [False, True])
def test_a_ledger_after_every_kind_of_end_is_right(told: Story, *, full: bool) -> None:
    report = audit(full=full)
    assert report.breaches == ()
    assert report.is_clean
    assert (report.tenants, report.meters, report.reservations) == (1, 5, 5)
    assert report.log_rows == len(told.books.log())


def test_an_empty_ledger_is_right(db: None) -> None:
    report = audit()
    assert report.is_clean
    assert report.tenants == 0


LOG = "UPDATE usage_usagelog SET {} WHERE tenant_id = %(tenant)s AND status = 'COMPLETED' AND late"
METER = "UPDATE usage_usagemeter SET {} WHERE tenant_id = %(tenant)s AND measure = 'UNITS'"
HELD = "UPDATE usage_usagereservation SET {} WHERE id = %(open)s"
FREE = "ALTER TABLE usage_usagemeter DROP CONSTRAINT usage_usagemeter_no_overspend; "

TAMPERED: dict[str, tuple[str, set[str]]] = {
    "the constraint is gone": (FREE, {"I1"}),
    "the constraint was added without a look at the rows": (
        FREE + "ALTER TABLE usage_usagemeter ADD CONSTRAINT usage_usagemeter_no_overspend CHECK (true) NOT VALID",
        {"I1"},
    ),
    "a meter is over its limit": (FREE + METER.format("limit_amount = 1"), {"I1"}),
    "a reservation was granted without room": (
        HELD.format(
            "readings = array_fill(90, ARRAY[15]), decision = jsonb_build_object('limits',"
            " (SELECT jsonb_agg(jsonb_build_array('X', 200, true, NULL)) FROM generate_series(1, 5)))"
        ),
        {"I1"},
    ),
    "a meter says more than the log": (METER.format("used = used + 1"), {"I2"}),
    "a meter says less than the log": (METER.format("used = used - 1"), {"I2"}),
    "a log row was changed": (LOG.format("charges = array_fill(7::bigint, ARRAY[cardinality(charges)])"), {"I2"}),
    "usage on a meter of slots": (
        "UPDATE usage_usagemeter SET used = used + 1 WHERE tenant_id = %(tenant)s AND measure = 'SLOTS'",
        {"I2"},
    ),
    "a hold is not counted": (METER.format("reserved = 0"), {"I3"}),
    "a minute's hold is not counted": (
        "UPDATE usage_usagemeter SET reserved = 9 WHERE tenant_id = %(tenant)s AND period = 'MINUTE'",
        {"I3"},
    ),
    "a hold is counted that nobody has": (METER.format("reserved = reserved + 150"), {"I3"}),
    "an open reservation says it booked less": (HELD.format("booked = array_fill(0, ARRAY[5])"), {"I3"}),
    "an overrun was forgotten": (METER.format("overrun = overrun - 1"), {"I4"}),
    "an overrun was invented": (METER.format("overrun = overrun + 1"), {"I4"}),
    "an end has no log row": (
        "DELETE FROM usage_usagelog WHERE tenant_id = %(tenant)s AND reservation_id = %(released)s"
        " AND status = 'RELEASED'",
        {"I5"},
    ),
    "a commit has no log row": (
        "DELETE FROM usage_usagelog WHERE tenant_id = %(tenant)s AND reservation_id = %(late)s AND late",
        {"I2", "I4", "I5"},
    ),
    "a reservation ended twice": (
        "INSERT INTO usage_usagelog SELECT (jsonb_populate_record(l, jsonb_build_object("
        "'id', ledger_uuid7(clock_timestamp()), 'meters', '{}'::text[], 'charges', '{}'::int[],"
        " 'overruns', '{}'::int[]))).* FROM usage_usagelog l WHERE reservation_id = %(expired)s",
        {"I5"},
    ),
    "an open one has an end": (
        "UPDATE usage_usagelog SET reservation_id = %(open)s WHERE reservation_id = %(released)s"
        " AND status = 'RELEASED'",
        {"I5"},
    ),
    "a status is not what the log says": (
        "UPDATE usage_usagereservation SET status = 'RELEASED' WHERE id = %(expired)s",
        {"I5"},
    ),
    "a late commit is not marked as late": (LOG.format("late = false"), {"I5"}),
    "a meter that is held is gone": (
        "DELETE FROM usage_usagemeter WHERE tenant_id = %(tenant)s AND period IN ('MINUTE', 'OPEN')",
        {"I6"},
    ),
    "a meter with usage is gone": ("DELETE FROM usage_usagemeter WHERE measure = 'COST'", {"I6", "ORPHAN"}),
    "a list is too short": (HELD.format("periods = periods[1:4]"), {"I6"}),
    "a reservation is open 11 s after its deadline": (
        HELD.format("expires_at = clock_timestamp() - interval '11 seconds'"),
        {"I11"},
    ),
    "the tenant of the ledger is gone": (
        "UPDATE usage_usagemeter SET tenant_id = gen_random_uuid() WHERE measure = 'SLOTS'",
        {"I3", "I6", "ORPHAN"},
    ),
    "a feature is unknown": (METER.format("feature_id = 'GONE'"), {"ORPHAN"}),
    "a task is unknown": (LOG.format("task_id = 'GONE'"), {"ORPHAN"}),
    "a model class is unknown": (HELD.format("model_class_id = 'GONE'"), {"ORPHAN"}),
    "a plan is unknown": (LOG.format("plan_id = gen_random_uuid()"), {"ORPHAN"}),
    "a log row is of no month": (
        "INSERT INTO usage_usagelog SELECT (jsonb_populate_record(l, jsonb_build_object("
        "'id', '00000000-0000-7000-8000-000000000000'))).* FROM usage_usagelog l WHERE status = 'EXPIRED' LIMIT 1",
        {"PARTITION"},
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_it_finds(how: str, told: Story) -> None:
    """Defects 15, 36, 37 and 38 would show here."""
    statements, invariants = TAMPERED[how]
    with log_open_to_tampering(), connection.cursor() as cursor:
        ids = {name: getattr(told, name) for name in ("committed", "released", "expired", "late", "open")}
        for statement in statements.split("; "):
            if statement:
                cursor.execute(statement, ids | {"tenant": told.books.tenant})
    assert found() == invariants
    assert found(full=True) == invariants


def test_a_breach_names_tenant_meter_and_both_numbers(told: Story) -> None:
    meter = UsageMeter.objects.get(tenant=told.books.tenant, measure="UNITS")
    run("UPDATE usage_usagemeter SET used = used + 5 WHERE id = %s", meter.id)
    assert audit().breaches == (
        Breach(
            invariant="I2",
            tenant=told.books.tenant,
            subject=f"meter {meter.id} PATENT_DRAFTING UNITS DAY {meter.period_start:%Y-%m-%d %H:%M}",
            expected=f"used = charges in the log + archived = {meter.used}",
            found=str(meter.used + 5),
        ),
    )


def test_a_reservation_may_be_open_for_9_s_after_its_deadline(told: Story) -> None:
    run("UPDATE usage_usagereservation SET expires_at = now() - interval '9 seconds' WHERE id = %s", told.open)
    assert found() == set()


def test_a_booked_event_without_its_log_row_is_found_by_a_full_audit(told: Story) -> None:
    run("UPDATE usage_usageevent SET log_id = gen_random_uuid()")
    assert found(full=True) == {"ORPHAN"}


def test_a_part_of_the_log_that_was_archived_counts(told: Story) -> None:
    with log_open_to_tampering():
        run("DELETE FROM usage_usagelog WHERE reservation_id = %s", told.committed)
        run("DELETE FROM usage_usagereservation WHERE id = %s", told.committed)
    assert found() == {"I2", "I4"}
    for meter in UsageMeter.objects.filter(tenant=told.books.tenant, period__in=("DAY", "MONTH")):
        logged = sum(row.charges[row.meters.index(meter.id)] for row in told.books.log())
        run("UPDATE usage_usagemeter SET archived = %s WHERE id = %s", meter.used - logged, meter.id)
    assert found() == set()
    run("UPDATE usage_usagemeter SET overrun = 0, limit_amount = NULL WHERE measure = 'UNITS'")
    assert found() == {"I4"}


def test_what_is_wrong_with_one_tenant_is_not_told_of_another(told: Story, rival: Company) -> None:
    other = story(rival)
    run("UPDATE usage_usagemeter SET used = used + 1 WHERE tenant_id = %s", other.books.tenant)
    assert audit([told.books.tenant]).is_clean
    assert {breach.tenant for breach in audit().breaches} == {other.books.tenant}


# --- periods that are over


def close(told: Story) -> None:
    """The day is over, and nothing is held on it any more."""
    told.books.settle(told.open, released())
    run("UPDATE usage_usagemeter SET period_end = now() - interval '1 second' WHERE period = 'DAY'")


def verified(told: Story) -> set[str]:
    rows = UsageMeter.objects.filter(tenant=told.books.tenant, verified_at__isnull=False)
    return {f"{row.measure} {row.period}" for row in rows}


def test_an_ended_period_is_checked_once_and_again_with_full(told: Story) -> None:
    close(told)
    assert verified(told) == set()
    assert found() == set()
    assert verified(told) == {"UNITS DAY", "COST DAY"}
    run("UPDATE usage_usagemeter SET used = used + 1 WHERE measure = 'UNITS'")
    assert found() == set()
    assert found(full=True) == {"I2"}


def test_a_later_booking_has_it_checked_again(told: Story) -> None:
    close(told)
    audit()
    told.books.settle(told.expired, end(said=SOME))
    assert verified(told) == set()
    assert found() == set()
    assert verified(told) == {"UNITS DAY", "COST DAY"}


def test_what_is_wrong_is_not_marked_as_verified(told: Story) -> None:
    close(told)
    run("UPDATE usage_usagemeter SET used = used + 1 WHERE measure = 'UNITS'")
    assert found() == {"I2"}
    assert verified(told) == {"COST DAY"}
    assert found() == {"I2"}


def test_a_period_with_open_holds_is_not_verified(told: Story) -> None:
    run("UPDATE usage_usagemeter SET period_end = now() - interval '1 second' WHERE period = 'DAY'")
    assert found() == set()
    assert verified(told) == set()


def test_what_was_booked_before_its_period_began_counts(told: Story) -> None:
    """A fact may be booked five minutes before the period it falls in."""
    soon = timezone.now() + timedelta(minutes=4)
    tomorrow = Books(told.books.tenant, soon)
    run("UPDATE usage_usagemeter SET verified_at = now() WHERE period IN ('DAY', 'MONTH')")
    ahead = everything("REQUESTS", limits=LIMITS)[:1]
    tomorrow.record(tomorrow.event(end(said=SOME), fact=tomorrow.fact(ahead, unit="REQUESTS")))
    run("UPDATE usage_usagemeter SET period_start = %s WHERE feature_id = 'DIAGRAM_GENERATION'", soon)
    assert found() == set()


def test_reservations_that_ended_long_ago_are_looked_at_with_full(told: Story) -> None:
    ended = timezone.now() - timedelta(hours=1)
    UsageReservation.objects.filter(id=told.expired).update(status="RELEASED", ended_at=ended)
    assert found() == set()
    assert found(full=True) == {"I5"}
