"""What the ledger is asked with and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from tenants.versions import Numbers
from usage.meters import BoundCharge


class Outcome(StrEnum):
    """What became of an operation."""

    GRANTED = "GRANTED"
    DENIED = "DENIED"
    DEGRADE = "DEGRADE"
    CONFIRMED = "CONFIRMED"
    REPLAY = "REPLAY"
    CONFLICT = "CONFLICT"
    BOOKED = "BOOKED"
    DUPLICATE = "DUPLICATE"
    UNCHANGED = "UNCHANGED"
    EXTENDED = "EXTENDED"
    EXPIRED = "EXPIRED"
    ENDED = "ENDED"
    GONE = "GONE"
    MISSING = "MISSING"
    ARCHIVED = "ARCHIVED"


class Ending(StrEnum):
    """How an operation ends, or that it goes on (REPORT)."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    RELEASED = "RELEASED"
    REPORT = "REPORT"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter says."""

    used: int
    reserved: int
    overrun: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the ledger answered; `readings` are those of the charges, in their order."""

    outcome: Outcome
    id: UUID | None
    tenant: UUID | None
    at: datetime
    numbers: Numbers
    status: str | None
    expires_at: datetime | None
    body: dict[str, Any] | None
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What an operation relies on: configuration numbers, and the window [since, until) they were decided for."""

    numbers: Numbers
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What to reserve. `fingerprint` is that of the ask as it was sent, see `fingerprint`."""

    key: str
    fingerprint: str
    ttl_seconds: int
    user_key: str | None
    feature: str
    task: str
    model_class: str | None
    plan: UUID | None
    unit: str
    rates: tuple[int | None, ...] | None
    charges: tuple[BoundCharge, ...]
    held_totals: tuple[int, ...]
    held_cost: int | None
    correlation_id: str | None
    ask: Mapping[str, Any]
    metadata: Mapping[str, str] | None
    decision: Mapping[str, Any]

    def wire(self) -> dict[str, Any]:
        """The SQL type ledger_ask as JSON."""
        charges = [each.charge for each in self.charges]
        return {
            "key": self.key,
            "fingerprint": self.fingerprint,
            "ttl": self.ttl_seconds,
            "user_key": self.user_key,
            "feature": self.feature,
            "task": self.task,
            "model_class": self.model_class,
            "plan": self.plan,
            "unit": self.unit,
            "rates": self.rates,
            "meters": [each.meter for each in self.charges],
            "measures": [charge.measure for charge in charges],
            "periods": [charge.period for charge in charges],
            "amounts": [charge.amount for charge in charges],
            "limits": [charge.limit for charge in charges],
            "enforced": [charge.enforced for charge in charges],
            "degrade_above": [charge.degrade_above for charge in charges],
            "charges": [each.scope() for each in self.charges],
            "held_totals": self.held_totals,
            "held_cost": self.held_cost,
            "correlation_id": self.correlation_id,
            "ask": self.ask,
            "metadata": self.metadata,
            "decision": self.decision,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An ending or report with the totals so far.

    `totals` in the order input, cached input, cache write, output, reasoning tokens, API calls, items, web searches
    (which only make a price); None = not said. `cost` in nano-USD where it was priced by model; None = the flat rates
    of the hold, or where `is_unpriced` the held cost. `facts` go into the log: model, model_class, api_code,
    latency_ms, error, price, correlation_id, metadata.
    """

    kind: Ending
    totals: tuple[int | None, ...]
    fingerprint: str
    cost: int | None = None
    is_unpriced: bool = False
    certainty: str = "FINAL"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def wire(self) -> dict[str, Any]:
        """What the SQL functions take as p_end."""
        return {
            "kind": self.kind,
            "totals": self.totals,
            "fingerprint": self.fingerprint,
            "cost": self.cost,
            "unpriced": self.is_unpriced,
            "certainty": self.certainty,
            "facts": self.facts,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Usage without a reservation: where it is charged."""

    user_key: str | None
    feature: str
    task: str
    model_class: str | None
    plan: UUID | None
    unit: str
    rates: tuple[int | None, ...] | None
    charges: tuple[BoundCharge, ...]
    occurred_at: datetime

    def wire(self) -> dict[str, Any]:
        """The fields of a reservation that holds nothing."""
        zeros = [0] * len(self.charges)
        return {
            "user_key": self.user_key,
            "feature_id": self.feature,
            "task_id": self.task,
            "model_class_id": self.model_class,
            "plan_id": self.plan,
            "unit": self.unit,
            "rates": self.rates,
            "meters": [each.meter for each in self.charges],
            "measures": [each.charge.measure for each in self.charges],
            "periods": [each.charge.period for each in self.charges],
            "charges": [each.scope() for each in self.charges],
            "amounts": zeros,
            "booked": zeros,
            "totals": [0] * 7,
            "held_totals": [0, 0, 0, 0, 0, 1, 1],  # a call is one, of one item, unless it says otherwise
            "attempt": 0,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One usage event: an ending, of a reservation where it names one, else (or where that is gone) a fact.

    `end.fingerprint` is that of the commit it would be, `fingerprint` that of the event.
    """

    source: str
    event_id: str
    fingerprint: str
    reservation: UUID | None
    end: End
    fact: Fact | None

    def wire(self) -> dict[str, Any]:
        """One item of ledger_record."""
        return self.end.wire() | {
            "source": self.source,
            "event_id": self.event_id,
            "fingerprint": self.fingerprint,
            "end_fingerprint": self.end.fingerprint,
            "reservation": self.reservation,
            "row": self.fact.wire() if self.fact else None,
            "occurred_at": self.fact.occurred_at if self.fact else None,
        }


def readings_of(numbers: Sequence[int]) -> tuple[Reading, ...]:
    """Readings from the flat form the ledger gives and stores: used, reserved, overrun of each meter in turn."""
    return tuple(Reading(*numbers[place : place + 3]) for place in range(0, len(numbers), 3))
