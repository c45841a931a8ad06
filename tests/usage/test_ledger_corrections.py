"""Setting a log row right: the difference is booked beside it, in its own periods, and the row stays as it was."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.parallel import at_once
from tests.usage.ledger_world import Books, State, booked, end, fact_charges, totals
from usage import ledger
from usage.entries import End

SAID = end(said=totals(80, 40, cached=20, written=10, calls=1, items=2))  # 200 nano-USD


def corrected(books: Books, log: UUID, right: End) -> str:
    return ledger.correct(books.tenant, log, right).outcome


@pytest.fixture
def log(books: Books) -> UUID:
    """The row of a commit of 120 tokens and 200 nano-USD, of which 150 and 250 were held."""
    held = [replace(each, amount=amount) for each, amount in zip(fact_charges(limit=500), (150, 150, 250), strict=True)]
    answer = books.settle(books.hold(held), SAID)
    assert answer.body is not None
    return UUID(answer.body["log_id"])


def test_a_correction_books_the_difference_and_leaves_the_row_as_it_was(books: Books, log: UUID) -> None:
    assert corrected(books, log, end(said=totals(100, 70), cost=310, facts={"error": "read again"})) == "BOOKED"
    assert books.meters(fact_charges()) == {"UNITS": State(170, 50), "TOKENS": State(170, 50), "COST": State(310, 110)}
    first, second = books.log()
    assert (first.id, first.input_tokens, first.output_tokens, first.cost) == (log, 80, 40, 200)
    assert (second.status, second.refers_to, second.occurred_at) == ("CORRECTION", log, first.occurred_at)
    assert (second.input_tokens, second.output_tokens, second.cost, second.units) == (20, 30, 110, 50)
    assert (second.certainty, second.error, second.reservation_id) == ("FINAL", "read again", first.reservation_id)


def test_a_correction_is_against_the_row_and_its_earlier_corrections(books: Books, log: UUID) -> None:
    """Overrun never falls: what was once beyond the hold stays counted."""
    for right, outcome, units, cost in (
        (end(said=totals(100, 70), cost=310), "BOOKED", State(170, 50), State(310, 110)),
        (end(said=totals(100, 70), cost=310), "UNCHANGED", State(170, 50), State(310, 110)),
        (end(said=totals(10, 5), cost=30), "BOOKED", State(15, 50), State(30, 110)),
        (end(said=totals(80, 40), cost=200), "BOOKED", State(120, 155), State(200, 280)),
        (end(said=totals(80, 40), cost=200), "UNCHANGED", State(120, 155), State(200, 280)),
    ):
        assert corrected(books, log, right) == outcome
        assert books.meters(fact_charges()) == {"UNITS": units, "TOKENS": units, "COST": cost}
    rows = books.log()
    assert [row.status for row in rows] == ["COMPLETED", *["CORRECTION"] * 3]
    assert sum(row.input_tokens + row.output_tokens for row in rows) == 120
    assert sum(row.units for row in rows) == 120
    for each in books.bind(fact_charges()):
        state = books.meter(each.charge)
        assert booked(rows, each.meter) == (state.used, state.overrun)


def test_a_correction_changes_only_what_it_says(books: Books, log: UUID) -> None:
    assert corrected(books, log, end(cost=150)) == "BOOKED"
    assert corrected(books, log, end(said=totals(tokens_out=41), certainty="PARTIAL")) == "BOOKED"
    rows = books.log()
    assert [(row.input_tokens, row.output_tokens, row.cost, row.certainty) for row in rows] == [
        (80, 40, 200, "FINAL"), (0, 0, -50, "FINAL"), (0, 1, 0, "PARTIAL"),
    ]  # fmt: skip
    assert books.meters(fact_charges()) == {"UNITS": State(121, 1), "TOKENS": State(121, 1), "COST": State(150, 0)}


def test_only_rows_that_ended_a_call_are_corrected(books: Books, log: UUID) -> None:
    rival = Books.new()
    assert corrected(rival, log, end(cost=1)) == "MISSING"
    assert corrected(books, uuid4(), end(cost=1)) == "MISSING"
    corrected(books, log, end(cost=1))
    assert corrected(books, books.log()[-1].id, end(cost=2)) == "MISSING"
    books.expire(books.hold(fact_charges()))
    assert corrected(books, books.log()[-1].id, end(cost=2)) == "MISSING"


def test_a_cost_that_was_not_known_is_corrected_from_nothing(books: Books) -> None:
    (answer,) = books.record(books.event(end(), fact=books.fact(fact_charges(), rates=None)))
    assert answer.id is not None
    assert corrected(books, answer.id, end(said=totals(80, 40), cost=123)) == "BOOKED"
    assert books.meters(fact_charges())["COST"] == State(123, 123)
    assert [row.cost for row in books.log()] == [None, 123]


def test_a_late_row_and_a_failure_are_corrected_in_their_own_periods(books: Books) -> None:
    before = replace(books, at=books.at - timedelta(days=33))
    late = before.hold(fact_charges())
    before.expire(late)
    before.settle(late, SAID)
    row = books.log()[-1]
    assert row.late
    assert corrected(books, row.id, end(said=totals(90, 40), cost=210)) == "BOOKED"
    assert before.meters(fact_charges()) == {
        "UNITS": State(130, 130),
        "TOKENS": State(130, 130),
        "COST": State(210, 210),
    }

    failed = books.hold(fact_charges("REQUESTS"), unit="REQUESTS")
    books.settle(failed, end("FAILED", totals(1, 1)))
    row = books.log()[-1]
    assert corrected(books, row.id, end(said=totals(2, 2))) == "BOOKED"
    assert books.meters(fact_charges("REQUESTS"))["UNITS"] == State()
    assert books.log()[-1].units == 0


def test_parallel_corrections_to_the_same_totals_book_the_difference_once(committed: None, books: Books) -> None:
    reservation = books.hold(fact_charges())
    books.settle(reservation, SAID)
    (row,) = books.log()
    outcomes = at_once(*[lambda: corrected(books, row.id, end(said=totals(90, 50), cost=300))] * 8)
    assert sorted(outcomes) == ["BOOKED", *["UNCHANGED"] * 7]
    assert books.meters(fact_charges())["COST"].used == 300
