"""Usage that is told afterwards, by events with and without a reservation. None of it is refused."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from tests.parallel import at_once
from tests.usage.ledger_world import FEATURES, Books, State, charge, end, fact_charges, released, totals
from usage.models import UsageEvent, UsageReservation

SAID = end(said=totals(80, 40, cached=20, written=10, calls=1, items=2))  # 200 nano-USD
UNITS = {"REQUESTS": 1, "TOKENS": 120, "API_CALLS": 1, "ITEMS": 2}


def forget(reservation: UUID) -> None:
    """What the keeper does with a reservation that ended long ago."""
    assert UsageReservation.objects.filter(id=reservation).delete()[0] == 1


# --- without a reservation


@pytest.mark.parametrize("unit", UNITS)
def test_a_fact_is_booked_in_full_over_every_limit_and_counted_as_overrun(books: Books, unit: str) -> None:
    """Defects 5 (units mixed) and 43 (usage lost because the client went away)."""
    (answer,) = books.record(books.event(SAID, fact=books.fact(fact_charges(unit), unit=unit)))
    assert answer.outcome == "BOOKED"
    assert books.meters(fact_charges(unit)) == {
        "UNITS": State(UNITS[unit], UNITS[unit]), "TOKENS": State(120, 120), "COST": State(200, 200),
    }  # fmt: skip
    (row,) = books.log()
    assert (row.id, row.status, row.late, row.reservation_id) == (answer.id, "COMPLETED", False, None)
    assert (row.units, row.cost, row.input_tokens, row.output_tokens) == (UNITS[unit], 200, 80, 40)
    assert (row.helds, row.occurred_at) == ([0, 0, 0], books.at)


def test_a_fact_is_charged_to_the_period_in_which_it_occurred(books: Books) -> None:
    """Defect 48: its month is closed, its partition is this month's, by the database's clock."""
    before = replace(books, at=books.at - timedelta(days=34))
    (answer,) = books.record(books.event(SAID, fact=before.fact(fact_charges())))
    assert before.meters(fact_charges())["UNITS"] == State(120, 120)
    assert books.meters(fact_charges())["UNITS"] == State()
    (row,) = books.log()
    assert (row.occurred_at, row.id) == (before.at, answer.id)
    assert abs(row.recorded_at - books.at) < timedelta(minutes=1)


@pytest.mark.parametrize(("unit", "units"), [("TOKENS", 0), ("REQUESTS", 1), ("API_CALLS", 1), ("ITEMS", 1)])
def test_a_fact_that_says_no_counts_is_one_call_of_one_item_with_unknown_tokens(
    books: Books, unit: str, units: int
) -> None:
    """Defect 10: it happened, so it counts. Defect 39: what it cost is not known, and not 0."""
    books.record(books.event(end(), fact=books.fact(fact_charges(unit), unit=unit)))
    assert books.meters(fact_charges(unit))["UNITS"] == State(units, units)
    (row,) = books.log()
    assert (row.certainty, row.cost, row.units) == ("UNKNOWN", None, units)


def test_a_failed_fact_without_usage_is_booked_as_nothing(books: Books) -> None:
    (answer,) = books.record(books.event(end("FAILED"), fact=books.fact(fact_charges())))
    assert answer.outcome == "BOOKED"
    assert books.meters(fact_charges()) == {"UNITS": State(), "TOKENS": State(), "COST": State()}
    assert [(row.status, row.cost) for row in books.log()] == [("FAILED", 0)]


def test_an_event_repeated_changes_nothing_and_with_another_body_it_is_a_conflict(books: Books) -> None:
    fact = books.fact(fact_charges())
    (first,) = books.record(books.event(SAID, event_id="e", fact=fact))
    again, other = books.record(
        books.event(SAID, event_id="e", fact=fact), books.event(end(said=totals(1, 1)), event_id="e", fact=fact)
    )
    assert (again.outcome, again.id) == ("DUPLICATE", first.id)
    assert (other.outcome, other.id) == ("CONFLICT", first.id)
    assert books.meters(fact_charges())["UNITS"] == State(120, 120)
    assert len(books.log()) == 1


def test_events_are_known_by_tenant_and_source(books: Books) -> None:
    rival = Books.new()
    event = books.event(SAID, event_id="e", fact=books.fact(fact_charges()))
    assert [each.outcome for each in books.record(event, replace(event, source="other"))] == ["BOOKED", "BOOKED"]
    assert [
        each.outcome for each in rival.record(rival.event(SAID, event_id="e", fact=rival.fact(fact_charges())))
    ] == ["BOOKED"]
    assert books.meters(fact_charges())["UNITS"] == State(240, 240)


def test_the_same_event_twice_in_one_call_is_booked_once(books: Books) -> None:
    fact = books.fact(fact_charges())
    events = [books.event(SAID, event_id=name, fact=fact) for name in ("b", "a", "b")]
    answers = books.record(*events, books.event(end(said=totals(1, 1)), event_id="a", fact=fact))
    assert [each.outcome for each in answers] == ["BOOKED", "BOOKED", "DUPLICATE", "CONFLICT"]
    assert (answers[2].id, answers[3].id) == (answers[0].id, answers[1].id)
    assert books.meters(fact_charges())["UNITS"] == State(240, 240)


def test_an_event_that_names_nothing_known_is_missing_and_may_come_again(books: Books) -> None:
    """Defect 47: what was refused is not remembered as if it had been booked."""
    event = books.event(SAID, event_id="e", reservation=uuid4())
    assert [each.outcome for each in books.record(event, event)] == ["MISSING", "MISSING"]
    assert not UsageEvent.objects.for_tenant(books.tenant).exists()
    (answer,) = books.record(replace(event, fact=books.fact(fact_charges())))
    assert answer.outcome == "BOOKED"


def test_parallel_senders_of_the_same_events_book_each_once(committed: None, books: Books) -> None:
    """Defect 15, for events: whatever order each sender has them in."""
    fact = books.fact(fact_charges())
    events = [books.event(end(said=totals(1, 0)), event_id=str(number), fact=fact) for number in range(30)]
    orders = [events, events[::-1], events[10:] + events[:10], events[20:] + events[:20]] * 2
    answers = at_once(*[partial(books.record, *order) for order in orders])
    assert Counter(each.outcome for answer in answers for each in answer) == {"BOOKED": 30, "DUPLICATE": 7 * 30}
    assert books.meters(fact_charges())["UNITS"] == State(30, 30)


# --- with a reservation


def test_an_event_that_names_an_open_reservation_is_its_commit(books: Books) -> None:
    held = charge("UNITS", 150, 200, feature=FEATURES["TOKENS"][0])
    reservation = books.hold([held])
    (answer,) = books.record(books.event(SAID, reservation=reservation))
    assert answer.outcome == "BOOKED"
    assert books.meter(held) == State(used=120)
    again = books.settle(reservation, SAID)
    assert again.body is not None
    assert (again.outcome, again.status, UUID(again.body["log_id"])) == ("REPLAY", "COMMITTED", answer.id)
    assert again.body["readings"] == [120, 0, 0]


def test_an_event_that_names_an_expired_reservation_is_its_late_commit(books: Books) -> None:
    """Defect 16."""
    held = charge("UNITS", 150, 200, feature=FEATURES["TOKENS"][0])
    reservation = books.hold([held])
    books.expire(reservation)
    (answer,) = books.record(books.event(SAID, reservation=reservation, fact=books.fact(fact_charges())))
    assert answer.outcome == "BOOKED"
    assert books.meter(held) == State(120, 120)
    assert [row.late for row in books.log()] == [False, True]


def test_an_event_about_what_was_committed_is_a_duplicate_or_a_conflict(books: Books) -> None:
    """Defect 15: the commit and the event of the same call both counted."""
    reservation = books.hold([charge("UNITS", 150)])
    first = books.settle(reservation, SAID)
    assert first.body is not None
    same, other = books.record(
        books.event(SAID, reservation=reservation),
        books.event(end(said=totals(1, 1)), reservation=reservation, fact=books.fact(fact_charges())),
    )
    assert (same.outcome, same.id) == ("DUPLICATE", UUID(first.body["log_id"]))
    assert other.outcome == "CONFLICT"
    assert books.meter(charge("UNITS", 0)) == State(used=120)


def test_an_event_about_what_was_released_is_a_fact(books: Books) -> None:
    reservation = books.hold([charge("UNITS", 150)])
    books.settle(reservation, released())
    (missing,) = books.record(books.event(SAID, reservation=reservation))
    assert missing.outcome == "MISSING"
    (answer,) = books.record(books.event(SAID, reservation=reservation, fact=books.fact(fact_charges())))
    assert answer.outcome == "BOOKED"
    assert books.meters(fact_charges())["UNITS"] == State(120, 120)
    assert books.log()[-1].reservation_id == reservation
    assert books.reservation(reservation).status == "RELEASED"


def test_after_a_reservation_was_pruned_the_log_tells_what_became_of_it(books: Books) -> None:
    """Defects 17 (reuse after the end) and 47 (duplicates known for less long than the row)."""
    committed, released_ = (books.hold([charge("UNITS", 150)]) for _ in range(2))
    first = books.settle(committed, SAID)
    books.settle(released_, released())
    forget(committed)
    forget(released_)
    assert first.body is not None
    assert books.settle(committed, SAID).outcome == "MISSING"
    fact = books.fact(fact_charges())
    known, fact_of_it = books.record(
        books.event(SAID, reservation=committed, fact=fact), books.event(SAID, reservation=released_, fact=fact)
    )
    assert (known.outcome, known.id) == ("DUPLICATE", UUID(first.body["log_id"]))
    assert fact_of_it.outcome == "BOOKED"
    (again,) = books.record(books.event(SAID, reservation=released_, fact=fact))
    assert (again.outcome, again.id) == ("DUPLICATE", fact_of_it.id)


@pytest.mark.parametrize("is_pruned", [False, True])
def test_two_events_of_one_call_about_the_same_reservation_book_it_once(books: Books, is_pruned: bool) -> None:
    reservation = uuid4() if is_pruned else books.hold([charge("UNITS", 150)])
    fact = books.fact(fact_charges())
    answers = books.record(*[books.event(SAID, reservation=reservation, fact=fact) for _ in range(2)])
    assert [each.outcome for each in answers] == ["BOOKED", "DUPLICATE"]
    assert answers[0].id == answers[1].id
    assert UsageEvent.objects.for_tenant(books.tenant).filter(log_id=answers[0].id).count() == 2
    assert len(books.log()) == 1


def test_two_events_of_one_call_with_different_usage_of_a_reservation_are_a_conflict(books: Books) -> None:
    reservation = books.hold([charge("UNITS", 150)])
    answers = books.record(
        books.event(SAID, reservation=reservation), books.event(end(said=totals(1, 1)), reservation=reservation)
    )
    assert [each.outcome for each in answers] == ["BOOKED", "CONFLICT"]
    assert books.meter(charge("UNITS", 0)) == State(used=120)


def test_a_call_may_mix_facts_commits_and_refusals_on_the_same_meters(books: Books) -> None:
    held = replace(fact_charges(limit=400)[0], amount=150)
    open_, ended = books.hold([held]), books.hold([held])
    books.settle(ended, SAID)
    fact = books.fact(fact_charges())
    answers = books.record(
        books.event(SAID, event_id="z", fact=fact),
        books.event(SAID, event_id="m", reservation=ended),
        books.event(SAID, event_id="y", reservation=open_),
        books.event(SAID, event_id="a", reservation=uuid4()),
        books.event(end(said=totals(1, 1)), event_id="b", fact=fact),
    )
    assert [each.outcome for each in answers] == ["BOOKED", "DUPLICATE", "BOOKED", "MISSING", "BOOKED"]
    assert books.meters(fact_charges())["UNITS"] == State(120 + 120 + 120 + 2, 122)
