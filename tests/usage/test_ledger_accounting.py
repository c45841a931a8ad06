"""What every ending books on every measure, for every unit of a feature: the table of accounting rules."""

from dataclasses import dataclass, replace

import pytest

from tests.usage.ledger_world import HELD, Books, State, booked, end, everything, released, totals
from usage.entries import End, Ending
from usage.models import UsageLog

UNITS = ("REQUESTS", "TOKENS", "API_CALLS", "ITEMS")

LESS = totals(80, 40, cached=20, written=10, calls=1, items=2)  # 50 + 20/2 + 10*2 + 40*3 = 200 nano-USD
MORE = totals(300, 100, calls=5, items=7)
SOME = totals(30, 10, calls=1, items=1)

# What the log says of them all together: input, cached, written, output, reasoning, calls, items.
NONE = (0, 0, 0, 0, 0, 0, 0)
ALL_LESS = (80, 20, 10, 40, 0, 1, 2)
ALL_MORE = (300, 0, 0, 100, 0, 5, 7)
ALL_SOME = (30, 0, 0, 10, 0, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Over:
    """What no hold covered."""

    requests: int = 0
    tokens: int = 0
    calls: int = 0
    items: int = 0
    cost: int = 0


@dataclass(frozen=True)
class Case:
    """A life of a reservation of HELD, and what is on the books afterwards; `ending` None = its deadline passes."""

    ending: End | None
    said: tuple[int, ...]
    cost: int
    certainty: str = "FINAL"
    over: Over = Over()
    reports: tuple[End, ...] = ()
    expires_first: bool = False

    @property
    def tokens(self) -> int:
        return self.said[0] + self.said[3]

    def units(self, unit: str) -> tuple[int, int]:
        """What it is on the feature's own meter, and what of it no hold covered."""
        completed = int(self.ending is not None and self.ending.kind == Ending.COMPLETED)
        return {
            "REQUESTS": (completed, self.over.requests),
            "TOKENS": (self.tokens, self.over.tokens),
            "API_CALLS": (self.said[5], self.over.calls),
            "ITEMS": (self.said[6], self.over.items),
        }[unit]


def reported(*said: tuple[int | None, ...], cost: int | None = None) -> tuple[End, ...]:
    return tuple(end(Ending.REPORT, each, cost=cost) for each in said)


COMPLETED = {
    "with less than held": Case(end(said=LESS), ALL_LESS, 200),
    "with more than held": Case(end(said=MORE), ALL_MORE, 600, over=Over(tokens=250, calls=3, items=4, cost=350)),
    "at the price of its model": Case(end(said=LESS, cost=123), ALL_LESS, 123),
    "counted in part": Case(end(said=LESS, certainty="PARTIAL"), ALL_LESS, 200, "PARTIAL"),
    "with explicit zeros": Case(end(said=totals(0, 0, cached=0, written=0, calls=0, items=0)), NONE, 0),
    "without calls and items": Case(end(said=totals(80, 40)), (80, 0, 0, 40, 0, 2, 3), 200),
    "without counts": Case(end(), HELD, 250, "UNKNOWN"),
    "without output": Case(end(said=totals(30)), (30, 0, 0, 50, 0, 2, 3), 180, "UNKNOWN"),
    "without output, priced as if that were 0": Case(
        end(said=totals(30), cost=30), (30, 0, 0, 50, 0, 2, 3), 180, "UNKNOWN"
    ),
    "on a model without a price": Case(end(said=LESS, is_unpriced=True), ALL_LESS, 250, "ESTIMATED"),
    "without counts on a model without a price": Case(end(is_unpriced=True), HELD, 250, "UNKNOWN"),
}
FAILED = {
    "failed without usage": Case(end("FAILED"), NONE, 0),
    "failed without usage on a model without a price": Case(end("FAILED", is_unpriced=True), NONE, 0),
    "failed with usage": Case(end("FAILED", LESS), ALL_LESS, 200),
    "failed with more than held": Case(
        end("FAILED", MORE), ALL_MORE, 600, over=Over(tokens=250, calls=3, items=4, cost=350)
    ),
    "released": Case(released(), NONE, 0),
    "expired": Case(None, NONE, 0),
}
REPORTED = {
    "then completed": Case(end(said=LESS), ALL_LESS, 200, reports=reported(SOME)),
    "then failed with usage": Case(end("FAILED", LESS), ALL_LESS, 200, reports=reported(SOME)),
    "then failed in silence": Case(end("FAILED"), ALL_SOME, 60, reports=reported(SOME)),
    "then released": Case(released(), ALL_SOME, 60, reports=reported(SOME)),
    "then expired": Case(None, ALL_SOME, 60, reports=reported(SOME)),
    "then completed without counts": Case(end(), HELD, 250, "UNKNOWN", reports=reported(SOME)),
    "at the price of its model, then failed in silence": Case(
        end("FAILED", cost=0), ALL_SOME, 77, reports=reported(SOME, cost=77)
    ),
    "three times, then expired": Case(None, ALL_LESS, 200, reports=reported(SOME, SOME, LESS)),
    "less than before, then expired": Case(
        None, ALL_SOME, 60, reports=reported(SOME, totals(20, 5, calls=0, items=0))
    ),
    "each count by itself, then expired": Case(
        None, ALL_SOME, 60, reports=reported(totals(30, 0, calls=1, items=0), totals(0, 10, calls=0, items=1))
    ),
    "from the cache, then completed without saying so": Case(
        end(said=totals(10, 10, calls=1, items=1)), (10, 10, 0, 10, 0, 1, 1), 5 + 30,
        reports=reported(totals(30, 10, cached=25, written=5, calls=1, items=1)),
    ),
}  # fmt: skip
BEYOND = {
    "then completed with as much": Case(end(said=MORE), ALL_MORE, 600),
    "then completed with less": Case(end(said=LESS), ALL_LESS, 200),
    "then completed without counts": Case(end(), ALL_MORE, 600, "UNKNOWN"),
    "then expired": Case(None, ALL_MORE, 600),
}
LATE = {
    "committed late": Case(
        end(said=LESS), ALL_LESS, 200, over=Over(requests=1, tokens=120, calls=1, items=2, cost=200)
    ),
    "failed late": Case(end("FAILED", LESS), ALL_LESS, 200, over=Over(tokens=120, calls=1, items=2, cost=200)),
    "reported, then committed late": Case(
        end(said=LESS), ALL_LESS, 200, over=Over(requests=1, tokens=80, items=1, cost=140), reports=reported(SOME)
    ),
    "committed late without counts": Case(
        end(), HELD, 250, "UNKNOWN", over=Over(requests=1, tokens=150, calls=2, items=3, cost=250)
    ),
}
CASES = {
    **{f"completed {name}": case for name, case in COMPLETED.items()},
    **FAILED,
    **{f"reported {name}": case for name, case in REPORTED.items()},
    **{
        f"reported beyond the hold, {name}": replace(
            case, reports=reported(MORE), over=Over(tokens=250, calls=3, items=4, cost=350)
        )
        for name, case in BEYOND.items()
    },
    **{name: replace(case, expires_first=True) for name, case in LATE.items()},
}


def live(books: Books, case: Case, unit: str) -> None:
    """Go through the case, then once more through its ending: that changes nothing."""
    charges = everything(unit)
    reservation = books.hold(charges, unit=unit)
    for each in case.reports:
        assert books.settle(reservation, each).outcome == "BOOKED"
    if case.expires_first or case.ending is None:
        assert books.expire(reservation) == 1
    if case.ending is None:
        assert books.expire(reservation) == 0
        return
    first = books.settle(reservation, case.ending)
    assert first.outcome == "BOOKED"
    before = books.meters(charges)
    again = books.settle(reservation, case.ending)
    assert (again.outcome, again.body, again.status) == ("REPLAY", first.body, first.status)
    assert books.meters(charges) == before


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_ending_books_on_each_measure_what_the_table_says(books: Books, case: Case, unit: str) -> None:
    """Defects 5 (units mixed), 15 (usage counted twice, or without its log row), 16 (late usage lost or unmarked),
    18 (a failure keeps the slot), 39 (an unknown price taken as 0), 41 (an explicit 0 replaced), 42 (snapshots
    added up).
    """
    live(books, case, unit)
    charges = everything(unit)
    expected = {
        "UNITS": State(*case.units(unit)),
        "TOKENS": State(case.tokens, case.over.tokens),
        "COST": State(case.cost, case.over.cost),
        "REQUESTS": State(used=1),
        "SLOTS": State(),
    }
    assert books.meters(charges) == expected
    rows = books.log()
    for each in books.bind(charges):
        if each.charge.period != "MINUTE":
            state = expected[each.charge.measure]
            assert booked(rows, each.meter) == (state.used, state.overrun)
    assert_logged(books, rows, case, unit)


def assert_logged(books: Books, rows: list[UsageLog], case: Case, unit: str) -> None:
    kinds = ["REPORT"] * len(case.reports)
    if case.expires_first or case.ending is None:
        kinds.append("EXPIRED")
    if case.ending is not None:
        kinds.append(case.ending.kind)
    assert [row.status for row in rows] == kinds
    assert [row.attempt for row in rows] == list(range(len(rows)))
    assert [row.late for row in rows] == [case.expires_first and row is rows[-1] for row in rows]
    assert rows[-1].certainty == case.certainty
    said = [
        (
            row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens,
            row.reasoning_tokens, row.api_calls, row.items,
        )
        for row in rows
    ]  # fmt: skip
    assert tuple(sum(counts) for counts in zip(*said, strict=True)) == case.said
    assert sum(row.units for row in rows) == case.units(unit)[0]
    assert sum(row.cost or 0 for row in rows) == case.cost
    (reservation,) = {row.reservation_id for row in rows}
    assert reservation is not None
    stored = books.reservation(reservation)
    ended = {"COMPLETED": "COMMITTED", "FAILED": "COMMITTED"}
    assert stored.status == ended.get(kinds[-1], kinds[-1])
    assert stored.totals == list(case.said)


def test_minutes_stay_out_of_the_log_and_everything_else_is_in_it(books: Books) -> None:
    charges = everything("TOKENS")
    books.settle(books.hold(charges), end(said=LESS))
    (row,) = books.log()
    logged = {each.meter for each in books.bind(charges) if each.charge.period != "MINUTE"}
    assert set(row.meters) == logged
    assert dict(zip(row.measures, row.helds, strict=True)) == {"UNITS": 150, "TOKENS": 150, "COST": 250, "SLOTS": 1}


def test_a_task_with_a_price_of_its_own_is_charged_by_the_unit(books: Books) -> None:
    """A call of a search API costs its units, whatever model and cost the commit names."""
    api = {"model_class": None, "rates": (None, None, None, None, 7), "held_cost": 14, "unit": "API_CALLS"}
    charges = everything("API_CALLS")
    for ending, cost in (
        (end(said=totals(calls=5)), 35),
        (end(said=totals(calls=0)), 0),
        (end(said=totals(80, 40), cost=999), 14),
        (end("FAILED"), 0),
        (end("FAILED", totals(calls=1)), 7),
    ):
        before = books.meter(charges[2]).used
        answer = books.settle(books.hold(charges, **api), ending)
        assert answer.body is not None
        assert answer.body["cost"] == cost
        assert books.meter(charges[2]).used - before == cost
    assert {row.certainty for row in books.log()} == {"FINAL"}


def test_an_operation_without_a_price_or_a_money_limit_has_no_cost_rather_than_0(books: Books) -> None:
    """Defect 39: what is not known stays not known."""
    charges = everything("TOKENS")
    answer = books.settle(books.hold(charges, rates=None, held_cost=None), end(said=LESS))
    assert answer.body is not None
    assert answer.body["cost"] is None
    assert [row.cost for row in books.log()] == [None]


def test_flat_rates_are_rounded_up_once(books: Books) -> None:
    """Two halves and a third of a nano-USD are two: one rounding, upwards, over all lines."""
    charges = everything("TOKENS")
    reservation = books.hold(charges, rates=(500_000, 500_000, 500_000, 333_333, None))
    answer = books.settle(reservation, end(said=totals(2, 1, cached=1)))
    assert answer.body is not None
    assert answer.body["cost"] == 2
