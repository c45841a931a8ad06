"""What a simulation finds: for each tenant who would newly be refused, by what, when first, and what it cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from enforcement.decisions import GATE_CODES, instant
from enforcement.simulation import meters
from plans import money

_GATES = {code: gate.value for gate, code in GATE_CODES.items()}


@dataclass(slots=True)
class Count:
    """How many calls, since when (milliseconds, None = none), and what they really cost in nano-USD."""

    requests: int = 0
    cost: int = 0
    first: int | None = None

    def add(self, at: int, cost: int) -> None:
        self.requests += 1
        self.cost += cost
        if self.first is None or at < self.first:
            self.first = at

    def include(self, other: "Count") -> None:
        self.requests += other.requests
        self.cost += other.cost
        if other.first is not None and (self.first is None or other.first < self.first):
            self.first = other.first

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        first = None if self.first is None else instant(meters.instant(self.first))
        return {"requests": self.requests, "cost": money.usd(self.cost), "first_at": first}


Counts = dict[str, Count]


def count(counts: Counts, name: str, at: int, cost: int) -> None:
    """Adds a call to the count of a name."""
    found = counts.get(name)
    if found is None:
        found = counts[name] = Count()
    found.add(at, cost)


@dataclass(slots=True)
class Findings:
    """What became of the calls of one tenant, or of several together.

    `newly_refused` are those that the trial refuses and the present terms permit, by code; `newly_permitted` the
    reverse, by the code that refuses them now. `shaped` are those that both permit, with less under the trial, by
    what there is less of. `observed` is what gates that refuse nothing yet would newly have refused.
    """

    calls: Count = field(default_factory=Count)
    refused_now: int = 0
    refused_then: int = 0
    facts: int = 0
    newly_refused: Counts = field(default_factory=dict)
    newly_permitted: Counts = field(default_factory=dict)
    shaped: Counts = field(default_factory=dict)
    observed: Counts = field(default_factory=dict)

    @property
    def refused(self) -> Count:
        """All that would newly be refused."""
        return _sum(self.newly_refused)

    def include(self, other: "Findings") -> None:
        """Adds what was found of others."""
        self.calls.include(other.calls)
        self.refused_now += other.refused_now
        self.refused_then += other.refused_then
        self.facts += other.facts
        for name in ("newly_refused", "newly_permitted", "shaped", "observed"):
            mine = getattr(self, name)
            for code, found in getattr(other, name).items():
                mine.setdefault(code, Count()).include(found)

    def wire(self) -> dict[str, Any]:
        """As JSON; each list with what concerns most calls first."""
        return {
            "requests": self.calls.requests,
            "cost": money.usd(self.calls.cost),
            "refused_now": self.refused_now,
            "refused_then": self.refused_then,
            "booked_alone": self.facts,
            "newly_refused": self.refused.wire() | {"by": _by_code(self.newly_refused)},
            "newly_permitted": _sum(self.newly_permitted).wire() | {"by": _by_code(self.newly_permitted)},
            "shaped": _listed(self.shaped, "param"),
            "observed": _by_code(self.observed),
        }


def _sum(counts: Counts) -> Count:
    total = Count()
    for each in counts.values():
        total.include(each)
    return total


def _by_code(counts: Counts) -> list[dict[str, Any]]:
    return [{"gate": _GATES.get(each["code"]), **each} for each in _listed(counts, "code")]


def _listed(counts: Counts, name: str) -> list[dict[str, Any]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1].requests, item[0]))
    return [{name: code, **found.wire()} for code, found in ranked]


def worst(found: Iterable[tuple[str, Findings]], most: int) -> list[tuple[str, Findings]]:
    """The tenants to show first: most newly refused, then most reduced, then most calls."""
    return sorted(
        found,
        key=lambda item: (
            -item[1].refused.requests, -_sum(item[1].shaped).requests, -item[1].calls.requests, item[0],
        ),
    )[:most]  # fmt: skip
