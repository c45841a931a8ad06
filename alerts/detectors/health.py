"""What is wrong with the ledger or with those who work on it: told super admins."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from alerts.detectors.calls import day
from alerts.models import AlertKind, Delivery, DeliveryState, Severity
from alerts.noticing import Noticed
from usage import audit
from usage.audit import Breach
from usage.models import ReservationStatus, RollupState, UsageReservation

_ROLLUPS_LATE, _KEEPER_LATE, _MESSAGES_LATE = timedelta(minutes=5), timedelta(minutes=1), timedelta(minutes=2)
_QUOTED = 5


def late(now: datetime) -> Iterator[Noticed]:
    """Background work that is behind: the roll-ups, the keeper's sweep of holds, and messages that wait."""
    as_of = RollupState.objects.values_list("as_of", flat=True).first()
    if as_of is not None and now - as_of > _ROLLUPS_LATE:
        yield _late("rollups", now, _ROLLUPS_LATE, as_of)
    due = UsageReservation.objects.filter(status=ReservationStatus.OPEN, expires_at__lte=now - _KEEPER_LATE)
    oldest = due.order_by("expires_at").values_list("expires_at", flat=True).first()
    if oldest is not None:
        yield _late("keeper", now, _KEEPER_LATE, oldest)
    waiting = Delivery.objects.filter(state=DeliveryState.PENDING, next_attempt_at__lte=now - _MESSAGES_LATE)
    oldest = waiting.order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()
    if oldest is not None:
        yield _late("messages", now, _MESSAGES_LATE, oldest)


def _late(what: str, now: datetime, allowed: timedelta, since: datetime) -> Noticed:
    return Noticed(
        tenant=None,
        kind=AlertKind.LAG,
        severity=Severity.CRITICAL,
        subject=f"work={what}",
        threshold=int(allowed.total_seconds()),
        episode=day(now),
        numbers={"what": what, "since": since, "seconds": int((now - since).total_seconds())},
    )


def breaches(now: datetime) -> Iterator[Noticed]:
    """What an audit of the ledger finds wrong, by invariant and tenant."""
    found: defaultdict[tuple[str, UUID | None], list[Breach]] = defaultdict(list)
    for breach in audit.audit().breaches:
        found[breach.invariant, breach.tenant].append(breach)
    for (invariant, tenant), group in found.items():
        quoted: list[dict[str, Any]] = [
            {"subject": each.subject, "expected": each.expected, "found": each.found} for each in group[:_QUOTED]
        ]
        yield Noticed(
            tenant=None,
            kind=AlertKind.AUDIT_BREACH,
            severity=Severity.CRITICAL,
            subject=f"invariant={invariant};tenant={tenant or ''}",
            threshold=0,
            episode=day(now),
            numbers={"invariant": invariant, "tenant": tenant, "breaches": len(group), "first": quoted},
        )
