"""Calls that wait for each other, and calls that nobody commits."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Max, Sum

from alerts.models import AlertKind, Severity
from alerts.noticing import Noticed
from plans.codes import Code
from usage.models import Denial, LogStatus, ReservationStatus, TenantRollup, UsageReservation

_LATELY = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
_EXPIRED, _SHARE = 10, 5
"""So many holds that ran out in an hour are told where they are at least one in so many."""


def saturated(now: datetime) -> Iterator[Noticed]:
    """Quotas of calls at once that turned somebody away lately. One that is only full turns nobody away."""
    rows = (
        Denial.objects.filter(minute__gte=now - _LATELY, code=Code.CONCURRENCY_LIMIT)
        .values("tenant", "binding__feature", "binding__task", "binding__limit")
        .annotate(times=Sum("count"), at=Max("last_at"))
    )
    for row in rows:
        feature, task, limit = (row[f"binding__{name}"] for name in ("feature", "task", "limit"))
        yield Noticed(
            tenant=row["tenant"],
            kind=AlertKind.SATURATED,
            severity=Severity.WARNING,
            subject=f"feature={feature or ''};task={task or ''};period=OPEN;measure=SLOTS;user=",
            threshold=int(limit or 0),
            episode=day(now),
            numbers={
                "feature": feature, "task": task, "measure": "SLOTS", "limit": limit, "unit": "SLOTS",
                "refused": row["times"], "last_at": row["at"], "minutes": 15,
            },
        )  # fmt: skip


def holds_expired(now: datetime) -> Iterator[Noticed]:
    """Tenants of whose calls many ran out: their commits are missing, and what they used is not known."""
    rows = UsageReservation.objects.filter(status=ReservationStatus.EXPIRED, ended_at__gt=now - _HOUR)
    expired = {
        row["tenant"]: row["count"]
        for row in rows.order_by().values("tenant").annotate(count=Count("id"))
        if row["count"] >= _EXPIRED
    }
    ended = TenantRollup.objects.filter(
        tenant__in=expired, slot__gt=now - _HOUR - _LATELY, status__in=[LogStatus.COMPLETED, LogStatus.FAILED]
    )
    committed = dict(ended.order_by().values("tenant").annotate(calls=Sum("bookings")).values_list("tenant", "calls"))
    for tenant, count in expired.items():
        if _SHARE * count >= count + committed.get(tenant, 0):
            yield Noticed(
                tenant=tenant,
                kind=AlertKind.HOLDS_EXPIRED,
                severity=Severity.WARNING,
                subject="holds",
                threshold=_EXPIRED,
                episode=day(now),
                numbers={"expired": count, "committed": committed.get(tenant, 0), "minutes": 60},
            )


def day(now: datetime) -> str:
    """The episode of what is told once a day at most."""
    return now.date().isoformat()
