"""Reserving: what is granted, what is refused, and that the same question gets the same answer."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction

from plans.charges import Charge, Measure
from tests.usage.blocked import begin, wait_for
from tests.usage.ledger_world import ALWAYS, Books, State, charge, end, everything, totals
from usage import ledger
from usage.entries import Reading
from usage.ledger import LostRace
from usage.models import UsageMeter, UsageReservation

UNITS = charge("UNITS", 40, 100)
COST = charge("COST", 7, 50)


def limit_of(books: Books, of: Charge) -> int | None:
    return UsageMeter.objects.get(id=books.bind([of])[0].meter).limit_amount


def test_a_grant_holds_its_amount_on_every_meter(books: Books) -> None:
    """Defect 10: what an unfinished operation may use counts."""
    answer = books.reserve([UNITS, COST])
    assert (answer.outcome, answer.status, answer.tenant) == ("GRANTED", "OPEN", books.tenant)
    assert answer.expires_at is not None
    assert answer.expires_at - answer.at == timedelta(seconds=300)
    assert answer.readings == (Reading(0, 0, 0), Reading(0, 0, 0))
    assert books.states([UNITS, COST]) == [State(reserved=40), State(reserved=7)]


def test_open_holds_count_against_the_limit_and_what_remains_is_not_handed_out_as_a_smaller_hold(books: Books) -> None:
    """Defects 3 (open holds left out) and 36 (a hold shrunk to what is left)."""
    books.hold([UNITS])
    books.hold([UNITS])
    refused = books.reserve([UNITS])
    assert (refused.outcome, refused.id, refused.readings) == ("DENIED", None, (Reading(0, 80, 0),))
    assert books.reserve([charge("UNITS", 20, 100)]).outcome == "GRANTED"
    assert books.meter(UNITS) == State(reserved=100)


def test_a_refusal_by_one_meter_leaves_every_meter_as_it_was(books: Books) -> None:
    """All or nothing, and a refusal writes nothing: not even the row of a meter or of the key."""
    refused = books.reserve([UNITS, charge("COST", 51, 50)], key="k")
    assert (refused.outcome, refused.readings) == ("DENIED", (Reading(0, 0, 0), Reading(0, 0, 0)))
    assert not UsageMeter.objects.for_tenant(books.tenant).exists()
    assert not UsageReservation.objects.for_tenant(books.tenant).exists()


def test_a_refusal_is_not_remembered(books: Books) -> None:
    first = books.hold([UNITS, charge("SLOTS", 1, 1, period="OPEN")])
    assert books.reserve([UNITS, charge("SLOTS", 1, 1, period="OPEN")], key="k").outcome == "DENIED"
    books.settle(first, end(said=totals(1, 1)))
    assert books.reserve([UNITS, charge("SLOTS", 1, 1, period="OPEN")], key="k").outcome == "GRANTED"


@pytest.mark.parametrize(
    ("limit", "amount", "outcome"),
    [(None, 10**15, "GRANTED"), (0, 1, "DENIED"), (0, 0, "GRANTED"), (5, 5, "GRANTED"), (5, 6, "DENIED")],
)
def test_no_limit_is_unlimited_and_a_limit_of_0_is_nothing(
    books: Books, limit: int | None, amount: int, outcome: str
) -> None:
    assert books.reserve([charge("COST", amount, limit)]).outcome == outcome


def test_an_amount_of_0_touches_no_meter(books: Books) -> None:
    reservation = books.hold([charge("COST", 0, 0), UNITS])
    (row,) = UsageMeter.objects.for_tenant(books.tenant)
    assert row.measure == "UNITS"
    books.settle(reservation, end(said=totals(1, 0), cost=0))
    assert books.states([COST, UNITS]) == [State(), State(used=1)]


def test_a_charge_that_is_not_enforced_is_made_over_the_limit_and_the_next_enforced_one_is_refused(
    books: Books,
) -> None:
    observed = replace(UNITS, enforced=False, amount=130)
    assert books.reserve([observed]).outcome == "GRANTED"
    assert books.meter(UNITS) == State(reserved=130)
    assert limit_of(books, UNITS) is None
    assert books.reserve([UNITS]).outcome == "DENIED"
    assert books.reserve([replace(UNITS, limit=170)]).outcome == "GRANTED"
    assert limit_of(books, UNITS) == 170


def test_a_limit_that_was_lowered_binds_at_once_and_does_not_keep_usage_from_being_booked(books: Books) -> None:
    reservation = books.hold([replace(UNITS, amount=100)])
    assert books.reserve([replace(UNITS, amount=1, limit=10)]).outcome == "DENIED"
    assert books.settle(reservation, end(said=totals(300, 0))).outcome == "BOOKED"
    assert books.meter(UNITS) == State(used=300, overrun=200)
    assert books.reserve([replace(UNITS, amount=1, limit=301)]).outcome == "GRANTED"


def test_a_new_period_begins_at_zero(books: Books) -> None:
    """Defect 51: another window is another meter."""
    books.hold([replace(UNITS, amount=100)])
    tomorrow = replace(books, at=books.at + timedelta(days=1))
    assert tomorrow.reserve([UNITS]).readings == (Reading(0, 0, 0),)


def test_the_same_key_and_body_gets_the_first_answer_with_the_present_status(books: Books) -> None:
    """Defects 10 (a known id is always allowed) and 17 (reuse of a key after its end)."""
    first = books.reserve([UNITS, COST], key="k", body="b")
    assert first.id is not None
    for change in (None, end("REPORT", totals(1, 1)), end(said=totals(2, 2))):
        if change:
            books.settle(first.id, change)
        again = books.reserve([replace(UNITS, amount=1), COST], key="k", body="b")
        assert (again.outcome, again.id, again.readings) == ("REPLAY", first.id, first.readings)
        assert again.body is not None
        assert (again.body["decision"]["body"], sorted(again.body["amounts"])) == ("b", [7, 40])
        assert again.status == ("COMMITTED" if change and change.kind == "COMPLETED" else "OPEN")
    assert UsageReservation.objects.for_tenant(books.tenant).count() == 1


def test_the_same_key_with_another_body_is_a_conflict(books: Books) -> None:
    first = books.reserve([UNITS], key="k", body="b")
    again = books.reserve([UNITS], key="k", body="c")
    assert (again.outcome, again.id) == ("CONFLICT", first.id)
    assert books.meter(UNITS) == State(reserved=40)


def test_a_key_is_its_tenants_own(books: Books) -> None:
    """Defect 17: one tenant received another's reservation."""
    other = Books.new()
    first = books.reserve([UNITS], key="k", body="b")
    second = other.reserve([UNITS], key="k", body="b")
    assert (second.outcome, second.id == first.id) == ("GRANTED", False)


