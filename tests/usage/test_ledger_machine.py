"""Random lives of a ledger, compared after each step with a model in plain Python.

`LEDGER_EXAMPLES` is the number of lives (60), `LEDGER_STEPS` the length of each (25).
"""

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.usage import ledger_world as world
from tests.usage.ledger_model import NOTHING, Booking, Charge, Counts, Hold, Model, Said
from tests.usage.ledger_world import ALWAYS, Books, breaches
from usage import ledger
from usage.entries import Answer, End, Event, Reservation
from usage.models import UsageLog, UsageReservation

LIFE = settings(
    max_examples=int(os.environ.get("LEDGER_EXAMPLES", "60")),
    stateful_step_count=int(os.environ.get("LEDGER_STEPS", "25")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
RATES = (1_000_000, 1_000_000, 1_000_000, 3_000_000, None)

METERS = {
    "units": ("UNITS", "DAY"), "units of a month": ("UNITS", "MONTH"), "tokens": ("TOKENS", "DAY"),
    "cost": ("COST", "DAY"), "requests": ("REQUESTS", "MINUTE"), "slots": ("SLOTS", "OPEN"),
}  # fmt: skip
UNITS = ("TOKENS", "REQUESTS", "API_CALLS", "ITEMS")

keys = st.sampled_from(("a", "b", "c", "d", "e"))
bodies = st.sampled_from(("x", "x", "x", "y"))
units = st.sampled_from(UNITS)
counts = st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(0, 3)] * 2)
saids = st.tuples(*[st.none() | st.integers(0, 7)] * 2, *[st.none() | st.integers(0, 4)] * 2)
commits = st.sampled_from(("COMPLETED", "COMPLETED", "FAILED"))
limits = st.none() | st.integers(0, 60)
picks = st.integers(0, 3) | st.integers(0, 30)


def totals(said: Said) -> Said:
    tokens_in, tokens_out, calls, items = said
    return world.totals(tokens_in, tokens_out, calls=calls, items=items)


def ending(kind: str, said: Said) -> End:
    return world.end(kind, totals(said))


