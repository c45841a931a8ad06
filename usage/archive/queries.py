"""The SQL of archiving. {table} is a partition of the log; valid on PostgreSQL 15 to 18."""

# ruff: noqa: S608 - names of columns

from usage.archive.columns import COUNTERS, SENT

# Every partition of a month, oldest first, and whether it is still one: what is detached waits to be dropped.
PARTITIONS = """
    SELECT c.relname, to_date(right(c.relname, 7), 'YYYY_MM'), i.inhrelid IS NOT NULL
      FROM pg_class c
      LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'usage_usagelog'::regclass
     WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
       AND c.relname ~ '^usage_usagelog_\\d{4}_\\d{2}$'
     ORDER BY 2
"""

CLOCK = "SELECT clock_timestamp()"

# One archive or erasure at a time. It goes with the connection, whatever becomes of the process.
ALONE = "SELECT pg_try_advisory_lock(hashtext('usage.archive'))"
DONE = "SELECT pg_advisory_unlock(hashtext('usage.archive'))"

# --- what keeps a month from being archived -----------------------------------

RESERVED = """
    SELECT count(*), max(COALESCE(ended_at, expires_at)) FROM (
        SELECT ended_at, expires_at FROM usage_usagereservation
         WHERE id < ledger_uuid7_floor(%(end)s) LIMIT 1000) AS kept
"""
STRAY = "SELECT 1 FROM usage_usagelog_default WHERE id < ledger_uuid7_floor(%(end)s) LIMIT 1"
BEHIND = """
    SELECT 1 FROM {table}
     WHERE (transaction_id, id) > (%(transaction)s::text::xid8, %(log)s) LIMIT 1
"""
FAR = "SELECT transaction_id::text, log_id, rebuild_from FROM usage_rollupstate"

# --- reading a partition, slice by slice --------------------------------------

SLICE = """
    SELECT (array_agg(id ORDER BY id DESC))[1], count(*)
      FROM (SELECT id FROM {table} WHERE id > %(after)s ORDER BY id LIMIT %(most)s) AS slice
"""
SEND = (
    "COPY (SELECT " + SENT + " FROM {table} WHERE id > '{after}' AND id <= '{through}' ORDER BY id)"
    " TO STDOUT (FORMAT csv, FORCE_QUOTE *)"
)
COUNTED = (
    "SELECT count(*), "
    + ", ".join(f"sum({name})" for name in COUNTERS)
    + " FROM {table} WHERE id > %(after)s AND id <= %(through)s"
)
CHARGED = """
    SELECT c.measure, sum(c.charge), sum(c.overrun)
      FROM {table}, unnest(measures, charges, overruns) AS c(measure, charge, overrun)
     WHERE id > %(after)s AND id <= %(through)s GROUP BY c.measure
"""
COUNT = "SELECT count(*) FROM {table}"

# --- taking it out ------------------------------------------------------------

SNAPSHOT = "SELECT pg_current_snapshot()::text"
# What was booked in it after that snapshot.
LATER = """
    SELECT 1 FROM {table}
     WHERE transaction_id >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(transaction_id, %(snapshot)s::pg_snapshot) LIMIT 1
"""
# Raises what meters say is archived; how many of the periods still run, and how many meters there are.
RAISE = """
    WITH raised AS (
        SELECT * FROM unnest(%(tenants)s::uuid[], %(meters)s::uuid[], %(charges)s::bigint[])
            AS r(tenant, meter, charge)
    ),
    locked AS (
        SELECT m.id FROM usage_usagemeter m JOIN raised r ON m.tenant_id = r.tenant AND m.id = r.meter
         ORDER BY m.tenant_id, m.id FOR NO KEY UPDATE OF m
    ),
    updated AS (
        UPDATE usage_usagemeter m SET archived = m.archived + r.charge FROM raised r, locked l
         WHERE m.tenant_id = r.tenant AND m.id = r.meter AND l.id = m.id
        RETURNING m.period_end
    )
    SELECT count(*), count(*) FILTER (WHERE period_end IS NULL OR period_end > clock_timestamp()) FROM updated
"""
DETACH = "ALTER TABLE usage_usagelog DETACH PARTITION {table}"
DROP = "DROP TABLE IF EXISTS {table}"