def test_a_call_beyond_the_comfortable_level_is_told_all_readings_and_nothing_is_held(books: Books) -> None:
    books.hold([UNITS])
    wire = books.wanted([UNITS, COST]).wire()
    for level, outcome in ((79, "DEGRADE"), (80, "GRANTED")):
        degrade = [level if each == "UNITS" else None for each in wire["measures"]]
        asked = ledger._json(wire | {"degrade_above": degrade})
        (answer,) = ledger._many("ledger_reserve", books.tenant, ALWAYS, asked)
        assert (answer.outcome, len(answer.readings)) == (outcome, 2)
        assert books.meter(UNITS) == State(reserved=40 if outcome == "DEGRADE" else 80)


def test_the_log_keeps_what_a_decision_read_and_which_unenforced_limits_it_passed(books: Books) -> None:
    """An observed refusal can be reported, and a decision explained, when its reservation is long pruned."""
    observed = replace(UNITS, enforced=False, amount=130)
    reservation = books.hold([observed, COST])
    books.settle(reservation, end(said=totals(1, 1)))
    place = [each.charge.measure for each in books.bind([observed, COST])].index(Measure.UNITS)
    (row,) = books.log()
    assert row.decision is not None
    assert (row.decision["over"], row.decision["readings"]) == ([place], [0] * 6)


