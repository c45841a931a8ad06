"""Telling events of the product to the channels that ask for them.

Nothing of this is on the way of a request: what happened is read afterwards, each minute, from the rows that record
it. Each event has a name, so a channel is told it once, however often it is read and by how many at once.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import Min

from alerts import nudging
from alerts.models import Channel
from tenants import database


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that happened to a tenant. `name` is its own among the tenant's events of this kind."""

    tenant: UUID
    event: str
    name: str
    at: datetime
    payload: Any


Source = Callable[[datetime], Iterable[Happened]]
"""Reads what happened, until an instant of the database's clock; what was told already may be among it."""

# A channel hears what happens once it asks for it; one that is being removed is waited for, and left out once gone.
_TELL = """
    INSERT INTO alerts_delivery (id, tenant_id, channel_id, event, event_id, payload, message_id, state, attempts,
                                 next_attempt_at, last_error, created_at)
    SELECT ledger_uuid7(clock_timestamp()), h.tenant, c.id, h.event, h.event || ':' || h.name, h.payload,
           ledger_uuid7(clock_timestamp()), 'PENDING', 0, statement_timestamp(), '', h.at
      FROM jsonb_to_recordset(%s::jsonb) AS h(tenant uuid, event text, name text, at timestamptz, payload jsonb)
      JOIN alerts_channel c ON c.tenant_id = h.tenant AND c.is_active AND h.event = ANY(c.events)
                           AND c.listens_since <= h.at
     ORDER BY h.at
       FOR KEY SHARE OF c
    ON CONFLICT (channel_id, event_id) WHERE alert_id IS NULL DO NOTHING
    RETURNING id
"""


def tell(source: Source, now: datetime) -> int:
    """Has channels told what a source reads; how many messages were new. All of it or nothing."""
    with transaction.atomic():
        happened = [asdict(each) for each in source(now)]
        if not happened:
            return 0
        told = len(database.rows(_TELL, [orjson.dumps(happened).decode()]))
    if told:
        nudging.nudge()
    return told


def listening(event: str) -> dict[UUID, datetime]:
    """The tenants that have a channel which asks for an event, and since when."""
    channels = Channel.objects.filter(is_active=True, tenant__isnull=False, events__contains=[event]).order_by()
    return {tenant: since for tenant, since in channels.values_list("tenant").annotate(Min("listens_since")) if tenant}
