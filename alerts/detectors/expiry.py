"""What will soon not work any more: tokens of people, service keys, plans."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from alerts.models import AlertKind, Severity
from alerts.noticing import Noticed
from tenants.models import ATIToken, ServiceKey, TokenStatus

DAYS = (1, 7, 30)
"""Days before the end at which it is told, the last call first."""
_LIVES = 2
"""What lives less than so many times the days is not told that early."""


def expiring(now: datetime) -> Iterator[Noticed]:
    """Tokens that people call with, service keys and plans that end within 30, 7 and 1 days."""
    soon = now + timedelta(days=max(DAYS))
    tokens = ATIToken.objects.filter(
        user__isnull=False, status=TokenStatus.ACTIVE, expires_at__gt=now, expires_at__lte=soon
    )
    for token in tokens.select_related("user"):
        numbers = {"what": "token", "user": token.user.email if token.user else None}
        yield from _ending(
            now, token.tenant_id, f"token={token.id}", token.created_at, token.expires_at, numbers,
            user_key=str(token.user_id),
        )  # fmt: skip
    keys = ServiceKey.objects.filter(
        Q(revoked_at=None) | Q(revoked_at__gt=F("expires_at")), expires_at__gt=now, expires_at__lte=soon
    )
    for key in keys:
        named = {"what": "key", "name": key.name, "prefix": key.prefix}
        yield from _ending(now, key.tenant_id, f"key={key.id}", key.created_at, key.expires_at, named)
    roots = ATIToken.objects.filter(plan__isnull=False, plan_ends_at__gt=now, plan_ends_at__lte=soon)
    for root in roots.select_related("plan"):
        plan = {"what": "plan", "plan": root.plan.code if root.plan else None}
        yield from _ending(now, root.tenant_id, f"plan={root.id}", root.plan_starts_at, root.plan_ends_at, plan)


def _ending(
    now: datetime,
    tenant: UUID | None,
    subject: str,
    since: datetime | None,
    until: datetime | None,
    numbers: dict[str, Any],
    *,
    user_key: str | None = None,
) -> Iterator[Noticed]:
    """The latest of the days that has come."""
    if until is None:
        return
    left = until - now
    reached = [days for days in DAYS if left <= timedelta(days=days)]
    if not reached or (since is not None and until - since < _LIVES * timedelta(days=reached[0])):
        return
    yield Noticed(
        tenant=tenant,
        kind=AlertKind.EXPIRING,
        severity=Severity.CRITICAL if reached[0] == DAYS[0] else Severity.WARNING,
        subject=subject,
        user_key=user_key,
        threshold=reached[0],
        episode=until.isoformat(),
        numbers={**numbers, "ends_at": until, "days": reached[0]},
    )
