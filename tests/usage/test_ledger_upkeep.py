"""What keeps the ledger right over time: sweeps beside work, pruned minutes, verified periods, denials, reconnects."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from tests.parallel import at_once
from tests.usage.blocked import begin
from tests.usage.ledger_world import ALWAYS, Books, State, charge, end, released, totals
from usage import ledger
from usage.models import Denial, UsageMeter

UNITS = charge("UNITS", 40, 100)


def test_the_sweep_does_not_wait_for_a_reservation_that_somebody_works_on(committed: None, books: Books) -> None:
    mine, idle = (books.hold([replace(UNITS, user=name)], ttl_seconds=0) for name in ("mine", "idle"))
    with transaction.atomic():
        books.settle(mine, end("REPORT", totals(1, 1)))
        assert begin(lambda: ledger.expire(books.tenant)).result(20) == 1
        assert books.reservation(idle).status == "EXPIRED"
    assert books.reservation(mine).status == "OPEN"
    assert ledger.expire(books.tenant) == 1


@pytest.mark.parametrize(("age", "is_made_again"), [(timedelta(hours=2), False), (timedelta(minutes=5), True)])
def test_a_minute_that_was_pruned_is_not_made_again(books: Books, age: timedelta, is_made_again: bool) -> None:
    past = replace(books, at=books.at - age)
    minute = charge("TOKENS", 50, period="MINUTE")
    reservation = past.hold([minute, UNITS])
    past.expire(reservation)
    assert past.meter(minute) == State()
    UsageMeter.objects.filter(id=past.bind([minute])[0].meter).delete()
    assert past.settle(reservation, end(said=totals(7, 3))).outcome == "BOOKED"
    assert UsageMeter.objects.filter(id=past.bind([minute])[0].meter).exists() is is_made_again
    assert past.meter(UNITS) == State(10, 10)


def test_any_booking_makes_a_verified_meter_unverified_and_a_hold_does_not(books: Books) -> None:
    reservation = books.hold([UNITS])
    books.settle(books.hold([UNITS]), end(said=totals(1, 0)))
    row = books.log()[0]

    def stays_verified(call: Any) -> bool:
        UsageMeter.objects.for_tenant(books.tenant).update(verified_at=books.at)
        call()
        return UsageMeter.objects.get(tenant=books.tenant).verified_at is not None

    assert stays_verified(lambda: books.settle(books.hold([replace(UNITS, amount=0)]), released()))
    assert stays_verified(lambda: books.hold([UNITS]))
    for call in (
        lambda: books.settle(reservation, end("REPORT", totals(1, 0))),
        lambda: books.settle(reservation, end(said=totals(2, 0))),
        lambda: books.record(books.event(end(said=totals(1, 0)), fact=books.fact([UNITS]))),
        lambda: ledger.correct(books.tenant, row.id, end(said=totals(2, 0))),
        lambda: books.expire(books.hold([replace(UNITS, amount=1)])),
    ):
        assert not stays_verified(call)


# --- denials


def deny(books: Books, user: str) -> UUID:
    return ledger.deny(
        books.tenant, code="DAILY_QUOTA_EXCEEDED", message=f"no, {user}", user_key=user, feature="EMBEDDINGS",
        task="EMBED", meter=None, binding={"user": user}, decision={"of": user}, now=books.at,
    )  # fmt: skip


def test_alike_denials_of_a_minute_are_counted_in_one_row(books: Books) -> None:
    first = deny(books, "ann")
    assert [deny(books, "ann") for _ in range(3)] == [first] * 3
    row = Denial.objects.get(id=first)
    assert (row.count, row.user_key, row.last_at) == (4, "ann", books.at)
    later = replace(books, at=books.at + timedelta(minutes=1))
    assert deny(later, "ann") != first


def test_a_storm_of_different_denials_fills_60_rows_a_minute_each_about_one_ask(books: Books) -> None:
    """Those that share a row do not mix in it: who was refused, the words and the numbers are of one ask."""
    for number in range(300):
        deny(books, f"user {number}")
    rows = Denial.objects.for_tenant(books.tenant)
    assert len(rows) <= 60
    assert sum(row.count for row in rows) == 300
    assert [row for row in rows if not row.user_key == row.binding["user"] == row.decision["of"]] == []


# --- the connection


def cut() -> None:
    """End this session as an administrator, or a restart of the database, would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        mine = cursor.fetchone()[0]

    def terminate() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [mine])

    at_once(terminate)


