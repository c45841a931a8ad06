"""A quota as it reads, and the names by which alerts know it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plans.charges import Charge, Measure, PeriodKind
from usage.entries import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A meter of one period with the limit in force (None = unlimited); None in feature, task and user = shared.

    Amounts are in `unit`, money in nano-USD. `ends_at` None = it never starts again at zero.
    """

    user: str | None
    feature: str | None
    task: str | None
    measure: Measure
    period: PeriodKind
    unit: str | None
    starts_at: datetime
    ends_at: datetime | None
    limit: int | None
    reading: Reading

    @property
    def counted(self) -> int:
        """What is used of it; of calls open at once, those that are open."""
        return self.reading.reserved if self.measure == Measure.SLOTS else self.reading.used

    @property
    def held(self) -> int:
        """What open calls hold beside it."""
        return 0 if self.measure == Measure.SLOTS else self.reading.reserved

    @property
    def left(self) -> int | None:
        """What may still be granted; None where nothing limits it."""
        return None if self.limit is None else max(0, self.limit - self.counted - self.held)

    @property
    def subject(self) -> str:
        """The name of the quota, whatever its period and limit. The user comes last: a key may hold any character."""
        named = {
            "feature": self.feature, "task": self.task, "period": self.period, "measure": self.measure,
            "user": self.user,
        }  # fmt: skip
        return ";".join(f"{name}={value or ''}" for name, value in named.items())

    @property
    def span(self) -> str:
        """The episode of what does not depend on the limit: the period."""
        return self.starts_at.isoformat()

    @property
    def episode(self) -> str:
        """The period and the limit: another one of either is told anew."""
        return f"{self.span};{self.limit}"

    def numbers(self) -> dict[str, Any]:
        """Its figures as an alert keeps them."""
        return {
            "feature": self.feature,
            "task": self.task,
            "measure": self.measure,
            "period": self.period,
            "used": self.counted,
            "held": self.held,
            "limit": self.limit,
            "left": self.left,
            "unit": "USD" if self.measure == Measure.COST else self.unit or self.measure.value,
            "starts_at": self.starts_at,
            "resets_at": self.ends_at,
        }


def of_charge(charge: Charge, starts_at: datetime, ends_at: datetime | None, reading: Reading) -> Quota:
    """The quota that a charge is on."""
    return Quota(
        user=charge.user, feature=charge.feature, task=charge.task, measure=charge.measure, period=charge.period,
        unit=charge.unit, starts_at=starts_at, ends_at=ends_at, limit=charge.limit, reading=reading,
    )  # fmt: skip
