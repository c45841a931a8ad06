"""Removes what nobody looks up any more: messages that ended long ago, then alerts that are long over.

What is open, or waits, stays however old it is. Rows that somebody works on are skipped, never waited for.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection

from tenants.database import short_statements

SLICE = 1_000
MESSAGES_KEPT = timedelta(days=90)
"""As long as refusals."""
_MONTH = timedelta(days=31)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Old:
    """One kind of rows, r, that are removed where a column, `since`, is longer ago than `kept`."""

    table: str
    since: str
    kept: timedelta
    where: str


def _old() -> tuple[_Old, ...]:
    return (
        # A digest goes after what it gathered, an alert after its messages: in a later slice.
        _Old(
            table="alerts_delivery",
            since="created_at",
            kept=MESSAGES_KEPT,
            where="r.state IN ('SENT', 'DEAD')"
            " AND NOT EXISTS (SELECT 1 FROM alerts_delivery g WHERE g.digest_id = r.id)",
        ),
        # As long as the log that says what they were about.
        _Old(
            table="alerts_quotaalert",
            since="resolved_at",
            kept=settings.LOG_RETENTION_MONTHS * _MONTH,
            where="r.resolved_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM alerts_delivery d WHERE d.alert_id = r.id)",
        ),
    )


def prune(now: datetime, *, for_seconds: float = 3.0) -> int:
    """Removes slice after slice until there is no more, or the time is up; how many rows that were."""
    ends_at = time.monotonic() + for_seconds
    removed = 0
    for old in _old():
        count = 1
        while count and time.monotonic() < ends_at:
            count = _remove_slice(old, now)
            removed += count
    if removed:
        log.info("alerts pruned", rows=removed)
    return removed


def _remove_slice(old: _Old, now: datetime) -> int:
    """The oldest of a kind, at most SLICE, in a transaction of its own."""
    with short_statements(), connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH old AS MATERIALIZED (
                SELECT r.id FROM {old.table} r WHERE {old.where} AND r.{old.since} < %(before)s
                 ORDER BY r.{old.since} LIMIT {SLICE} FOR UPDATE OF r SKIP LOCKED
            )
            DELETE FROM {old.table} t USING old WHERE t.id = old.id
            """,  # noqa: S608 - constants of this module
            {"before": now - old.kept},
        )
        removed: int = cursor.rowcount
    return removed
