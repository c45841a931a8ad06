"""Ending a reservation once: what a second call gets, who may end it, deadlines, and many at a time."""

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.usage.ledger_world import ALWAYS, Books, State, charge, end, everything, released, totals
from usage import ledger
from usage.entries import End, readings_of
from usage.models import UsageReservation

UNITS = charge("UNITS", 40, 100)
COMMIT = end(said=totals(10, 5))
ENDINGS = {"commit": COMMIT, "failure": end("FAILED", totals(10, 5)), "release": released()}


@pytest.mark.parametrize("first", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize(
    ("second", "kind"),
    [(end(said=totals(10, 6)), "commit"), (end("FAILED", totals(1, 1)), "commit"), (released("why"), "release")],
)
def test_a_reservation_ends_once(books: Books, first: End, second: End, kind: str) -> None:
    """Defect 15: a second commit counted again, or turned what was completed into a failure."""
    reservation = books.hold([UNITS])
    answer = books.settle(reservation, first)
    assert answer.outcome == "BOOKED"
    before = books.meter(UNITS)
    same_ending = (first.kind == "RELEASED") == (kind == "release")
    other = books.settle(reservation, second)
    assert other.outcome == ("CONFLICT" if same_ending else "ENDED")
    assert (other.status, other.body) == (answer.status, answer.body)
    assert books.settle(reservation, end("REPORT", totals(50, 50))).outcome == "GONE"
    assert ledger.extend(books.tenant, ALWAYS, reservation, 60).outcome == "GONE"
    assert books.meter(UNITS) == before
    assert len(books.log()) == 1


def test_an_expired_reservation_may_be_committed_once_and_is_not_released_any_more(books: Books) -> None:
    """Defect 16: a late commit is booked, and marked."""
    reservation = books.hold([UNITS])
    assert books.expire(reservation) == 1
    assert (books.settle(reservation, released()).outcome, books.meter(UNITS)) == ("EXPIRED", State())
    assert books.settle(reservation, end("REPORT", totals(1, 1))).outcome == "GONE"
    assert ledger.extend(books.tenant, ALWAYS, reservation, 60).outcome == "GONE"
    late = books.settle(reservation, COMMIT)
    assert (late.outcome, late.status) == ("BOOKED", "COMMITTED")
    assert late.body is not None
    assert late.body["late"] is True
    assert books.settle(reservation, COMMIT).body == late.body
    assert books.settle(reservation, end(said=totals(9, 9))).outcome == "CONFLICT"
    assert books.meter(UNITS) == State(used=15, overrun=15)


def test_past_its_deadline_but_not_swept_it_is_still_open(books: Books) -> None:
    reservation = books.hold([UNITS], ttl_seconds=0)
    assert books.settle(reservation, end("REPORT", totals(1, 1))).outcome == "BOOKED"
    answer = books.settle(reservation, COMMIT)
    assert answer.body is not None
    assert (answer.outcome, answer.body["late"]) == ("BOOKED", False)
    assert ledger.expire(books.tenant) == 0


def test_the_sweep_takes_what_is_due_and_nothing_else_at_most_so_many_at_a_time(books: Books) -> None:
    due = [books.hold([charge("UNITS", 1)], ttl_seconds=0) for _ in range(5)]
    books.hold([charge("UNITS", 1)])
    other = Books.new()
    other.hold([charge("UNITS", 1)], ttl_seconds=0)
    assert set(ledger.tenants_with_due_reservations()) >= {books.tenant, other.tenant}
    assert [ledger.expire(books.tenant, most=3) for _ in range(3)] == [3, 2, 0]
    assert books.meter(charge("UNITS", 1)) == State(reserved=1)
    assert other.meter(charge("UNITS", 1)) == State(reserved=1)
    assert {row.id for row in UsageReservation.objects.for_tenant(books.tenant) if row.status == "EXPIRED"} == set(due)
    assert [row.status for row in books.log()] == ["EXPIRED"] * 5
    assert books.tenant not in ledger.tenants_with_due_reservations()


def test_a_report_answers_what_is_left_of_the_hold(books: Books) -> None:
    reservation = books.hold([UNITS])
    for said, left in ((totals(10, 5), 25), (totals(10, 5), 25), (totals(5, 5), 25), (totals(60, 0), 0)):
        answer = books.settle(reservation, end("REPORT", said))
        assert answer.body is not None
        assert (answer.outcome, answer.status, answer.body["left"]) == ("BOOKED", "OPEN", [left])
    assert books.meter(UNITS) == State(used=65, overrun=25)


def test_the_answer_says_what_was_booked_where_and_how_the_meters_stand(books: Books) -> None:
    charges = everything("TOKENS")
    reservation = books.hold(charges)
    answer = books.settle(reservation, end(said=totals(300, 100)))
    assert answer.body is not None
    measures = [scope[3] for scope in answer.body["charges"]]
    assert dict(zip(measures, answer.body["amounts"], strict=True)) == {
        "UNITS": 400, "TOKENS": 400, "COST": 600, "REQUESTS": 1, "SLOTS": 0,
    }  # fmt: skip
    assert dict(zip(measures, answer.body["overruns"], strict=True)) == {
        "UNITS": 250, "TOKENS": 250, "COST": 350, "REQUESTS": 0, "SLOTS": 0,
    }  # fmt: skip
    readings = readings_of(answer.body["readings"])
    states = books.meters(charges)
    assert [(each.used, each.overrun) for each in readings] == [
        (states[measure].used, states[measure].overrun) for measure in measures
    ]


# --- deadlines


def test_an_extension_moves_the_deadline_later_and_never_earlier_nor_beyond_seven_days(books: Books) -> None:
    first = books.reserve([UNITS])
    assert (first.id is not None, first.expires_at is not None) == (True, True)

    def extended(seconds: int) -> timedelta:
        answer = ledger.extend(books.tenant, ALWAYS, first.id, seconds)  # type: ignore[arg-type]  # checked above
        assert (answer.outcome, answer.status) == ("EXTENDED", "OPEN")
        return answer.expires_at - first.expires_at  # type: ignore[operator]  # checked above

    assert extended(10) == timedelta(0)
    assert timedelta(seconds=3300) <= extended(3600) < timedelta(seconds=3310)
    week = timedelta(days=7, seconds=-300)
    assert abs(extended(30 * 86_400) - week) <= timedelta(milliseconds=1)
    assert abs(extended(86_400) - week) <= timedelta(milliseconds=1)


def test_an_extension_in_time_keeps_it_from_being_swept(books: Books) -> None:
    reservation = books.hold([UNITS], ttl_seconds=0)
    assert ledger.extend(books.tenant, ALWAYS, reservation, 60).outcome == "EXTENDED"
    assert ledger.expire(books.tenant) == 0


# --- whose it is


def test_another_tenants_reservation_is_not_there(books: Books) -> None:
    rival = Books.new()
    reservation = books.hold([UNITS])
    assert rival.settle(reservation, COMMIT).outcome == "MISSING"
    assert ledger.extend(rival.tenant, ALWAYS, reservation, 60).outcome == "MISSING"
    assert [each.outcome for each in ledger.end_batch(rival.tenant, ALWAYS, [(reservation, COMMIT)])] == ["MISSING"]
    assert ledger.end(None, ALWAYS, reservation, COMMIT).outcome == "BOOKED"
    assert ledger.tenants_of([reservation, uuid4()]) == {reservation: books.tenant}
    assert rival.log() == []


def test_another_users_reservation_is_not_there_for_a_caller_bound_to_one(books: Books) -> None:
    reservation, nobodys = books.hold([UNITS], user_key="ann"), books.hold([UNITS])
    for user, outcome in (("bob", "MISSING"), ("ann", "BOOKED")):
        assert ledger.extend(books.tenant, ALWAYS, reservation, 60, user=user).outcome == (
            "EXTENDED" if user == "ann" else "MISSING"
        )
        assert books.settle(reservation, COMMIT, user=user).outcome == outcome
        assert books.settle(nobodys, COMMIT, user=user).outcome == "MISSING"
        batch = ledger.end_batch(books.tenant, ALWAYS, [(nobodys, COMMIT), (reservation, COMMIT)], user=user)
        assert [each.outcome for each in batch] == ["MISSING", "REPLAY" if user == "ann" else "MISSING"]


def test_an_unknown_reservation_is_missing(books: Books) -> None:
    assert books.settle(uuid4(), COMMIT).outcome == "MISSING"
    assert ledger.extend(books.tenant, ALWAYS, uuid4(), 60).outcome == "MISSING"


# --- many at a time


def test_a_batch_of_commits_answers_each_item_as_if_it_came_alone(books: Books) -> None:
    open_, committed, gone, late = (books.hold([charge("UNITS", 40)]) for _ in range(4))
    first = books.settle(committed, COMMIT)
    books.settle(gone, released())
    books.expire(late)
    other = end(said=totals(1, 1))
    asked = [
        (open_, COMMIT), (uuid4(), COMMIT), (committed, COMMIT), (committed, other), (gone, COMMIT), (late, COMMIT),
        (open_, COMMIT), (open_, other),
    ]  # fmt: skip
    answers = ledger.end_batch(books.tenant, ALWAYS, asked)
    assert [each.outcome for each in answers] == [
        "BOOKED", "MISSING", "REPLAY", "CONFLICT", "ENDED", "BOOKED", "REPLAY", "CONFLICT",
    ]  # fmt: skip
    assert [each.id for each in answers] == [reservation for reservation, _ in asked]
    assert answers[2].body == first.body
    assert answers[5].body is not None
    assert answers[5].body["late"] is True
    assert answers[0].body == answers[6].body
    assert books.meter(charge("UNITS", 40)) == State(used=45, overrun=15)


def test_amounts_that_cancel_out_in_a_batch_still_leave_their_overrun(books: Books) -> None:
    """One reports 60 and ends with 62, one reports 60 and ends with 58: used as before, and 2 more beyond a hold."""
    up, down = (books.hold([UNITS]) for _ in range(2))
    for each in (up, down):
        books.settle(each, end("REPORT", totals(60, 0)))
    assert books.meter(UNITS) == State(used=120, overrun=40)
    ledger.end_batch(books.tenant, ALWAYS, [(up, end(said=totals(62, 0))), (down, end(said=totals(58, 0)))])
    assert books.meter(UNITS) == State(used=120, overrun=42)


def test_a_reservation_that_reports_without_end_stays_settled(books: Books) -> None:
    reservation = books.hold([UNITS])
    UsageReservation.objects.filter(id=reservation).update(attempt=32_766)
    for number in range(1, 4):
        assert books.settle(reservation, end("REPORT", totals(number, 0))).outcome == "BOOKED"
    assert books.settle(reservation, COMMIT).outcome == "BOOKED"
