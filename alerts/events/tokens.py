"""Tokens and keys that authenticate nothing any more."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

from alerts.events import TOKEN_REVOKED
from alerts.events.payloads import TokenRevoked
from alerts.events.telling import Happened, listening
from tenants import facts
from tenants.models import ATIToken, ServiceKey
from usage.erasure import account

_LOOKED_BACK = timedelta(days=1)


def read(now: datetime) -> Iterator[Happened]:
    """Those that were revoked lately."""
    span = {"revoked_at__gt": now - _LOOKED_BACK, "revoked_at__lte": now, "tenant__in": list(listening(TOKEN_REVOKED))}
    rows: Iterator[ATIToken | ServiceKey] = chain(
        ATIToken.objects.filter(**span).select_related("user"), ServiceKey.objects.filter(**span)
    )
    for row in rows:
        assert row.tenant_id is not None and row.revoked_at is not None  # noqa: S101, PT018 - just asked for
        payload = TokenRevoked(
            tenant=facts.tenant(row.tenant_id).ati_id,
            kind="ATI_TOKEN" if isinstance(row, ATIToken) else "SERVICE_KEY",
            id=row.id,
            name=row.name,
            public=str(row) if isinstance(row, ATIToken) else f"mk_{row.prefix}",
            user=_user(row),
            revoked_at=row.revoked_at,
        )
        yield Happened(tenant=row.tenant_id, event=TOKEN_REVOKED, name=str(row.id), at=row.revoked_at, payload=payload)


def _user(row: ATIToken | ServiceKey) -> str | None:
    """Whose it was; of somebody who was erased nothing is said again."""
    user = row.user if isinstance(row, ATIToken) else None
    return None if user is None or account.is_erased(user) else str(user.pk)
