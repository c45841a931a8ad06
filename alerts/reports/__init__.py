"""Usage reports by mail: of each week or month that has ended, once to each channel that asks for them."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection

from alerts import messages, nudging
from alerts.messages import Place
from alerts.models import Channel, Delivery, Report
from alerts.places import place_of
from alerts.reports import figures, letter, spans
from alerts.reports.letter import EVENT, Reported
from alerts.reports.spans import Span
from plans.calendars import stored
from tenants.ids import uuid7
from tenants.models import Tenant

__all__ = ["EVENT", "make_due", "message_of", "people", "preview", "send_now"]

CAUGHT_UP = timedelta(days=3)
"""A report that could not be made in the morning is made later, for so long."""

log = structlog.get_logger()


def make_due(now: datetime, *, for_seconds: float = 5.0) -> int:
    """Makes the reports whose morning has come, each once, and has them sent; how many.

    What there is no time for, or fails, is made the next time. Any number of processes may be at it.
    """
    ends_at = time.monotonic() + for_seconds
    made = 0
    for channels, report, span in _due(now):
        if time.monotonic() >= ends_at:
            break
        try:
            made += _make(channels, report, span, now)
        except (DatabaseError, InterfaceError) as error:
            if not connection.is_usable():
                raise
            log.error("report not made", tenant=str(channels[0].tenant_id), error=str(error))
        except Exception:  # whatever one tenant's report meets, the others are made
            log.exception("report not made", tenant=str(channels[0].tenant_id))
    if made:
        nudging.nudge()
    return made


def _due(now: datetime) -> Iterator[tuple[Sequence[Channel], Report, Span]]:
    """The channels of one tenant that lack the same report, so that its figures are read once."""
    rows = Channel.objects.filter(is_active=True, tenant__isnull=False).exclude(report=Report.NONE)
    lacking: dict[tuple[Any, str], list[Channel]] = {}
    spans_of: dict[tuple[Any, str], Span] = {}
    wanted: dict[str, list[tuple[tuple[Any, str], Channel]]] = {}
    for channel in rows.select_related("tenant").order_by("tenant", "id"):
        assert channel.tenant is not None  # noqa: S101 - as filtered
        key = channel.tenant_id, channel.report
        if key not in spans_of:
            spans_of[key] = spans.last_ended(Report(channel.report), stored(channel.tenant), now)
        if spans_of[key].due_at <= now < spans_of[key].due_at + CAUGHT_UP:
            wanted.setdefault(_event_id(Report(channel.report), spans_of[key]), []).append((key, channel))
    for event_id, found in wanted.items():
        told = Delivery.objects.filter(alert=None, event_id=event_id, channel__in=[channel for _, channel in found])
        have = set(told.values_list("channel", flat=True))
        for key, channel in found:
            if channel.pk not in have:
                lacking.setdefault(key, []).append(channel)
    for (tenant, report), channels in lacking.items():
        yield channels, Report(report), spans_of[tenant, report]


def _make(channels: Sequence[Channel], report: Report, span: Span, now: datetime) -> int:
    tenant = channels[0].tenant
    assert tenant is not None  # noqa: S101 - as filtered
    found = figures.of(tenant, report, span, now)
    event_id = _event_id(report, span)
    # Who makes the row is the one who sends it: the other's is left out.
    return sum(
        Delivery.objects.get_or_create(
            channel=channel, event_id=event_id, alert=None, defaults=_fields(tenant, found, now)
        )[1]
        for channel in channels
    )


def _event_id(report: Report, span: Span) -> str:
    """The same for every process; the kind is in it, as a week and a month may begin on one day."""
    return f"{EVENT}:{report.value}:{span.since.isoformat()}"


def _fields(tenant: Tenant, found: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {"tenant": tenant, "event": EVENT, "payload": found, "next_attempt_at": now, "created_at": now}


def send_now(channel: Channel, now: datetime) -> Delivery:
    """Have the last report sent to an e-mail channel of a tenant, whatever was sent before; of its week where the
    channel asks for none. The report of that morning is still sent.
    """
    tenant, report = _asked(channel)
    found = figures.of(tenant, report, spans.last_ended(report, stored(tenant), now), now)
    made = Delivery.objects.create(channel=channel, event_id=f"{EVENT}:{uuid7()}", **_fields(tenant, found, now))
    nudging.nudge()
    return made


def preview(channel: Channel, now: datetime) -> Reported:
    """What `send_now` would send; nothing is written."""
    tenant, report = _asked(channel)
    found = figures.of(tenant, report, spans.last_ended(report, stored(tenant), now), now)
    return letter.of(found, place_of(tenant, people(found), now), id_=messages.message_id(uuid7()), at=now)


def _asked(channel: Channel) -> tuple[Tenant, Report]:
    assert channel.tenant is not None, "a report is of a tenant"  # noqa: S101 - the caller's
    return channel.tenant, Report.WEEKLY if channel.report == Report.NONE else Report(channel.report)


def people(found: dict[str, Any]) -> list[str]:
    """The users that a report names."""
    return [each["key"] for each in found["users"] if each["key"] is not None]


def message_of(delivery: Delivery, place: Place) -> Reported:
    """The report that a delivery is about."""
    return letter.of(
        delivery.payload, place, id_=messages.message_id(delivery.message_id), at=delivery.created_at
    )  # fmt: skip
