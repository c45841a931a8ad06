"""Writing down what was noticed, once, with the messages that tell it: the only writer of alerts.

Whoever inserts the row of an alert is the one who tells of it, in the same statement: however many processes notice
the same, one tells, and a process that dies there has done either both or nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from alerts.models import AlertKind, Severity
from tenants import database
from tenants.ids import uuid7

Key = tuple[str, str, str, int, str]
"""Tenant, kind, subject, threshold and episode: what makes two alerts the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something to tell a tenant's people (None: super admins), once per kind, subject, threshold and episode."""

    tenant: UUID | None
    kind: AlertKind
    severity: Severity
    subject: str
    threshold: int
    episode: str
    numbers: Mapping[str, Any]
    user_key: str | None = None

    @property
    def key(self) -> Key:
        """What makes it the same as another."""
        return str(self.tenant), self.kind, self.subject, self.threshold, self.episode


# One that is over and holds again is the same alert, and is not told twice. A channel that is being removed is waited
# for, and left out once it is gone.
_NOTICE = """
    WITH noticed AS (
        INSERT INTO alerts_quotaalert AS a
               (id, tenant_id, kind, severity, subject, user_key, threshold, episode, numbers, created_at)
        SELECT id, tenant, kind, severity, subject, user_key, threshold, episode, numbers, %(at)s
          FROM jsonb_to_recordset(%(noticed)s::jsonb) AS n(
               id uuid, tenant uuid, kind text, severity text, subject text, user_key text, threshold bigint,
               episode text, numbers jsonb)
        ON CONFLICT (tenant_id, kind, subject, threshold, episode) DO UPDATE
           SET resolved_at = NULL WHERE a.resolved_at IS NOT NULL
        RETURNING id, tenant_id, kind, severity, xmax = 0 AS is_new
    ), told AS (
        INSERT INTO alerts_delivery (id, tenant_id, channel_id, alert_id, message_id, state, attempts, next_attempt_at,
                                     last_error, created_at)
        SELECT ledger_uuid7(clock_timestamp()), n.tenant_id, c.id, n.id, ledger_uuid7(clock_timestamp()), 'PENDING', 0,
               %(at)s, '', %(at)s
          FROM noticed n
          JOIN alerts_channel c ON c.tenant_id IS NOT DISTINCT FROM n.tenant_id AND c.is_active
                               AND n.severity = ANY(c.severities)
                               AND (c.kinds = '{}' OR n.kind = ANY(c.kinds))
         WHERE n.is_new
           FOR KEY SHARE OF c
    )
    SELECT id FROM noticed WHERE is_new
"""


def notice(noticed: Sequence[Noticed], at: datetime) -> list[UUID]:
    """Writes down what was noticed at `at`, with a message to each channel that is told; the ids of what is new."""
    if not noticed:
        return []
    # In one order, so that two who notice the same at once wait for each other and never in a circle.
    alike = {each.key: each for each in noticed}
    rows = [asdict(alike[key]) | {"id": uuid7()} for key in sorted(alike)]
    parameters = {"noticed": orjson.dumps(rows).decode(), "at": at}
    return [id_ for (id_,) in database.repeatable(lambda: database.rows(_NOTICE, parameters))]


# Told to the channels that ask for it, once an alert.
_RESOLVE = """
    WITH over AS (
        UPDATE alerts_quotaalert SET resolved_at = GREATEST(created_at, %(at)s)
         WHERE id = ANY(%(ids)s) AND resolved_at IS NULL
        RETURNING *
    ), told AS (
        INSERT INTO alerts_delivery (id, tenant_id, channel_id, event, event_id, payload, message_id, state, attempts,
                                     next_attempt_at, last_error, created_at)
        SELECT ledger_uuid7(clock_timestamp()), o.tenant_id, c.id, %(event)s, %(event)s || ':' || o.id,
               jsonb_build_object('id', o.id, 'kind', o.kind, 'severity', o.severity, 'subject', o.subject,
                                  'threshold', o.threshold, 'created_at', o.created_at, 'resolved_at', o.resolved_at),
               ledger_uuid7(clock_timestamp()), 'PENDING', 0, %(at)s, '', %(at)s
          FROM over o
          JOIN alerts_channel c ON c.tenant_id IS NOT DISTINCT FROM o.tenant_id AND c.is_active
                               AND %(event)s = ANY(c.events)
           FOR KEY SHARE OF c
        ON CONFLICT (channel_id, event_id) WHERE alert_id IS NULL DO NOTHING
    )
    SELECT count(*) FROM over
"""
RESOLVED = "alert.resolved"


def resolve(alerts: Sequence[UUID], at: datetime) -> int:
    """Marks alerts as over since `at`, with a message to each channel that is told so; how many still held."""
    if not alerts:
        return 0
    parameters = {"ids": list(alerts), "at": at, "event": RESOLVED}
    return int(database.repeatable(lambda: database.rows(_RESOLVE, parameters))[0][0])
