"""Sends what is due: claims it, tries it, and writes down what came of it.

A message waits in the database until it is sent or given up. Whoever claims one holds a lease, renewed while it is
being sent: a process that dies loses its leases within seconds, and another sends the message again under the same
id. No transaction is open while anything is sent. Any number of senders may run.
"""

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Q, QuerySet

from alerts import channels, digests, disabling, messages, nudging, reports, waiting
from alerts.events import TEST
from alerts.messages import Message
from alerts.models import Channel, Delivery, DeliveryState
from alerts.outcomes import Outcome, Verdict, failed
from alerts.places import place_of
from tenants import database
from tenants.ids import uuid7

AT_ONCE = 16
"""Messages that one sender tries at once; of one channel never two, so that what stalls takes one place."""


_LEASE_SECONDS, _RENEWED_SECONDS = 4.0, 1.0
_ERROR_LENGTH = 500

log = structlog.get_logger()

# The database's clock, so that senders on different machines agree on leases.
_DUE = """d.state IN ('PENDING', 'FAILED', 'SENDING') AND d.next_attempt_at <= statement_timestamp()
          AND (d.state <> 'SENDING' OR d.leased_until <= statement_timestamp())"""
_HAS_WAITED = f"""NOT EXISTS (SELECT 1 FROM alerts_channel c LEFT JOIN alerts_quotaalert a ON a.id = d.alert_id
                      WHERE c.id = d.channel_id AND {digests.IS_GATHERED})"""  # noqa: S608 - of constants

# Looked at again under its lock: somebody may have claimed it since.
_CLAIM = f"""
    WITH due AS (
        SELECT d.id, d.channel_id, d.alert_id, d.next_attempt_at
          FROM alerts_delivery d
         WHERE {_DUE} AND {_HAS_WAITED}
           AND d.channel_id NOT IN (SELECT channel_id FROM alerts_delivery
                                     WHERE state = 'SENDING' AND leased_until > statement_timestamp())
         ORDER BY d.next_attempt_at LIMIT 1000
    ), next AS (
        SELECT DISTINCT ON (channel_id) id, next_attempt_at
          FROM due ORDER BY channel_id, next_attempt_at, alert_id, id
    ), taken AS (
        SELECT d.id FROM alerts_delivery d JOIN next ON next.id = d.id
         WHERE {_DUE}
         ORDER BY next.next_attempt_at LIMIT %(most)s
           FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE alerts_delivery d
       SET state = 'SENDING', attempts = d.attempts + 1,
           leased_until = statement_timestamp() + make_interval(secs => %(lease)s)
      FROM taken WHERE d.id = taken.id
    RETURNING d.id, statement_timestamp()
"""  # noqa: S608 - of the constant above

_RENEW = """
    UPDATE alerts_delivery SET leased_until = statement_timestamp() + make_interval(secs => %(lease)s)
     WHERE id = ANY(%(ids)s) AND state = 'SENDING'
"""

# Nothing where the lease was lost: whoever has it now says how it ends. But what arrived did, whoever sent it.
_END = """
    UPDATE alerts_delivery
       SET state = %(state)s, last_error = %(error)s, leased_until = NULL,
           sent_at = CASE WHEN %(state)s = 'SENT' THEN statement_timestamp() END,
           next_attempt_at = CASE WHEN %(state)s = 'FAILED'
                                  THEN statement_timestamp() + make_interval(secs => %(seconds)s)
                                  ELSE next_attempt_at END
     WHERE id = %(id)s AND (state = 'SENDING' AND attempts = %(attempts)s
                            OR %(state)s = 'SENT' AND state IN ('PENDING', 'SENDING', 'FAILED', 'DEAD'))
    RETURNING statement_timestamp()
"""

