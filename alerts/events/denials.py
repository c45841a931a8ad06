"""Refusals: those of a minute in one message, so that a storm of them is no storm of messages."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import DateTimeField, Max
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from alerts.events import RESERVATION_DENIED
from alerts.events.payloads import CallsDenied
from alerts.events.telling import Happened, listening
from alerts.models import Channel, Delivery
from tenants import facts
from usage.answers import DenialEntry
from usage.models import Denial
from usage.queries import first_id_at

MOST = 20
"""Alike refusals that one message lists; of the others it says how many there were."""
_MINUTE = timedelta(minutes=1)
_RECORDED_WITHIN = timedelta(seconds=10)
"""A refusal is written down with its answer, so a minute has all of its own by then."""
_LOOKED_BACK = timedelta(hours=1)
"""For how long nobody may have looked without anything being missed."""


def read(now: datetime) -> Iterator[Happened]:
    """The minutes that are over and were not told yet."""
    tenants = listening(RESERVATION_DENIED)
    until = (now - _RECORDED_WITHIN).replace(second=0, microsecond=0)
    told = _told(list(tenants), now)
    for tenant, since in tenants.items():
        first = max(since.replace(second=0, microsecond=0), until - _LOOKED_BACK)
        if tenant in told:
            first = max(first, told[tenant] + _MINUTE)
        yield from _minutes(tenant, first, until)


def _told(tenants: list[UUID], now: datetime) -> dict[UUID, datetime]:
    """The last minute of each tenant that was told lately."""
    channels = Channel.objects.filter(tenant__in=tenants, events__contains=[RESERVATION_DENIED])
    rows = Delivery.objects.filter(
        channel__in=channels, event=RESERVATION_DENIED, id__gte=first_id_at(now - 2 * _LOOKED_BACK)
    )
    last = Max(Cast(KT("payload__minute"), DateTimeField()))
    return {tenant: at for tenant, at in rows.order_by().values_list("tenant").annotate(last=last) if tenant}


def _minutes(tenant: UUID, first: datetime, until: datetime) -> Iterator[Happened]:
    rows = Denial.objects.filter(tenant=tenant, id__gte=first_id_at(first), minute__gte=first, minute__lt=until)
    found: defaultdict[datetime, list[Denial]] = defaultdict(list)
    for row in rows.defer("decision").order_by("minute", "-count", "id"):
        found[row.minute].append(row)
    for minute, denials in found.items():
        count, shown = sum(row.count for row in denials), denials[:MOST]
        payload = CallsDenied(
            tenant=facts.tenant(tenant).ati_id,
            minute=minute,
            count=count,
            denials=[DenialEntry.of(row) for row in shown],
            others=count - sum(row.count for row in shown),
        )
        at = max(row.last_at for row in denials)
        yield Happened(tenant=tenant, event=RESERVATION_DENIED, name=minute.isoformat(), at=at, payload=payload)
