"""What the API says of an alert."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from alerts.models import AlertKind, QuotaAlert, Severity
from plans.money import usd
from usage.answers import Instant

_AMOUNTS = ("used", "held", "limit", "left", "lately", "usual", "per_day", "at_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEntry:
    """Something that was noticed, once. `resolved_at` null = it still holds.

    `user` is whose quota it is, where it is one person's own. `threshold` is a percentage of the limit, or of kind
    AMOUNT what was reached. `numbers` are the figures as they were: of a quota feature, task, measure, period, used,
    held, limit, left, unit, starts_at and resets_at. Money is a decimal string in USD.
    """

    id: UUID
    kind: AlertKind
    severity: Severity
    subject: str
    user: str | None
    threshold: int | str
    numbers: dict[str, Any]
    created_at: Instant
    resolved_at: Instant | None

    @classmethod
    def of(cls, row: QuotaAlert) -> "AlertEntry":
        """A row of the alerts."""
        return cls(
            id=row.id,
            kind=AlertKind(row.kind),
            severity=Severity(row.severity),
            subject=row.subject,
            user=row.user_key,
            threshold=threshold_of(row),
            numbers=_numbers(row),
            created_at=_seconds(row.created_at),
            resolved_at=row.resolved_at and _seconds(row.resolved_at),
        )


def threshold_of(row: QuotaAlert) -> int | str:
    """What was reached, as the API says it."""
    return usd(row.threshold) if row.kind == AlertKind.AMOUNT and is_money(row) else row.threshold


def is_money(row: QuotaAlert) -> bool:
    """Whether its amounts are nano-USD."""
    return bool(row.numbers.get("unit") == "USD")


def _numbers(row: QuotaAlert) -> dict[str, Any]:
    numbers: Mapping[str, Any] = row.numbers
    if not is_money(row):
        return dict(numbers)
    return {name: usd(n) if name in _AMOUNTS and n is not None else n for name, n in numbers.items()}


def _seconds(at: datetime) -> datetime:
    return at.replace(microsecond=0)
