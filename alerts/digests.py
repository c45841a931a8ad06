"""Digests: what is not critical, gathered into one message at the hour or in the morning.

A digest is a delivery of its own, with an id that stays over its tries. What it gathers refers to it and ends as it
does. Gathering is one transaction: a process that dies there has gathered all of it or nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.text import Truncator

from alerts import messages, waiting
from alerts.channels import signed
from alerts.messages import Figure, Message, Place
from alerts.models import Channel, ChannelKind, Delivery, DeliveryState, Severity
from alerts.places import place_of
from tenants import database

EVENT = "alert.digest"
"""The event of a digest."""
MOST = 100
"""Messages in one digest; where there are more, there are more digests."""
_MOST_BYTES = signed.MOST_BYTES - 2_000
_MOST_GATHERED = 5_000
_TITLE_LENGTH = 200

log = structlog.get_logger()

# Of d, a delivery; c, its channel; a, its alert or none. What was tried may have arrived, and is tried again alone.
IS_GATHERED = """c.digest <> 'NONE' AND d.state = 'PENDING' AND d.attempts = 0
                 AND COALESCE(a.severity, '') <> 'CRITICAL'
                 AND COALESCE(d.event, '') NOT IN ('test', 'alert.digest', 'usage.report')"""
"""SQL of whether a delivery waits for a digest."""

_DUE = f"""FROM alerts_delivery d JOIN alerts_channel c ON c.id = d.channel_id
           LEFT JOIN alerts_quotaalert a ON a.id = d.alert_id
          WHERE d.next_attempt_at <= statement_timestamp() AND {IS_GATHERED}"""
_CHANNELS = f"SELECT DISTINCT d.channel_id {_DUE}"
_TAKE = f"""
    SELECT d.id {_DUE} AND d.channel_id = %(channel)s
     ORDER BY d.created_at, d.alert_id, d.id LIMIT {_MOST_GATHERED} FOR UPDATE OF d SKIP LOCKED
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered(Message):
    """A digest; `told` are the messages in it, the oldest first, as each would have been told alone."""

    told: tuple[Message, ...]


def gather() -> int:
    """Puts together what waits for a digest whose time has come, and has the rest wait for it; how many digests."""
    made = 0
    for (channel,) in database.repeatable(lambda: database.rows(_CHANNELS)):
        try:
            with transaction.atomic():
                made += _gather(channel)
        except (DatabaseError, InterfaceError) as error:
            if not connection.is_usable():
                raise
            log.error("not gathered", channel=str(channel), error=str(error))
    return made


def _gather(channel_id: UUID) -> int:
    # One at a time, so that an hour has one digest; rows are never waited for while the channel is held.
    locked = Channel.objects.select_for_update(no_key=True, of=("self",)).select_related("tenant")
    channel = locked.filter(pk=channel_id).first()
    if channel is None:
        return 0
    ids = [id_ for (id_,) in database.rows(_TAKE, {"channel": channel_id})]
    now: datetime = database.rows("SELECT statement_timestamp()")[0][0]
    waiting_ones = list(
        Delivery.objects.select_related("alert").filter(id__in=ids).order_by("created_at", "alert_id", "id")
    )
    place = place_of(channel.tenant, _users(waiting_ones), now)
    wait_until = _next_time(channel, place, now)
    by_time: defaultdict[datetime, list[Delivery]] = defaultdict(list)
    for each in waiting_ones:
        at = wait_until or waiting.digest_at(channel.digest, place.zone, each.created_at)
        by_time[max(at, now)].append(each)
    parts = list(_parts(channel, _sized(by_time.pop(now, []), place)))
    for at, later in by_time.items():
        _of(later).update(next_attempt_at=at)
    for number, part in enumerate(parts, 1):
        made = Delivery.objects.create(
            tenant_id=channel.tenant_id, channel=channel, event=EVENT, created_at=now, next_attempt_at=now,
            event_id=f"{_slot(channel, place, now)}{number}", payload={"part": number, "parts": len(parts)},
        )  # fmt: skip
        _of(part).update(state=DeliveryState.GATHERED, digest=made)
    return len(parts)


def _of(deliveries: Sequence[Delivery]) -> QuerySet[Delivery]:
    return Delivery.objects.filter(id__in=[each.id for each in deliveries])


