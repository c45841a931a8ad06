"""Each tenant's own calendar: read from its facts, changed so that no edit gives a second quota."""

from datetime import datetime

from django.db import transaction

from plans.periods import Calendar, CalendarChange, changed
from tenants.facts import TenantFacts
from tenants.models import Tenant


def calendar_of(tenant: TenantFacts) -> Calendar:
    """How the tenant's days and months fall; a change to come, or due and not folded in, is its `next`."""
    change = None
    if tenant.next_calendar is not None:
        timezone, anchor_day, at = tenant.next_calendar
        change = CalendarChange(timezone=timezone, anchor_day=anchor_day, at=at)
    return Calendar(tenant.timezone, tenant.anchor_day, since=tenant.calendar_since, next=change)


def change_calendar(tenant: Tenant, *, timezone: str, anchor_day: int, now: datetime) -> datetime:
    """Give the tenant another zone or anchor day (1..31) and return the instant at which it takes effect.

    That is the end of the month running at `now`, in place of a change still to come; one that has come
    is folded in first. ValueError, with nothing written, for an unknown zone or anchor day.
    """
    with transaction.atomic():
        locked = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
        found = changed(stored(locked), timezone, anchor_day, now)
        assert found.next is not None  # noqa: S101 - `changed` always sets it
        locked.timezone, locked.billing_anchor_day = found.timezone, found.anchor_day
        locked.calendar_since = found.since
        locked.next_timezone = found.next.timezone
        locked.next_billing_anchor_day = found.next.anchor_day
        locked.next_calendar_at = found.next.at
        locked.save(
            update_fields=[
                "timezone", "billing_anchor_day", "calendar_since", "next_timezone",
                "next_billing_anchor_day", "next_calendar_at",
            ]
        )  # fmt: skip
    tenant.refresh_from_db()
    return found.next.at


def stored(tenant: Tenant) -> Calendar:
    """How the days and months of a tenant's row fall."""
    change = None
    if tenant.next_timezone and tenant.next_billing_anchor_day and tenant.next_calendar_at:
        change = CalendarChange(
            timezone=tenant.next_timezone,
            anchor_day=tenant.next_billing_anchor_day,
            at=tenant.next_calendar_at,
        )
    return Calendar(tenant.timezone, tenant.billing_anchor_day, since=tenant.calendar_since, next=change)
