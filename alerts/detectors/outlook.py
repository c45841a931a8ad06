"""Quotas and budgets that will run out before their month ends."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from alerts import quotas
from alerts.models import AlertKind, Severity
from alerts.noticing import Noticed
from plans import entitlements
from plans.charges import Measure, PeriodKind
from tenants import versions
from usage import standings
from usage.models import TenantRollup
from usage.pages.outlook import WINDOW, outlook
from usage.pages.pace import Pace, pace_of
from usage.standings import Standing

_HOUR = timedelta(hours=1)


def running_out(now: datetime) -> Iterator[Noticed]:
    """Monthly quotas of features, and budgets, that run out at the pace of the last seven days, each day of the week
    among them; the basis is stated, and with less than a day of it nothing is said.
    """
    busy = TenantRollup.objects.filter(slot__gte=now - WINDOW).order_by("tenant").values_list("tenant", flat=True)
    for tenant in busy.distinct():
        versions.refresh(tenant)
        entitled = entitlements.of(tenant, now)
        found = standings.of(entitled, standings.tasks_of(entitled), None)
        limited = [each for each in found if _is_about(each)]
        if limited:
            pace = pace_of(entitled.tenant.facts, now)
            yield from (told for each in limited if (told := _noticed(tenant, each, pace, now)) is not None)


def _is_about(standing: Standing) -> bool:
    """Whether the pace tells of it: of a feature's units, or of all spend, in a month."""
    charge = standing.charge
    is_units = charge.measure == Measure.UNITS and charge.feature is not None
    is_spend = charge.measure == Measure.COST and charge.feature is None
    return (is_units or is_spend) and charge.task is None and bool(charge.limit) and charge.period == PeriodKind.MONTH


def _noticed(tenant: UUID, standing: Standing, pace: Pace, now: datetime) -> Noticed | None:
    charge, period = standing.charge, standing.bound.period
    assert period.end is not None  # noqa: S101 - a month ends
    recent = pace.cost if charge.measure == Measure.COST else pace.units.get(charge.feature or "", 0)
    ahead = outlook(
        recent=recent, basis=pace.basis, used=standing.counted, left=standing.left, ends_at=period.end, now=now
    )
    if ahead is None or ahead.runs_out_at is None or not standing.left:
        return None
    quota = quotas.of_charge(charge, period.start, period.end, standing.reading)
    return Noticed(
        tenant=tenant,
        kind=AlertKind.RUN_OUT,
        severity=Severity.WARNING,
        subject=quota.subject,
        threshold=0,
        episode=quota.episode,
        numbers=quota.numbers()
        | {
            "runs_out_at": ahead.runs_out_at, "per_day": ahead.per_day, "at_end": ahead.at_end,
            "basis_hours": ahead.basis // _HOUR,
        },
    )  # fmt: skip
