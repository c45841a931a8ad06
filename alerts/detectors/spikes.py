"""More than usual: refusals against the week before, usage and spend against the same hour of past weeks."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from statistics import median
from uuid import UUID

from django.db.models import F, Min, Q, Sum

from alerts import unusual
from alerts.detectors.calls import day
from alerts.models import AlertKind, Severity
from alerts.noticing import Noticed
from plans import periods
from usage.models import Denial, DenialRollup, LogStatus, TenantRollup

_QUARTER, _HOUR, _DAY, _WEEK = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1), timedelta(days=7)
_REFUSALS = 20
"""Fewer in a quarter of an hour are not told."""
_WEEKS = 4
_MEASURES = {
    "operations": (AlertKind.USAGE_SPIKE, 50, "calls"),
    "tokens": (AlertKind.USAGE_SPIKE, 50_000, "tokens"),
    "cost": (AlertKind.SPEND_ANOMALY, 1_000_000_000, "USD"),
}
"""What is compared: its kind, how little in an hour is not told, and its unit (money in nano-USD)."""


def refusals(now: datetime) -> Iterator[Noticed]:
    """Tenants that were refused far more in the last 15 minutes than in those of the week before."""
    since = _quarter(now - _WEEK)
    lately = Denial.objects.filter(minute__gte=now - _QUARTER).order_by().values("tenant").annotate(n=Sum("count"))
    found = {row["tenant"]: row["n"] for row in lately if row["n"] >= _REFUSALS}
    firsts = _firsts(found)
    rows = DenialRollup.objects.filter(tenant__in=found, slot__gte=since, slot__lt=_quarter(now) - _QUARTER)
    past: defaultdict[UUID, list[int]] = defaultdict(list)
    for row in rows.order_by().values("tenant", "slot").annotate(n=Sum("count")):
        past[row["tenant"]].append(row["n"])
    for tenant, count in found.items():
        first = max(since, firsts.get(tenant, now))
        slots = (_quarter(now) - first) // _QUARTER
        usual = past[tenant] + [0] * max(0, slots - len(past[tenant]))
        if now - first >= _DAY and unusual.is_unusual(count, usual):
            yield Noticed(
                tenant=tenant, kind=AlertKind.REFUSALS, severity=Severity.WARNING, subject="refusals",
                threshold=_REFUSALS, episode=day(now),
                numbers={"refused": count, "usual": round(median(usual)), "minutes": 15, "basis": len(usual)},
            )  # fmt: skip


def usage(now: datetime) -> Iterator[Noticed]:
    """Tenants that used far more in the last hour than in the same hour, and those beside it, of four past weeks.

    Quiet while there are less than three weeks to compare with.
    """
    end = _quarter(now)
    current = _sums(Q(slot__gte=end - _HOUR, slot__lt=end))
    busy = {tenant for tenant, sums in current.items() if any(sums[name] >= _MEASURES[name][1] for name in _MEASURES)}
    starts = [
        end - week * _WEEK + beside * _HOUR - _HOUR for week in range(1, _WEEKS + 1) for beside in (-1, 0, 1)
    ]  # fmt: skip
    wanted = reduce(or_, (Q(slot__gte=start, slot__lt=start + _HOUR) for start in starts))
    firsts = _firsts(busy)
    past: dict[datetime, Mapping[UUID, Mapping[str, int]]] = {}
    if busy:
        by_slot = _slots(wanted, busy)
        past = {start: _between(by_slot, start) for start in starts}
    for tenant in busy:
        known = [start for start in starts if start >= firsts.get(tenant, now)]
        for name, (kind, least, unit) in _MEASURES.items():
            used = [past[start].get(tenant, {}).get(name, 0) for start in known]
            value = current[tenant][name]
            if value >= least and unusual.is_unusual(value, used):
                yield Noticed(
                    tenant=tenant, kind=kind, severity=Severity.WARNING, subject=f"measure={name}", threshold=0,
                    episode=day(now),
                    numbers={
                        "measure": name, "lately": value, "usual": round(median(used)), "unit": unit, "minutes": 60,
                        "basis": len(used),
                    },
                )  # fmt: skip


def _quarter(at: datetime) -> datetime:
    return at - (at - periods.EPOCH) % _QUARTER


def _firsts(tenants: Collection[UUID]) -> dict[UUID, datetime]:
    """When each tenant began to use anything."""
    rows = TenantRollup.objects.filter(tenant__in=tenants).order_by().values("tenant").annotate(first=Min("slot"))
    return {row["tenant"]: row["first"] for row in rows}


_SUMMED = {
    "operations": Sum("bookings", filter=Q(status__in=[LogStatus.COMPLETED, LogStatus.FAILED]), default=0),
    "tokens": Sum(F("input_tokens") + F("output_tokens"), default=0),
    "spend": Sum("cost", default=0),
}


def _sums(slots: Q) -> dict[UUID, dict[str, int]]:
    rows = TenantRollup.objects.filter(slots).order_by().values("tenant").annotate(**_SUMMED)
    return {tenant: _named(*sums) for tenant, *sums in rows.values_list("tenant", *_SUMMED)}


def _slots(slots: Q, tenants: Collection[UUID]) -> list[tuple[UUID, datetime, dict[str, int]]]:
    rows = TenantRollup.objects.filter(slots, tenant__in=tenants).order_by().values("tenant", "slot")
    found = rows.annotate(**_SUMMED).values_list("tenant", "slot", *_SUMMED)
    return [(tenant, slot, _named(*sums)) for tenant, slot, *sums in found]


def _named(operations: int, tokens: int, spend: int) -> dict[str, int]:
    return {"operations": int(operations), "tokens": int(tokens), "cost": int(spend)}


def _between(rows: list[tuple[UUID, datetime, dict[str, int]]], start: datetime) -> Mapping[UUID, Mapping[str, int]]:
    found: dict[UUID, dict[str, int]] = {}
    for tenant, slot, sums in rows:
        if start <= slot < start + _HOUR:
            total = found.setdefault(tenant, dict.fromkeys(sums, 0))
            for name, value in sums.items():
                total[name] += value
    return found
