"""The reads of the ledger's tables, of one tenant, by an index; sums come from the roll-ups where they can."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, TextField, Value
from django.db.models.functions import Coalesce, Concat

from plans.calendars import calendar_of
from plans.charges import PeriodKind
from plans.periods import period
from usage import sums
from usage.entries import Reading
from usage.models import Denial, UsageLog, UsageMeter, UsageReservation
from usage.sight import Sight

_COUNTS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "api_calls",
    "items", "units",
)  # fmt: skip
GROUP_COLUMNS = sums.COLUMNS
"""What usage is grouped by, beside time, and the column of each."""


def first_id_at(at: datetime) -> UUID:
    """The smallest UUIDv7 of an instant from 1970 on: a bound for rows by their time, on the primary key."""
    milliseconds = max(0, (at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) // timedelta(milliseconds=1))
    return UUID(int=(milliseconds << 80) | (0x7000 << 64) | (0x8000 << 48))


def logs(sight: Sight) -> QuerySet[UsageLog]:
    """The log, without the columns that never leave the system."""
    hidden = ("model", "price", "error", "meters", "measures", "charges", "overruns", "helds", "ask", "decision")
    return seen(UsageLog.objects.for_tenant(sight.tenant.id), sight).defer(*hidden, "metadata")


def denials(sight: Sight) -> QuerySet[Denial]:
    """What was refused."""
    return seen(Denial.objects.for_tenant(sight.tenant.id), sight).defer("decision")


def seen(rows: QuerySet[Any], sight: Sight) -> QuerySet[Any]:
    """Those of the rows that are in sight."""
    return rows if sight.user is None else rows.filter(user_key=sight.user)


def running_meters(
    sight: Sight,
    now: datetime,
    *,
    kinds: Collection[PeriodKind],
    user: str | None = None,
    feature: str | None = None,
    tasks: Collection[str] = (),
) -> QuerySet[UsageMeter]:
    """The meters of the periods around `now`: the tenant's shared ones, and those of the users in sight.

    `feature` narrows them to its own and those of `tasks`. `order_key` orders them by user (shared ones first),
    feature, task, measure and period; it is unique.
    """
    calendar = calendar_of(sight.tenant)
    running = Q()
    for kind in kinds:
        running |= Q(period=kind, period_start=period(kind, calendar, now).start)
    rows = UsageMeter.objects.for_tenant(sight.tenant.id).filter(running)
    if sight.user is not None:
        rows = rows.filter(Q(user_key=None) | Q(user_key=sight.user))
    if user is not None:
        rows = rows.filter(user_key=user)
    if feature is not None:
        rows = rows.filter(Q(feature=feature) | Q(task__in=tasks))
    parts: list[Any] = []
    for column in ("user_key", "feature_id", "task_id", "measure", "period"):
        parts += [Coalesce(column, Value(""), output_field=TextField()), Value("\x1f")]
    found: QuerySet[UsageMeter] = rows.annotate(order_key=Concat(*parts, output_field=TextField()))
    return found


def readings(tenant: UUID, meters: Sequence[UUID]) -> dict[UUID, Reading]:
    """What meters say now; one without a row is left out and reads 0."""
    rows = UsageMeter.objects.for_tenant(tenant).filter(id__in=meters)
    return {row[0]: Reading(*row[1:]) for row in rows.values_list("id", "used", "reserved", "overrun")}


def reservation(tenant: UUID | None, id_: UUID, user: str | None) -> UsageReservation | None:
    """A reservation, where it is the tenant's and the user's (None = of any)."""
    rows = UsageReservation.objects.all() if tenant is None else UsageReservation.objects.for_tenant(tenant)
    return rows.filter(id=id_, **({} if user is None else {"user_key": user})).first()


def usage_by(
    sight: Sight, group_by: str, since: datetime, until: datetime, starts: Sequence[datetime], most: int
) -> list[dict[str, Any]]:
    """Sums of the log in [since, until) by `key`, at most `most` of them; the key is the number, from 1, of the last
    of `starts` that an operation does not precede, or a name where `group_by` is one of GROUP_COLUMNS.
    """
    span = sums.Span(since=since, until=until, starts=starts)
    by = group_by if group_by in GROUP_COLUMNS else None
    found = sums.usage(sight, span, ("operations", "failed", "unpriced", "cost", *_COUNTS), by=by, most=most)
    names = {"part": "key"} | {name: f"{name}_sum" for name in ("cost", *_COUNTS)}
    return [{names.get(name, name): value for name, value in row.items()} for row in found]


def denials_by(
    sight: Sight, group_by: str, since: datetime, until: datetime, starts: Sequence[datetime], most: int
) -> list[dict[str, Any]]:
    """How many refusals there were in [since, until), by `key` as in `usage_by`; they name no class, API or status."""
    span = sums.Span(since=since, until=until, starts=starts)
    by = group_by if group_by in sums.DENIAL_COLUMNS else None
    found = sums.denials(sight, span, by=by, most=most)
    return [{"key": row.get("part", row.get("key")), "denials": row["denials"]} for row in found]
