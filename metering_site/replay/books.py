"""What the ledger says about a replay, read from the log itself: nothing that was answered over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, Sum
from django.db.models.functions import Now

from metering_site.replay import tally
from metering_site.replay.asks import SOURCE
from metering_site.replay.parties import Party
from tenants.models import Tenant
from usage.models import LogStatus, UsageLog


def clock() -> datetime:
    """The database's clock."""
    now: datetime = Tenant.objects.values_list(Now(), flat=True)[0]
    return now


def logged(run: str, parties: Sequence[Party], since: datetime) -> tally.Sum:
    """The sum of the log rows of a run, whose reservations carry its id as metadata; one tenant at a time."""
    total = tally.Sum()
    ended = Count("id", filter=Q(status__in=(LogStatus.COMPLETED, LogStatus.FAILED)))
    for party in parties:
        rows = UsageLog.objects.for_tenant(party.tenant).filter(id__gte=_floor(since), metadata__contains={SOURCE: run})
        found = rows.aggregate(
            calls=ended, input=Sum("input_tokens"), output=Sum("output_tokens"), cost=Sum("cost")
        )  # fmt: skip
        total.calls += found["calls"]
        total.input_tokens += int(found["input"] or 0)
        total.output_tokens += int(found["output"] or 0)
        total.cost_nano_usd += int(found["cost"] or 0)
    return total


def _floor(since: datetime) -> UUID:
    """The smallest UUIDv7 of an instant: its milliseconds stand in the first 48 bits."""
    return UUID(int=int(since.timestamp() * 1000) << 80)
