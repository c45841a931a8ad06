"""What the reads answer, field by field as the contract names them; the OpenAPI description is made from these."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from msgspec import Meta

from plans.money import usd
from usage.models import Certainty, Denial, LogStatus, UsageLog

Entry = TypeVar("Entry")

Instant = Annotated[datetime, Meta(tz=True)]
Usd = Annotated[str, Meta(pattern=r"^-?[0-9]+\.[0-9]{2,9}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Entry]):
    """One page of a list; `next` and `previous` are the addresses of its neighbours."""

    results: list[Entry]
    next: str | None
    previous: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One booking. Token counts are differences: a commit after reports carries only what they did not."""

    id: UUID
    reservation_id: UUID | None
    recorded_at: Instant
    occurred_at: Instant
    status: LogStatus
    late: bool
    certainty: Certainty
    attempt: int
    user: str | None
    feature: str
    task: str
    model_class: str | None
    api_code: str | None
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    api_calls: int
    items: int
    units: int
    cost: Usd | None
    latency_ms: int | None

    @classmethod
    def of(cls, row: UsageLog) -> "LogEntry":
        """A row of the log without what stays inside: model, prices, plan, ask, metadata."""
        return cls(
            id=row.id,
            reservation_id=row.reservation_id,
            recorded_at=row.recorded_at,
            occurred_at=row.occurred_at,
            status=LogStatus(row.status),
            late=row.late,
            certainty=Certainty(row.certainty),
            attempt=row.attempt,
            user=row.user_key,
            feature=row.feature_id,
            task=row.task_id,
            model_class=row.model_class_id,
            api_code=row.api_code,
            input_tokens=row.input_tokens,
            cached_input_tokens=row.cached_input_tokens,
            cache_write_tokens=row.cache_write_tokens,
            output_tokens=row.output_tokens,
            reasoning_tokens=row.reasoning_tokens,
            api_calls=row.api_calls,
            items=row.items,
            units=row.units,
            cost=None if row.cost is None else usd(row.cost),
            latency_ms=row.latency_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DenialEntry:
    """A refusal, with the quota that refused as it stood. Alike ones of a minute are counted in one."""

    id: UUID
    at: Instant
    user: str | None
    feature: str | None
    task: str | None
    code: str
    message: str
    binding: dict[str, Any] | None
    count: int

    @classmethod
    def of(cls, row: Denial) -> "DenialEntry":
        """A row of the refusals."""
        return cls(
            id=row.id,
            at=row.at,
            user=row.user_key,
            feature=row.feature_id,
            task=row.task_id,
            code=row.code,
            message=row.message,
            binding=row.binding,
            count=row.count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryFigures:
    """Sums over the log. `cost` is of what has a price, null where nothing has; `unpriced` operations have none.

    `operations` are those that were completed or failed; units of features that count differently add up here too.
    """

    operations: int
    failed: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    api_calls: int
    items: int
    units: int
    cost: Usd | None
    unpriced: int
    denials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryEntry(SummaryFigures):
    """The sums of one key: a date, the instant an hour begins, or a name; null where the rows name none."""

    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Usage in [from, to), grouped. An operation counts where it was reserved, or by its event's own time."""

    results: list[SummaryEntry]
    totals: SummaryFigures
    as_of: Instant