def _next_time(channel: Channel, place: Place, now: datetime) -> datetime | None:
    """Until when a channel has to be left alone: its quiet hours end then, or it had this hour's digest already."""
    quiet = waiting.quiet_until(channel, Severity.WARNING, place.zone, now)
    if quiet is None and channel.deliveries.filter(event_id=f"{_slot(channel, place, now)}1", alert=None).exists():
        return waiting.digest_at(channel.digest, place.zone, now)
    return quiet


def _slot(channel: Channel, place: Place, now: datetime) -> str:
    """How the ids of the digests of this hour or day begin."""
    return f"digest:{waiting.digest_at(channel.digest, place.zone, now).isoformat()}:"


def _sized(due: Sequence[Delivery], place: Place) -> list[tuple[Delivery, int]]:
    """Each with the bytes it takes in a digest. One whose words cannot be written is left out and goes, and fails,
    alone.
    """
    sized = []
    for each in due:
        try:
            message = messages.of_delivery(each, place)
        except Exception:  # whatever one message meets, the others are sent
            log.exception("message not written", delivery=str(each.id))
            _of([each]).update(state=DeliveryState.FAILED, attempts=1)
        else:
            sized.append((each, max(len(signed.envelope(message)), len(message.title.encode()) + 100)))
    return sized


def _parts(channel: Channel, sized: Sequence[tuple[Delivery, int]]) -> Iterator[list[Delivery]]:
    """In digests that are small enough. What is too large for any is in one of its own, and fails as it would alone."""
    part: list[Delivery] = []
    size = 0
    for each, added in sized:
        is_full = channel.kind != ChannelKind.EMAIL and size + added > _MOST_BYTES
        if part and (len(part) == MOST or is_full):
            yield part
            part, size = [], 0
        part.append(each)
        size += added
    if part:
        yield part


def people(digest: Delivery) -> list[str]:
    """The users that the messages of a digest are about."""
    return _users(digest.gathered.select_related("alert"))


def _users(deliveries: Any) -> list[str]:  # noqa: ANN401 - rows, or a query of them
    return [each.alert.user_key for each in deliveries if each.alert and each.alert.user_key]


def message_of(digest: Delivery, place: Place) -> Gathered:
    """A digest in words. What it is about was written down before, so each try tells the same."""
    rows = digest.gathered.select_related("alert").order_by("created_at", "alert_id", "id")
    told = tuple(messages.of_delivery(each, place) for each in rows)
    place = _with_list(place)
    since, until = told[0].at, digest.created_at
    part = "" if digest.payload["parts"] == 1 else f", part {digest.payload['part']} of {digest.payload['parts']}"
    title = told[0].title if len(told) == 1 else f"{place.whose}: {len(told)} alerts since {_at(since, place)}{part}"
    return Gathered(
        id=messages.message_id(digest.message_id),
        type=EVENT,
        at=until,
        severity=Severity.WARNING if any(each.severity == Severity.WARNING for each in told) else Severity.INFO,
        title=Truncator(title).chars(_TITLE_LENGTH),
        happened=f"Gathered until {_at(until, place)} ({place.zone.key}){part}. What is critical was sent at once.",
        advice="The page says which of them still hold.",
        figures=tuple(Figure(_at(each.at, place), each.title) for each in told),
        place=place,
        data={
            "tenant": place.ati_id, "since": since, "until": until, **digest.payload,
            "messages": [{"type": each.type, "timestamp": each.at, "data": each.data} for each in told],
        },
        told=told,
    )  # fmt: skip


def _with_list(place: Place) -> Place:
    """With the page of alerts in the place of the usage."""
    if place.ati_id is None:
        return place
    page = reverse("alert-pages:list", args=[place.ati_id])
    return replace(place, link=f"{settings.SITE_URL}{page}", link_words="Look at all alerts")


def _at(at: datetime, place: Place) -> str:
    return f"{at.astimezone(place.zone):%-d %b %Y, %H:%M}"


_TOGETHER: Mapping[str, str] = {"SENT": DeliveryState.SENT, "DEAD": DeliveryState.DEAD}


def ended(digest: Delivery, state: str, at: datetime, error: str) -> None:
    """What a digest gathered is sent with it, or given up with it; in the transaction that says so of the digest."""
    if digest.event == EVENT and state in _TOGETHER:
        digest.gathered.filter(state=DeliveryState.GATHERED).update(
            state=_TOGETHER[state], sent_at=at if state == "SENT" else None, last_error=error
        )
