"""Days and months that began, each tenant's by its own calendar."""

from collections.abc import Iterator
from datetime import datetime

from alerts.events import PERIOD_RESET
from alerts.events.payloads import PeriodReset
from alerts.events.telling import Happened, listening
from plans import periods
from plans.calendars import calendar_of
from plans.charges import PeriodKind
from tenants import facts


def read(now: datetime) -> Iterator[Happened]:
    """The day and the month that run, where they began once somebody listened."""
    for tenant, since in listening(PERIOD_RESET).items():
        about = facts.tenant(tenant)
        for kind in (PeriodKind.DAY, PeriodKind.MONTH):
            period = periods.period(kind, calendar_of(about), now)
            if period.start < since or period.end is None:
                continue
            payload = PeriodReset(tenant=about.ati_id, period=kind, started_at=period.start, ends_at=period.end)
            name = f"{kind}:{period.start.isoformat()}"
            yield Happened(tenant=tenant, event=PERIOD_RESET, name=name, at=period.start, payload=payload)
