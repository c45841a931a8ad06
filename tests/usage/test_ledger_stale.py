"""An answer is given only where what it was decided with still holds; else nothing is written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from plans.models import Feature
from tenants import facts, tokens
from tenants.models import Scope, Tenant
from tenants.versions import Numbers
from tests.usage.ledger_world import ALWAYS, Books, breaches, charge, end, released, totals
from usage import ledger
from usage.entries import Basis
from usage.ledger import Stale
from usage.models import UsageEvent, UsageLog, UsageMeter, UsageReservation

UNITS = charge("UNITS", 40, 100)
TICK = timedelta(microseconds=1)


@pytest.fixture
def held(books: Books) -> Iterator[Books]:
    """A tenant with one open reservation, whose key is `k`; service keys have a number from the first one on."""
    change_keys(books)
    books.hold([UNITS], key="k")
    yield books
    assert breaches(books.tenant) == ()


def _reservation(books: Books) -> Any:
    return UsageReservation.objects.for_tenant(books.tenant).get(idempotency_key="k").id


OPERATIONS: dict[str, Callable[[Books, Basis], object]] = {
    "reserve": lambda books, basis: ledger.reserve(books.tenant, basis, books.wanted([UNITS])),
    "reserve, replayed": lambda books, basis: ledger.reserve(books.tenant, basis, books.wanted([UNITS], key="k")),
    "reserve_batch": lambda books, basis: ledger.reserve_batch(books.tenant, basis, [books.wanted([UNITS])] * 2),
    "confirm": lambda books, basis: ledger.confirm(books.tenant, basis, key="k", asked=""),
    "commit": lambda books, basis: ledger.end(
        books.tenant, basis, _reservation(books), end(said=totals(1, 1))
    ),
    "release": lambda books, basis: ledger.end(books.tenant, basis, _reservation(books), released()),
    "report": lambda books, basis: ledger.end(
        books.tenant, basis, _reservation(books), end("REPORT", totals(1, 1))
    ),
    "commit_batch": lambda books, basis: ledger.end_batch(
        books.tenant, basis, [(_reservation(books), end(said=totals(1, 1)))]
    ),
    "extend": lambda books, basis: ledger.extend(books.tenant, basis, _reservation(books), 3600),
    "record": lambda books, basis: ledger.record(
        books.tenant, basis, [books.event(end(said=totals(1, 1)), fact=books.fact([UNITS]))]
    ),
}  # fmt: skip
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def everything_of(books: Books) -> list[Any]:
    tables: list[Any] = [UsageMeter, UsageReservation, UsageLog, UsageEvent]
    return [list(table.objects.for_tenant(books.tenant).order_by("id").values()) for table in tables]


@contextmanager
def nothing_is_written(books: Books) -> Iterator[None]:
    before = everything_of(books)
    yield
    assert everything_of(books) == before


def numbers(books: Books) -> Numbers:
    return ledger.confirm(books.tenant, ALWAYS, key=None, asked="").numbers


def change_catalogue(books: Books) -> None:
    Feature.objects.filter(code="RERANK").update(name="Sorting again")


def change_keys(books: Books) -> None:
    tokens.issue_key("another", [Scope.READ], tenant=None)


def change_tenant(books: Books) -> None:
    Tenant.objects.filter(id=books.tenant).update(name="Another name")


@each_operation
@pytest.mark.parametrize("change", [change_catalogue, change_keys, change_tenant])
def test_a_number_that_moved_makes_the_call_stale(
    held: Books, operation: Callable[[Books, Basis], object], change: Callable[[Books], None]
) -> None:
    old = replace(ALWAYS, numbers=numbers(held))
    assert None not in old.numbers
    change(held)
    with nothing_is_written(held), pytest.raises(Stale) as caught:
        operation(held, old)
    assert abs(caught.value.now - timezone.now()) < timedelta(minutes=1)
    operation(held, replace(ALWAYS, numbers=numbers(held)))


@each_operation
def test_a_number_that_was_not_relied_on_may_move(held: Books, operation: Callable[[Books, Basis], object]) -> None:
    for place in range(3):
        change_catalogue(held)
        only: list[int | None] = [None, None, None]
        only[place] = numbers(held)[place]
        operation(Books.of(held.tenant), replace(ALWAYS, numbers=Numbers(*only)))


@each_operation
def test_a_date_that_passed_or_has_not_come_makes_the_call_stale(
    held: Books, operation: Callable[[Books, Basis], object]
) -> None:
    """Defect 50: an answer is for one window, and the database's clock says whether it is in it."""
    now = ledger.confirm(held.tenant, ALWAYS, key=None, asked="").at
    for basis in (replace(ALWAYS, until=now), replace(ALWAYS, since=now + timedelta(minutes=1))):
        with nothing_is_written(held), pytest.raises(Stale) as caught:
            operation(held, basis)
        assert now <= caught.value.now < now + timedelta(minutes=1)
    operation(held, replace(ALWAYS, since=now, until=now + timedelta(minutes=1)))


def test_a_window_that_ends_between_two_of_a_batch_makes_all_of_it_stale(books: Books) -> None:
    """They are confirmed one after another, each by the clock of its turn."""
    asked = [(f"k{number}", "") for number in range(5_000)]
    first = ledger.confirm_batch(books.tenant, ALWAYS, asked)
    takes = first[-1].at - first[0].at
    now = ledger.confirm(books.tenant, ALWAYS, key=None, asked="").at

    def confirm() -> None:
        while True:  # one that is done too early is no trial
            ledger.confirm_batch(books.tenant, replace(ALWAYS, until=now + takes / 2), asked)

    with pytest.raises(Stale):
        confirm()


@pytest.mark.parametrize(("since", "until", "stale"), [(0, 1, False), (1, 2, True), (-1, 0, True), (-1, 1, False)])
def test_a_window_has_its_beginning_and_not_its_end(books: Books, since: int, until: int, stale: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_is_stale('{NULL,NULL,NULL}', '{1,2,3}', %s, %s, %s)",
            [books.at + since * TICK, books.at + until * TICK, books.at],
        )
        assert cursor.fetchone()[0] is stale


def test_a_stale_answer_drops_the_snapshots_that_are_behind(books: Books) -> None:
    before = facts.tenant(books.tenant)
    change_tenant(books)
    assert facts.tenant(books.tenant) is before
    with pytest.raises(Stale):
        ledger.reserve(books.tenant, replace(ALWAYS, numbers=Numbers(tenant=before.number)), books.wanted([UNITS]))
    assert facts.tenant(books.tenant).number > before.number
