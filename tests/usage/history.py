"""Usage that was long ago: what a ledger was made to say just now, as if it had been said months before."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from tenants import database
from usage.archive.months import Month

_AGED = """
    encode(overlay(uuid_send({0}) PLACING substring(int8send(floor(extract(
        epoch FROM ledger_uuid7_at({0}) - %(by)s) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 'hex')::uuid
"""
_LOG = f"""
    UPDATE usage_usagelog
       SET id = {_AGED.format("id")}, reservation_id = {_AGED.format("reservation_id")},
           refers_to = {_AGED.format("refers_to")}, occurred_at = occurred_at - %(by)s,
           recorded_at = recorded_at - %(by)s
     WHERE tenant_id = %(tenant)s
"""
_METERS = """
    UPDATE usage_usagemeter
       SET period_start = CASE WHEN period = 'OPEN' THEN period_start ELSE period_start - %(by)s END,
           period_end = period_end - %(by)s, reserved = 0
     WHERE tenant_id = %(tenant)s
"""


def age(tenant: UUID, by: timedelta = timedelta(days=500)) -> Month:
    """Moves a tenant's usage so far back, and forgets its reservations and events; the month it is in now.

    A booking at the turn of a month may fall in two: their rows are all in the one with the first.
    """
    about: dict[str, Any] = {"tenant": tenant, "by": by}
    month: date = database.rows("SELECT date_trunc('month', now() AT TIME ZONE 'UTC' - %(by)s)::date", about)[0][0]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT ledger_make_partition(%s)", [month])
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM usage_usagereservation WHERE tenant_id = %(tenant)s", about)
        cursor.execute("DELETE FROM usage_usageevent WHERE tenant_id = %(tenant)s", about)
        cursor.execute(_METERS, about)
        cursor.execute(_LOG, about)
        # What a worker would have done long ago.
        cursor.execute("DELETE FROM usage_rollupstate")
        cursor.execute(
            "INSERT INTO usage_rollupstate (id, transaction_id, log_id, seen_transaction_id, rebuild_transaction_id) "
            "SELECT 1, far, '00000000-0000-0000-0000-000000000000', far, far "
            "  FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())) AS s(far)"
        )
    return Month(f"usage_usagelog_{month:%Y_%m}", month, True)


@contextmanager
def without_old_months() -> Iterator[None]:
    """Removes, afterwards, the tables of all months of last year and before, attached and detached."""
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for (table,) in database.rows(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^usage_usagelog_\\d{4}_\\d{2}$' "
                "AND to_date(right(relname, 7), 'YYYY_MM') < now() - interval '300 days'"
            ):
                cursor.execute(f"DROP TABLE {table}")