_PUT_BACK = """
    UPDATE alerts_delivery
       SET state = 'PENDING', attempts = attempts - 1, leased_until = NULL, next_attempt_at = %(until)s
     WHERE id = %(id)s AND state = 'SENDING' AND attempts = %(attempts)s
"""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A claimed delivery with its words."""

    delivery: Delivery
    message: Message


def send_due(*, for_seconds: float = 20.0) -> int:
    """Send what is due until there is no more of it, or the time is up; how many messages were tried."""
    ends_at = time.monotonic() + for_seconds
    at_work: dict[Future[Outcome], _Parcel] = {}
    tried = 0
    digests.gather()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="alerts") as pool:
        while True:
            if time.monotonic() < ends_at and len(at_work) < AT_ONCE:
                for parcel in _claim(AT_ONCE - len(at_work)):
                    at_work[pool.submit(_try, parcel)] = parcel
                    tried += 1
            if not at_work:
                return tried
            done, _ = wait(at_work, timeout=_RENEWED_SECONDS, return_when=FIRST_COMPLETED)
            for each in done:
                delivery, outcome = at_work.pop(each).delivery, each.result()
                database.repeatable(partial(_record, delivery, outcome))  # it may be sent, and never again for us
            database.repeatable(partial(_renew, [parcel.delivery.id for parcel in at_work.values()]))


def send_test(channel: Channel, at: datetime) -> Delivery:
    """Have a message sent to a channel to try it, whether it is switched on or not."""
    made = Delivery.objects.create(
        tenant_id=channel.tenant_id, channel=channel, event=TEST, event_id=str(uuid7()), next_attempt_at=at,
        payload={"channel": channel.name}, created_at=at,
    )  # fmt: skip
    nudging.nudge()
    return made


def resend(deliveries: QuerySet[Delivery], at: datetime) -> int:
    """Have messages sent anew that are not under way, sent ones too, each under the id it has; how many.

    Of one that a digest told, that is the digest.
    """
    chosen = deliveries.order_by()
    anew = Delivery.objects.exclude(state=DeliveryState.SENDING).filter(
        Q(digest=None, id__in=chosen.values("id")) | Q(id__in=chosen.exclude(digest=None).values("digest"))
    )
    with transaction.atomic():
        ids = list(anew.select_for_update().values_list("id", flat=True))
        count = Delivery.objects.filter(id__in=ids).update(
            state=DeliveryState.PENDING, attempts=0, next_attempt_at=at, sent_at=None, leased_until=None, last_error=""
        )
        Delivery.objects.filter(digest__in=ids).update(state=DeliveryState.GATHERED, sent_at=None, last_error="")
    nudging.nudge()
    return count


def _claim(most: int) -> list[_Parcel]:
    """Claims up to `most` that are due, one of each channel; those that have to wait yet are put back."""
    parcels: list[_Parcel] = []
    while not parcels and (rows := database.rows(_CLAIM, {"most": most, "lease": _LEASE_SECONDS})):
        claimed = Delivery.objects.select_related("channel", "alert", "tenant").filter(id__in=[id_ for id_, _ in rows])
        parcels = [found for delivery in claimed if (found := _parcel(delivery, rows[0][1])) is not None]
    return parcels


def _parcel(delivery: Delivery, now: datetime) -> _Parcel | None:
    """The words of a claimed message; None where it has to wait yet, or where they cannot be written."""
    try:
        message = _message(delivery, now)
    except (DatabaseError, InterfaceError):
        raise
    except Exception:  # whatever one message meets, the others are sent
        log.exception("message not written", delivery=str(delivery.id))
        _record(delivery, failed("Its words could not be written. It is logged.", is_ours=True))
        return None
    until = waiting.quiet_until(delivery.channel, message.severity, message.place.zone, now)
    if until is None:
        return _Parcel(delivery, message)
    _execute(_PUT_BACK, id=delivery.id, attempts=delivery.attempts, until=until)
    return None


def _message(delivery: Delivery, now: datetime) -> Message:
    if delivery.event == digests.EVENT:
        return digests.message_of(delivery, place_of(delivery.tenant, digests.people(delivery), now))
    if delivery.event == reports.EVENT:
        return reports.message_of(delivery, place_of(delivery.tenant, reports.people(delivery.payload), now))
    alert = delivery.alert
    place = place_of(delivery.tenant, [alert.user_key] if alert and alert.user_key else [], now)
    return messages.of_delivery(delivery, place)


def _try(parcel: _Parcel) -> Outcome:
    """In a thread of the pool, without a database connection."""
    try:
        return channels.send(parcel.delivery.channel, parcel.message)
    except Exception:  # whatever one message meets, the others are sent
        log.exception("sending failed", delivery=str(parcel.delivery.id))
        return failed("Something failed here. It is logged.", is_ours=True)


def _renew(ids: Sequence[UUID]) -> None:
    if ids:
        _execute(_RENEW, ids=ids, lease=_LEASE_SECONDS)


def _record(delivery: Delivery, outcome: Outcome) -> None:
    """Writes down how a try ended, and what that means for the channel, in one transaction."""
    state, seconds = _state_after(delivery, outcome)
    with transaction.atomic():
        ended = database.rows(
            _END,
            {
                "id": delivery.id, "attempts": delivery.attempts, "state": state, "seconds": seconds,
                "error": outcome.error[:_ERROR_LENGTH],
            },
        )  # fmt: skip
        if not ended:
            return
        channel, at = delivery.channel, ended[0][0]
        digests.ended(delivery, state, at, outcome.error[:_ERROR_LENGTH])
        if outcome.verdict is Verdict.SENT:
            disabling.succeeded(channel)
        elif outcome.verdict is Verdict.GONE:
            disabling.disable(channel, outcome.error, at)
        elif outcome.verdict is Verdict.RETRY and not outcome.is_ours and delivery.event != TEST:
            disabling.failed(channel, outcome.error, at, is_given_up=state == "DEAD")
    if outcome.verdict is not Verdict.SENT:
        log.warning(
            "message not sent", delivery=str(delivery.id), channel=str(channel.id), attempt=delivery.attempts,
            state=state, why=outcome.error,
        )  # fmt: skip


def _state_after(delivery: Delivery, outcome: Outcome) -> tuple[str, float]:
    """The state, and after how many seconds it is tried again where it is."""
    if outcome.verdict is Verdict.SENT:
        return "SENT", 0.0
    if outcome.verdict is not Verdict.RETRY or delivery.event == TEST:
        return "DEAD", 0.0
    wait_for = waiting.until_next_try(delivery.attempts, outcome.retry_after_seconds)
    return ("DEAD", 0.0) if wait_for is None else ("FAILED", wait_for.total_seconds())


def _execute(statement: str, **about: Any) -> None:  # noqa: ANN401 - a statement's parameters
    with connection.cursor() as cursor:
        cursor.execute(statement, about)