def test_a_decision_within_its_limits_notes_none(books: Books) -> None:
    reservation = books.hold([UNITS])
    assert "over" not in UsageReservation.objects.get(id=reservation).decision


def test_the_largest_amounts_fit(books: Books) -> None:
    """10^9 of each count, 10^15 nano-USD; a price beyond that is cut there, for usage is never refused."""
    most = 10**9
    held = (most, 0, 0, most, 0, most, most)
    charges = [charge("UNITS", 2 * most, 10**18), charge("COST", 10**15, 10**18)]
    dear = (10**12, 10**12, 10**12, 10**12, None)
    reservation = books.hold(charges, held_totals=held, held_cost=10**15, rates=dear)
    answer = books.settle(reservation, end(said=totals(most, most, cached=0, written=0, calls=most, items=most)))
    assert answer.outcome == "BOOKED"
    assert books.states(charges) == [State(used=2 * most), State(used=10**15)]

    api = {"unit": "ITEMS", "model_class": None, "rates": (None, None, None, None, 10**12), "held_cost": 10**15}
    answer = books.settle(books.hold(charges, held_totals=held, **api), end(said=totals(items=most)))
    assert answer.outcome == "BOOKED"
    assert books.meter(charges[1]) == State(used=2 * 10**15)


# --- batches


def test_a_batch_notes_the_unenforced_limits_that_each_item_passed(books: Books) -> None:
    observed = replace(UNITS, enforced=False)
    asks = [books.wanted([observed], key=f"k{number}") for number in range(3)]
    ledger.reserve_batch(books.tenant, ALWAYS, asks)
    kept = UsageReservation.objects.for_tenant(books.tenant).order_by("idempotency_key")
    assert [row.decision.get("over") for row in kept] == [None, None, [0]]


def test_a_batch_is_decided_in_order_against_running_sums(books: Books) -> None:
    """With room for 100, what no longer fits is refused and a later, smaller one still gets its place."""
    asks = [books.wanted([replace(UNITS, amount=amount)], key=f"k{9 - number}") for number, amount in
            enumerate((40, 50, 11, 10, 1))]  # fmt: skip
    answers = ledger.reserve_batch(books.tenant, ALWAYS, asks)
    assert [each.outcome for each in answers] == ["GRANTED", "GRANTED", "DENIED", "GRANTED", "DENIED"]
    assert [each.readings[0].reserved for each in answers] == [0, 40, 90, 90, 100]
    assert [each.status for each in answers] == ["OPEN", "OPEN", None, "OPEN", None]
    assert books.meter(UNITS) == State(reserved=100)
    assert limit_of(books, UNITS) == 100
    stored = {row.idempotency_key: row.id for row in UsageReservation.objects.for_tenant(books.tenant)}
    assert stored == {"k9": answers[0].id, "k8": answers[1].id, "k6": answers[3].id}


def test_a_batch_equals_its_items_one_by_one(books: Books) -> None:
    other = Books.new()
    lists = [
        everything("TOKENS", limits={"UNITS": 500, "COST": 900}),
        everything("REQUESTS", limits={"UNITS": 2, "COST": 900}),
        everything("ITEMS", limits={"SLOTS": 6}),
    ]
    chosen = [lists[number % 3] for number in range(12)]
    alone = [books.reserve(charges, key=f"{number}") for number, charges in enumerate(chosen)]
    asks = [other.wanted(charges, key=f"{number}") for number, charges in enumerate(chosen)]
    together = ledger.reserve_batch(other.tenant, ALWAYS, asks)
    by_measure = [
        [
            (each.outcome, sorted((reading.used, reading.reserved, reading.overrun) for reading in each.readings))
            for each in answers
        ]
        for answers in (alone, together)
    ]
    assert by_measure[0] == by_measure[1]
    assert {each.outcome for each in alone} == {"GRANTED", "DENIED"}
    for charges in lists:
        assert books.meters(charges) == other.meters(charges)