class Life(RuleBasedStateMachine):
    """One tenant's ledger and the model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()
        self.books = Books.new()
        self.model = Model()
        self.limits: dict[str, tuple[int | None, bool]] = dict.fromkeys(METERS, (40, True))
        self.ids: dict[Hold, UUID] = {}
        self.answers: dict[Hold, Any] = {}
        self.rows: list[tuple[UUID, str, Booking]] = []

    def teardown(self) -> None:
        try:
            assert breaches(self.books.tenant) == ()
        finally:
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)

    # --- what is asked, of both

    def charge(self, each: Charge) -> Any:
        measure, period = METERS[each.meter]
        return world.charge(measure, each.amount, each.limit, period=period, enforced=each.enforced)

    def hold(self, key: str, body: str, unit: str, held: Counts) -> Hold:
        tokens_in, tokens_out, calls, items = held
        tokens, cost = tokens_in + tokens_out, tokens_in + 3 * tokens_out
        amounts = {"TOKENS": tokens, "REQUESTS": 1, "API_CALLS": calls, "ITEMS": items}
        by_measure = {"UNITS": amounts[unit], "TOKENS": tokens, "COST": cost, "REQUESTS": 1, "SLOTS": 1}
        charges = [Charge(name, kind, by_measure[kind], *self.limits[name]) for name, (kind, _) in METERS.items()]
        return Hold(unit, charges, held=held, held_cost=cost, key=key, body=body)

    def wanted(self, hold: Hold) -> Reservation:
        tokens_in, tokens_out, calls, items = hold.held
        return self.books.wanted(
            map(self.charge, hold.charges), key=hold.key, body=hold.body, unit=hold.unit, rates=RATES,
            held_totals=(tokens_in, 0, 0, tokens_out, 0, calls, items), held_cost=hold.held_cost,
        )  # fmt: skip

    def fact(self, unit: str) -> Booking:
        return Booking(unit, [Charge(name, METERS[name][0], 0, None, True) for name in ("units", "tokens", "cost")])

    def event(self, name: str, unit: str, hold: Hold | None, kind: str, said: Said) -> Event:
        fact = self.books.fact(map(self.charge, self.fact(unit).charges), unit=unit, rates=RATES)
        return self.books.event(
            ending(kind, said), event_id=name, fact=fact, reservation=self.ids[hold] if hold else None,
            body=str((unit, id(hold))),
        )  # fmt: skip

    def granted(self, pick: int) -> Hold:
        return list(self.ids)[-1 - pick % len(self.ids)]

    def has_holds(self) -> bool:
        return bool(self.ids)

    def settled(self, hold: Hold, kind: str, answer: Answer, expected: str, row: Booking | None) -> None:
        assert answer.outcome == expected
        if expected == "BOOKED" and row is not None:
            assert answer.body is not None
            bound = [each.meter for each in self.wanted(hold).charges]
            amounts = dict(zip(bound, answer.body["amounts"], strict=True))
            for each in row.charges:
                (meter,) = self.books.bind([self.charge(each)])
                assert amounts[meter.meter] == row.booked[each.meter]
            if kind in ("COMPLETED", "FAILED"):
                self.rows.append((UUID(answer.body["log_id"]), kind, row))
        if kind != "REPORT" and expected in ("BOOKED", "REPLAY", "CONFLICT"):
            assert answer.body == self.answers.setdefault(hold, answer.body)

    # --- steps

    @rule(key=keys, body=bodies, unit=units, held=counts)
    def reserve(self, key: str, body: str, unit: str, held: Counts) -> None:
        self.reserved([self.hold(key, body, unit, held)], is_batch=False)

    @rule(asks=st.lists(st.tuples(keys, bodies, units, counts), min_size=1, max_size=4))
    def reserve_many(self, asks: list[tuple[str, str, str, Counts]]) -> None:
        self.reserved([self.hold(*ask) for ask in asks], is_batch=True)

    def reserved(self, holds: Sequence[Hold], *, is_batch: bool) -> None:
        asks = [self.wanted(hold) for hold in holds]
        tenant = self.books.tenant
        answers = ledger.reserve_batch(tenant, ALWAYS, asks) if is_batch else [ledger.reserve(tenant, ALWAYS, asks[0])]
        for hold, answer in zip(holds, answers, strict=True):
            expected = self.model.reserve(hold)
            assert answer.outcome == expected
            if expected == "DENIED":
                continue
            assert answer.id is not None
            known = self.model.holds[hold.key]
            assert answer.id == self.ids.setdefault(known, answer.id)
            if not is_batch:
                assert answer.status == known.status

    @precondition(has_holds)
    @rule(pick=picks, told=st.lists(saids, min_size=1, max_size=3))
    def report(self, pick: int, told: list[Said]) -> None:
        for said in told:
            self.end(self.granted(pick), "REPORT", said)

    @precondition(has_holds)
    @rule(pick=picks, kind=commits, said=saids)
    def commit(self, pick: int, kind: str, said: Said) -> None:
        self.end(self.granted(pick), kind, said)

    @precondition(has_holds)
    @rule(pick=picks)
    def commit_in_silence(self, pick: int) -> None:
        self.end(self.granted(pick), "COMPLETED", NOTHING)

    @precondition(has_holds)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        self.end(self.granted(pick), "RELEASED", NOTHING)

    def end(self, hold: Hold, kind: str, said: Said) -> None:
        answer = self.books.settle(self.ids[hold], ending(kind, said))
        self.settled(hold, kind, answer, *self.model.end(hold, kind, said))

    @precondition(lambda self: any(hold.ending for hold in self.ids))
    @rule(pick=picks)
    def end_as_before(self, pick: int) -> None:
        ended = [hold for hold in self.ids if hold.ending]
        hold = ended[pick % len(ended)]
        assert hold.ending is not None
        self.end(hold, *hold.ending)

    @precondition(has_holds)
    @rule(items=st.lists(st.tuples(picks, commits, saids), min_size=1, max_size=4))
    def commit_many(self, items: list[tuple[int, str, Said]]) -> None:
        holds = [self.granted(pick) for pick, _, _ in items]
        asked = [(self.ids[hold], ending(kind, said)) for hold, (_, kind, said) in zip(holds, items, strict=True)]
        answers = ledger.end_batch(self.books.tenant, ALWAYS, asked)
        for hold, (_, kind, said), answer in zip(holds, items, answers, strict=True):
            self.settled(hold, kind, answer, *self.model.end(hold, kind, said))

    @rule(chosen=st.sets(keys, min_size=1))
    def expire(self, chosen: set[str]) -> None:
        due = [hold for key, hold in self.model.holds.items() if key in chosen and hold.status == "OPEN"]
        assert self.books.expire(*[self.ids[hold] for hold in due]) == len(due)
        for hold in due:
            self.model.expire(hold)

    @precondition(has_holds)
    @rule(pick=picks, seconds=st.integers(1, 10_000))
    def extend(self, pick: int, seconds: int) -> None:
        hold = self.granted(pick)
        answer = ledger.extend(self.books.tenant, ALWAYS, self.ids[hold], seconds)
        assert answer.outcome == ("MISSING" if hold.is_pruned else "EXTENDED" if hold.status == "OPEN" else "GONE")

    @precondition(lambda self: any(hold.status != "OPEN" for hold in self.model.holds.values()))
    @rule(pick=picks)
    def prune(self, pick: int) -> None:
        ended = [hold for hold in self.model.holds.values() if hold.status != "OPEN"]
        hold = ended[pick % len(ended)]
        UsageReservation.objects.filter(id=self.ids[hold]).delete()
        del self.model.holds[hold.key]
        hold.is_pruned = True

    @rule(events=st.lists(st.tuples(keys, units, st.none() | picks, commits, saids), min_size=1, max_size=4,
                          unique_by=lambda event: event[0]))  # fmt: skip
    def record(self, events: list[tuple[str, str, int | None, str, Said]]) -> None:
        holds = [self.granted(pick) if pick is not None and self.ids else None for _, _, pick, _, _ in events]
        told = [(name, unit, hold, kind, said) for (name, unit, _, kind, said), hold in zip(events, holds, strict=True)]
        answers = self.books.record(*[self.event(*each) for each in told])
        for (name, unit, hold, kind, said), answer in zip(told, answers, strict=True):
            body = (unit, id(hold), kind, said)
            expected, row = self.model.record(name, body, self.fact(unit), hold, kind, said)
            assert answer.outcome == expected
            if row is not None:
                assert answer.id is not None
                self.rows.append((answer.id, kind, row))

    @precondition(lambda self: bool(self.rows))
    @rule(pick=picks, said=saids)
    def correct(self, pick: int, said: Said) -> None:
        log, kind, row = self.rows[pick % len(self.rows)]
        answer = ledger.correct(self.books.tenant, log, world.end(said=totals(said)))
        assert answer.outcome == self.model.correct(row, kind, said)

    @rule(meter=st.sampled_from(list(METERS)), limit=limits, enforced=st.booleans())
    def change_a_limit(self, meter: str, limit: int | None, enforced: bool) -> None:
        self.limits[meter] = (limit, enforced)

    # --- after each step

    @invariant()
    def meters_are_the_models(self) -> None:
        charges = [self.charge(Charge(name, METERS[name][0], 0, None, True)) for name in METERS]
        states = dict(zip(METERS, self.books.states(charges), strict=True))
        assert {name: (state.used, state.overrun, state.reserved) for name, state in states.items()} == {
            name: (self.model.used[name], self.model.overrun[name], self.model.reserved(name)) for name in METERS
        }

    @invariant()
    def reservations_are_the_models(self) -> None:
        rows = UsageReservation.objects.for_tenant(self.books.tenant).values_list("id", "status", "totals", "cost")
        assert {id_: (status, *totals, cost or 0) for id_, status, totals, cost in rows} == {
            self.ids[hold]: (hold.status, hold.totals[0], 0, 0, hold.totals[1], 0, *hold.totals[2:], hold.cost or 0)
            for hold in self.model.holds.values()
        }

    @invariant()
    def the_log_says_what_was_used(self) -> None:
        rows = UsageLog.objects.for_tenant(self.books.tenant)
        tokens = Sum(F("input_tokens") + F("output_tokens"))
        parts = Sum(F("cached_input_tokens") + F("cache_write_tokens") + F("reasoning_tokens"))
        found = rows.aggregate(units=Sum("units"), tokens=tokens, cost=Sum("cost"), parts=parts)
        assert {name: total or 0 for name, total in found.items()} == {
            "units": self.model.used["units"], "tokens": self.model.used["tokens"],
            "cost": self.model.used["cost"], "parts": 0,
        }  # fmt: skip


def test_any_sequence_of_operations_leaves_what_the_model_says(db: None) -> None:
    """Defects 10, 15, 16, 36, 41, 42: whatever the order, nothing is lost, doubled or overspent."""
    run_state_machine_as_test(Life, settings=LIFE)
