"""Each minute: the thresholds that quotas have reached, whoever booked it and whatever became of that process.

What was noticed on the way of a booking is noticed again and not told again. What is over is resolved: its period has
ended, its limit is another one, or its usage was corrected.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from alerts import evaluation, standing
from alerts.models import AlertKind
from alerts.noticing import Noticed
from alerts.quotas import Quota
from plans import entitlements
from plans.charges import Charge, Measure, PeriodKind
from tenants import versions
from tenants.models import Tenant
from usage import standings
from usage.entries import Reading
from usage.models import UsageMeter
from usage.standings import Key

TOGETHER = 50
"""Tenants whose meters are read by one statement."""
_LONGEST = timedelta(days=32)
_KINDS = (AlertKind.THRESHOLD, AlertKind.AMOUNT)
_COLUMNS = (
    "user_key", "feature", "task", "measure", "period", "period_start", "period_end", "used", "reserved", "overrun",
)  # fmt: skip


def sweep() -> int:
    """Looks at the running quotas of every tenant; how many alerts were new."""
    return sum(_sweep(tenants) for tenants in _slices())


def _slices() -> Iterator[list[UUID]]:
    rows = Tenant.objects.order_by("id").values_list("id", flat=True)
    found = list(rows[:TOGETHER])
    while found:
        yield found
        found = list(rows.filter(id__gt=found[-1])[:TOGETHER])


def _sweep(tenants: Sequence[UUID]) -> int:
    now = versions.refresh(versions.CATALOGUE, *tenants)
    was_open = standing.open_of(_KINDS, tenants)
    return standing.keep(was_open, _reached(tenants, now), now)


def _reached(tenants: Sequence[UUID], now: datetime) -> Iterator[Noticed]:
    by_tenant: dict[UUID, list[tuple[Any, ...]]] = {}
    running = Q(period=PeriodKind.OPEN) | Q(period_start__gt=now - _LONGEST, period_end__gt=now)
    rows = UsageMeter.objects.filter(running, Q(used__gt=0) | Q(reserved__gt=0), tenant__in=tenants)
    for tenant, *row in rows.values_list("tenant", *_COLUMNS):
        by_tenant.setdefault(tenant, []).append(tuple(row))
    for tenant, meters in by_tenant.items():
        for quota in _quotas(tenant, meters, now):
            yield from evaluation.reached(tenant, quota)


def _quotas(tenant: UUID, meters: Iterable[tuple[Any, ...]], now: datetime) -> Iterator[Quota]:
    """The meters with the limits in force, whether the plan has their task or not."""
    entitled = entitlements.of(tenant, now)
    catalogue = entitled.catalogue
    known: dict[str | None, dict[Key, Charge]] = {}
    for user, feature, task, measure, period, starts_at, ends_at, *reading in meters:
        if user not in known:
            known[user] = standings.charged(entitled, catalogue.tasks.values(), user)
        charge = known[user].get((user, feature, task, Measure(measure), PeriodKind(period)))
        about = catalogue.tasks[task].feature if task else feature
        yield Quota(
            user=user, feature=feature, task=task, measure=Measure(measure), period=PeriodKind(period),
            unit=catalogue.features[about].unit if about and measure == Measure.UNITS else None,
            starts_at=starts_at, ends_at=ends_at, limit=charge.limit if charge else None, reading=Reading(*reading),
        )  # fmt: skip