def test_the_same_key_twice_in_a_batch_is_a_replay_and_with_another_body_a_conflict(books: Books) -> None:
    before = books.reserve([UNITS], key="old", body="b")
    asks = [
        books.wanted([replace(UNITS, amount=1)], key=key, body=body)
        for key, body in (("k", "b"), ("k", "b"), ("old", "b"), ("k", "c"), ("old", "c"))
    ]
    answers = ledger.reserve_batch(books.tenant, ALWAYS, asks)
    assert [each.outcome for each in answers] == ["GRANTED", "REPLAY", "REPLAY", "CONFLICT", "CONFLICT"]
    assert [each.id for each in answers] == [answers[0].id, answers[0].id, before.id, answers[0].id, before.id]
    assert books.meter(UNITS) == State(reserved=41)


def test_the_same_key_twice_in_a_batch_that_has_no_room_is_refused_twice(books: Books) -> None:
    asks = [books.wanted([replace(UNITS, amount=amount)], key="k") for amount in (101, 101, 100)]
    answers = ledger.reserve_batch(books.tenant, ALWAYS, asks)
    assert [each.outcome for each in answers] == ["DENIED", "DENIED", "GRANTED"]


# --- races lost after the look


def test_a_lost_race_leaves_nothing_and_names_what_others_hold(committed: None, books: Books) -> None:
    """The first of two meters was taken before the second refused: neither it nor the key is kept, and the
    readings show what others hold and not what this call had taken itself.
    """
    first, second = sorted([charge("UNITS", 60, 100), charge("COST", 30, 50)], key=lambda of: books.bind([of])[0].meter)
    books.hold([first, replace(second, amount=1)])
    books.settle(books.hold([replace(first, amount=0), replace(second, amount=1)]), end("RELEASED"))
    wanted = books.wanted([replace(first, amount=10), second], key="k")

    def ask() -> LostRace:
        # Inside a transaction the call is not made again by itself.
        with pytest.raises(LostRace) as caught, transaction.atomic():
            ledger.reserve(books.tenant, ALWAYS, wanted)
        return caught.value

    rest = replace(second, amount=(second.limit or 0) - 1)
    with transaction.atomic():
        books.hold([rest])
        lost = begin(ask)
        wait_for(lost)
    lost.result(60)
    assert lost.result().readings == (Reading(0, first.amount, 0), Reading(0, second.limit or 0, 0))
    assert books.meter(first) == State(reserved=first.amount)
    assert not UsageReservation.objects.filter(idempotency_key="k").exists()
    assert ledger.reserve(books.tenant, ALWAYS, wanted).outcome == "DENIED"


def test_a_batch_guards_what_it_enforces_beside_what_it_only_observes(committed: None, books: Books) -> None:
    """The last item of the batch may go over the limit, the first may not, whoever comes between."""
    wanted = [
        books.wanted([charge("COST", 30, 50)], key="enforced"),
        books.wanted([charge("COST", 90, 50, enforced=False)], key="observed"),
    ]
    with transaction.atomic():
        books.hold([charge("COST", 21, 50)])
        answers = begin(lambda: ledger.reserve_batch(books.tenant, ALWAYS, wanted))
        wait_for(answers)
    assert [each.outcome for each in answers.result(60)] == ["DENIED", "GRANTED"]
    assert books.meter(COST) == State(reserved=21 + 90)


def test_a_batch_whose_key_a_twin_took_meanwhile_answers_with_the_twins_reservation(
    committed: None, books: Books
) -> None:
    wanted = [books.wanted([charge("UNITS", 1)], key=key) for key in ("a", "twin", "z")]

    with transaction.atomic():
        twin = books.hold([charge("UNITS", 1)], key="twin")
        waiting = begin(lambda: ledger.reserve_batch(books.tenant, ALWAYS, wanted))
        wait_for(waiting)
    answers = waiting.result(60)
    assert [each.outcome for each in answers] == ["GRANTED", "REPLAY", "GRANTED"]
    assert answers[1].id == twin
    assert books.meter(charge(Measure.UNITS, 1)) == State(reserved=3)
