"""What a request booked, for alerts to look at once all of it is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from alerts import evaluation
from alerts.evaluation import Move
from usage.entries import Answer, Outcome, readings_of

Limits = Sequence[Sequence[Any] | None]
"""Of each charge gate, limit, whether it is enforced, and rule; None = not limited."""


@dataclass(slots=True)
class Bookings:
    """The meters that a request moved, summed: those of a batch are booked together, before any of them is read."""

    _found: defaultdict[UUID, dict[tuple[Any, ...], Move]] = field(default_factory=lambda: defaultdict(dict))
    _at: datetime | None = None

    def add(self, answer: Answer, body: Mapping[str, Any], limits: Limits) -> None:
        """What an answer of the ledger booked, under the limits in force; a replay booked nothing."""
        if answer.outcome != Outcome.BOOKED or answer.tenant is None:
            return
        self._at = answer.at
        found = self._found[answer.tenant]
        readings = readings_of(body["readings"])
        for scope, limit, amount, reading in zip(body["charges"], limits, body["amounts"], readings, strict=True):
            if amount:
                before = found.get(key := tuple(scope[:6]))
                total = amount + (before.amount if before else 0)
                found[key] = Move(scope, limit[1] if limit else None, total, reading)

    def tell(self) -> None:
        """Have alerts look at them. It fails nobody's request, and makes no query where no threshold was reached."""
        for tenant, found in self._found.items():
            if found and self._at is not None:
                evaluation.crossed(tenant, found.values(), self._at)
