"""Removes what no longer counts: minutes long over, reservations and events that nobody can repeat any more, denials.

Beside the ledger's functions this is the only place that touches their tables, and it only ever deletes. Rows that
somebody works on are skipped, never waited for: any number of keepers, and the ledger beside them, cannot deadlock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from tenants.database import short_statements

SLICE = 1_000
DENIALS_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """One kind of rows that are removed once `since`, a column, is longer ago than `kept`."""

    name: str
    table: str
    since: str
    kept: timedelta
    where: str = "TRUE"


OLD = (
    # The ledger does not make a minute again that ended over an hour ago. The further minute keeps a settlement
    # that began just before that from finding its row gone.
    Old(
        name="minutes",
        table="usage_usagemeter",
        since="period_start",
        kept=timedelta(minutes=1 + 60 + 1),
        where="period = 'MINUTE' AND reserved = 0",
    ),
    Old(
        name="committed",
        table="usage_usagereservation",
        since="ended_at",
        kept=timedelta(hours=48),
        where="status = 'COMMITTED'",
    ),
    Old(
        name="released",
        table="usage_usagereservation",
        since="ended_at",
        kept=timedelta(hours=48),
        where="status = 'RELEASED'",
    ),
    # As long as a late commit may come.
    Old(
        name="expired",
        table="usage_usagereservation",
        since="ended_at",
        kept=timedelta(days=35),
        where="status = 'EXPIRED'",
    ),
    # An event is refused when it occurred over 35 days ago, and may be sent five minutes before it occurs: a row that
    # went earlier would let it be booked twice.
    Old(name="events", table="usage_usageevent", since="recorded_at", kept=timedelta(days=35, hours=1)),
    # The roll-ups of refusals stay: none goes before it is in them.
    Old(name="denials", table="usage_denial", since="minute", kept=DENIALS_KEPT, where="is_rolled"),
)


def remove_slice(old: Old, now: datetime) -> int:
    """Removes the oldest of a kind, at most SLICE rows, in a transaction of its own; how many there were.

    `now` is the database's clock. Raises OperationalError where the statement takes over 2 s.
    """
    with short_statements(), connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH old AS MATERIALIZED (
                SELECT id FROM {old.table} WHERE {old.where} AND {old.since} < %(before)s
                 ORDER BY {old.since} LIMIT {SLICE} FOR UPDATE SKIP LOCKED
            )
            DELETE FROM {old.table} r USING old WHERE r.id = old.id
            """,  # noqa: S608 - constants of this module
            {"before": now - old.kept},
        )
        removed: int = cursor.rowcount
    return removed
