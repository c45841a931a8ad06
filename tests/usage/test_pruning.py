"""Pruning: what no longer counts goes, and nothing goes that somebody may still ask for."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import models, transaction
from django.utils import timezone
from structlog.testing import capture_logs

from tests.cast import Company
from tests.database import run
from tests.parallel import at_once
from tests.usage.ledger_world import Books, end, everything, released, totals
from usage import keeper, pruning
from usage.audit import audit
from usage.models import Denial, UsageEvent, UsageMeter, UsageReservation

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHARGES = everything("TOKENS", limits={"UNITS": 10**9, "COST": 10**9, "SLOTS": 10_000, "REQUESTS": 10_000})
SOME = totals(30, 10, calls=1, items=1)


def reservation(company: Company, status: str, age: timedelta) -> models.Model:
    """One that ended so, that long ago."""
    books = Books.of(company.tenant.id)
    made = books.hold(CHARGES)
    if status == "EXPIRED":
        books.expire(made)
    else:
        books.settle(made, released() if status == "RELEASED" else end(said=SOME))
    UsageReservation.objects.filter(id=made).update(ended_at=timezone.now() - age)
    return UsageReservation.objects.get(id=made, status=status)


def event(company: Company, _: str, age: timedelta) -> models.Model:
    books = Books.of(company.tenant.id)
    books.record(books.event(end(said=SOME), fact=books.fact(CHARGES), event_id=str(uuid4())))
    UsageEvent.objects.update(recorded_at=timezone.now() - age)
    return UsageEvent.objects.get()


def denial(company: Company, _: str, age: timedelta) -> models.Model:
    at = timezone.now() - age
    return Denial.objects.create(
        id=uuid4(), tenant=company.tenant, code="X", message="", decision={}, minute=at, bucket=0, last_at=at,
        is_rolled=True,
    )  # fmt: skip


def minute(company: Company, _: str, age: timedelta) -> models.Model:
    """A minute that ended so long ago."""
    over_at = timezone.now() - age
    return UsageMeter.objects.create(
        id=uuid4(), tenant=company.tenant, measure="REQUESTS", period="MINUTE", used=5,
        period_start=over_at - timedelta(minutes=1), period_end=over_at,
    )  # fmt: skip


Make = Callable[[Company, str, timedelta], models.Model]


def is_kept(row: models.Model) -> bool:
    return type(row)._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize(
    ("make", "kind", "stays", "goes"),
    [
        (reservation, "COMMITTED", 47 * HOUR, 49 * HOUR),
        (reservation, "RELEASED", 47 * HOUR, 49 * HOUR),
        (reservation, "EXPIRED", 34 * DAY, 36 * DAY),
        (denial, "", 89 * DAY, 91 * DAY),
        # An event may occur five minutes after it was sent, and be sent again until 35 days after that (defect 47).
        (event, "", 35 * DAY + HOUR / 2, 35 * DAY + 2 * HOUR),
        # A settlement may be on its way when the hour is over.
        (minute, "", HOUR + timedelta(seconds=30), HOUR + timedelta(seconds=90)),
    ],
)
def test_each_kind_goes_in_its_time(make: Make, kind: str, stays: timedelta, goes: timedelta, acme: Company) -> None:
    row = make(acme, kind, stays)
    keeper.once()
    assert is_kept(row)
    row.delete()
    row = make(acme, kind, goes)
    keeper.once()
    assert not is_kept(row)


def test_what_is_held_open_or_longer_than_a_minute_never_goes(acme: Company) -> None:
    books = Books.of(acme.tenant.id)
    books.hold(CHARGES)
    run("UPDATE usage_usagereservation SET expires_at = now() + interval '7 days'")
    run("UPDATE usage_usagemeter SET period_start = period_start - interval '1 year' WHERE period <> 'OPEN'")
    keeper.once()
    assert UsageMeter.objects.count() == 5
    assert UsageReservation.objects.count() == 1


def test_a_ledger_is_right_after_everything_old_is_gone(acme: Company) -> None:
    """What is left adds up; the log stays, and says what was booked."""
    books = Books.of(acme.tenant.id)
    one, other, late = (books.hold(CHARGES) for _ in range(3))
    books.settle(one, end(said=SOME))
    books.settle(other, released())
    books.expire(late)
    books.record(books.event(end(said=SOME), fact=books.fact(CHARGES)))
    run("UPDATE usage_usagereservation SET ended_at = now() - interval '10 days'")
    run("UPDATE usage_usageevent SET recorded_at = now() - interval '40 days'")
    # The minute in the reservation's own words as well: the ledger asks those whether to make the meter again.
    run(
        "UPDATE usage_usagereservation SET charges = (SELECT jsonb_agg(CASE WHEN c->>4 = 'MINUTE'"
        " THEN jsonb_set(c, '{6}', to_jsonb(now() - interval '2 hours')) ELSE c END)"
        " FROM jsonb_array_elements(charges) AS e(c))"
    )
    run("UPDATE usage_usagemeter SET period_start = period_start - interval '2 hours' WHERE period = 'MINUTE'")
    with capture_logs() as said:
        keeper.once()
    assert [line for line in said if line["event"] == "pruned"] == [
        {"event": "pruned", "log_level": "info", "minutes": 1, "committed": 1, "released": 1, "events": 1}
    ]
    assert audit(full=True).is_clean

    # One that expired may still be committed; its minute is not made again.
    assert books.settle(late, end(said=SOME)).outcome == "BOOKED"
    assert not UsageMeter.objects.filter(period="MINUTE").exists()
    assert audit(full=True).is_clean


def test_rows_that_somebody_works_on_are_left_for_later(committed: None, acme: Company) -> None:
    busy, idle = (reservation(acme, "COMMITTED", 3 * DAY) for _ in range(2))
    locked, done = threading.Event(), threading.Event()

    def work() -> None:
        with transaction.atomic():
            UsageReservation.objects.select_for_update().get(pk=busy.pk)
            locked.set()
            assert done.wait(30)

    def keep() -> None:
        assert locked.wait(30)
        try:
            keeper.once()
        finally:
            done.set()

    at_once(work, keep)
    assert is_kept(busy)
    assert not is_kept(idle)
    keeper.once()
    assert not is_kept(busy)


def test_several_keepers_prune_together_beside_the_ledger(committed: None, acme: Company) -> None:
    """Slices of all of them and settlements meet on the same tables: no deadlock, and the books are right."""
    run(
        "INSERT INTO usage_denial (id, tenant_id, code, message, decision, minute, bucket, count, last_at, is_rolled)"
        " SELECT gen_random_uuid(), %s, 'X', '', '{}', now() - n * interval '100 days', 0, 1, now(), true"
        " FROM generate_series(1, 2500) AS g(n)",
        acme.tenant.id,
    )
    run(
        "INSERT INTO usage_usagemeter (id, tenant_id, measure, period, period_start, used, reserved, overrun, archived)"
        " SELECT gen_random_uuid(), %s, 'REQUESTS', 'MINUTE', now() - interval '1 day', 1, 0, 0, 0"
        " FROM generate_series(1, 2500)",
        acme.tenant.id,
    )
    books = Books.of(acme.tenant.id)

    def settle() -> None:
        for _ in range(30):
            books.settle(books.hold(CHARGES), end(said=SOME))

    at_once(keeper.once, keeper.once, keeper.once, settle, settle)
    assert not Denial.objects.exists()
    assert set(UsageMeter.objects.filter(period="MINUTE").values_list("used", flat=True)) == {60}
    assert audit(full=True).is_clean


def test_a_slice_is_bounded(acme: Company) -> None:
    run(
        "INSERT INTO usage_denial (id, tenant_id, code, message, decision, minute, bucket, count, last_at, is_rolled)"
        " SELECT gen_random_uuid(), %s, 'X', '', '{}', now() - n * interval '100 days', 0, 1, now(), true"
        " FROM generate_series(1, 1500) AS g(n)",
        acme.tenant.id,
    )
    denials = next(old for old in pruning.OLD if old.name == "denials")
    assert [pruning.remove_slice(denials, timezone.now()) for _ in range(3)] == [1000, 500, 0]