def test_a_broken_connection_is_replaced_and_the_call_made_once_more(committed: None, books: Books) -> None:
    reservation = books.hold([UNITS])
    cut()
    assert books.settle(reservation, end(said=totals(1, 0))).outcome == "BOOKED"
    assert books.meter(UNITS) == State(used=1)


def test_a_connection_that_breaks_inside_a_transaction_is_not_replaced(committed: None, books: Books) -> None:
    """What the transaction did before is lost, so going on as if it were there would be wrong."""
    with pytest.raises(OperationalError), transaction.atomic():  # noqa: PT012 - the transaction is the point
        books.hold([UNITS])
        cut()
        books.hold([UNITS])
    connection.close()
    assert books.meter(UNITS) == State()


# --- fingerprints


def test_a_fingerprint_is_of_what_was_asked_and_not_of_its_order(books: Books) -> None:
    other = Books.new()
    asked = {"task": "EMBED", "estimate": {"items": 1, "api_calls": None}}
    same = {"estimate": {"api_calls": None, "items": 1}, "task": "EMBED"}
    first = ledger.fingerprint("enforce", books.tenant, asked)
    assert first == ledger.fingerprint("enforce", books.tenant, same)
    different = [
        ledger.fingerprint("check", books.tenant, asked),
        ledger.fingerprint("enforce", other.tenant, asked),
        ledger.fingerprint("enforce", books.tenant, asked | {"estimate": {"items": 1, "api_calls": 0}}),
        ledger.fingerprint("enforce", books.tenant, asked | {"user": "ann"}),
    ]
    assert len({first, *different}) == 5


def test_a_check_reads_the_meters_and_a_key_that_was_granted_is_replayed_by_it(books: Books) -> None:
    books.hold([UNITS], key="k", body="b")
    asked = ledger.fingerprint("enforce", books.tenant, {"body": "b"})
    meter = books.bind([UNITS])[0].meter
    nowhere = books.bind([charge("COST", 1)])[0].meter
    look = ledger.confirm(books.tenant, ALWAYS, key=None, asked=asked, meters=[nowhere, meter])
    assert (look.outcome, [reading.reserved for reading in look.readings]) == ("CONFIRMED", [0, 40])
    assert ledger.confirm(books.tenant, ALWAYS, key="k", asked=asked).outcome == "REPLAY"
    assert ledger.confirm(books.tenant, ALWAYS, key="k", asked="00").outcome == "CONFLICT"
    assert ledger.confirm(books.tenant, ALWAYS, key="l", asked=asked).outcome == "CONFIRMED"
    assert UsageMeter.objects.for_tenant(books.tenant).count() == 1


@pytest.mark.parametrize("field", ["measure", "period"])
def test_a_meter_is_of_a_known_measure_and_period(books: Books, field: str) -> None:
    books.hold([UNITS])
    meter = UsageMeter.objects.get(id=books.bind([UNITS])[0].meter)
    with pytest.raises(IntegrityError, match="ODD is not among the values"), transaction.atomic():
        UsageMeter.objects.filter(id=meter.id).update(**{field: "ODD"})
    setattr(meter, field, "ODD")
    meter.id = uuid4()
    with pytest.raises(IntegrityError, match="ODD is not among the values"), transaction.atomic():
        meter.save(force_insert=True)
