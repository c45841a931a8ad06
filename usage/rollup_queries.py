"""The SQL of the roll-ups. Valid on PostgreSQL 15 to 18.

A level is a table of roll-ups: how wide its slots are, and which columns tell its rows apart.
"""

from dataclasses import dataclass
from datetime import timedelta

BUCKETS = 64
"""Of a histogram of latencies, see rollup_latency_bucket in sql/rollups.sql."""

SHARED_KEYS = ("feature_id", "task_id", "model_class_id", "api_code", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A table of roll-ups; `keys` tell its rows of one tenant and slot apart, `slot` is SQL over a row of the log."""

    table: str
    width: timedelta
    keys: tuple[str, ...]
    slot: str


_DAY = "date_trunc('day', occurred_at, 'UTC')"
_QUARTER = "date_bin('15 minutes', occurred_at, 'epoch'::timestamptz)"
BY_USER = Level(table="usage_usagerollup", width=timedelta(minutes=15), keys=("user_key", *SHARED_KEYS), slot=_QUARTER)
TOGETHER = Level(table="usage_tenantrollup", width=timedelta(minutes=15), keys=SHARED_KEYS, slot=_QUARTER)
BY_DAY = Level(
    table="usage_dayrollup", width=timedelta(days=1), keys=("user_key", *SHARED_KEYS),
    slot=_DAY,
)  # fmt: skip
TOGETHER_BY_DAY = Level(table="usage_tenantdayrollup", width=timedelta(days=1), keys=SHARED_KEYS, slot=_DAY)
USERS_BY_DAY = Level(table="usage_userdayrollup", width=timedelta(days=1), keys=("user_key", "status"), slot=_DAY)
LEVELS = (BY_USER, TOGETHER, BY_DAY, TOGETHER_BY_DAY, USERS_BY_DAY)

COUNTS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "api_calls",
    "items", "units",
)  # fmt: skip
# What a reservation held is said by the meter that counts it: tokens by one of TOKENS, else by the UNITS of a feature
# whose unit they are. An ending takes the hold away, once: a commit after the expiry takes nothing more.
_ENDS = "status NOT IN ('REPORT', 'CORRECTION') AND NOT late"
_TOKENS = (
    "COALESCE(array_position(measures, 'TOKENS'), CASE WHEN unit = 'TOKENS' THEN array_position(measures, 'UNITS') END)"
)
_COST = "array_position(measures, 'COST')"
OF_A_BOOKING = {
    "bookings": "1",
    "unpriced": "(cost IS NULL)::integer",
    **{name: name for name in COUNTS},
    "cost": "cost",
    "latencies": "(latency_ms IS NOT NULL)::integer",
    "latency_ms": "COALESCE(latency_ms, 0)",
    "held_tokens": f"CASE WHEN {_ENDS} THEN COALESCE(helds[{_TOKENS}], 0) ELSE 0 END",
    "held_tokens_used": f"CASE WHEN helds[{_TOKENS}] > 0 THEN charges[{_TOKENS}] ELSE 0 END",
    "held_cost": f"CASE WHEN {_ENDS} THEN COALESCE(helds[{_COST}], 0) ELSE 0 END",
    "held_cost_used": f"CASE WHEN helds[{_COST}] > 0 THEN charges[{_COST}] ELSE 0 END",
}
"""The numbers of a roll-up, and each as SQL over a row of the log: what sums them is the same in both."""

_ROW_KEYS = ("tenant_id", *BY_USER.keys)

STATE = """
    SELECT transaction_id::text::bigint AS transaction_id, log_id, pg_snapshot_xmin(now)::text::bigint AS settled,
           pg_snapshot_xmax(now)::text::bigint AS following, statement_timestamp() AS at, as_of,
           seen_transaction_id::text::bigint AS seen_transaction_id, seen_at, rebuild_from, rebuild_until,
           rebuild_transaction_id::text::bigint AS rebuild_transaction_id, rebuild_below, rebuild_log_id
      FROM (SELECT pg_current_snapshot() AS now) AS s LEFT JOIN usage_rollupstate ON true
"""
LOCKED = STATE.replace("LEFT JOIN", "JOIN") + " FOR UPDATE OF usage_rollupstate"
BEGIN = """
    INSERT INTO usage_rollupstate (id, transaction_id, log_id, seen_transaction_id, rebuild_transaction_id)
    VALUES (1, '0', '00000000-0000-0000-0000-000000000000', '0', '0') ON CONFLICT DO NOTHING
"""
MOVE = """
    UPDATE usage_rollupstate
       SET transaction_id = %(transaction_id)s::text::xid8, log_id = %(log_id)s, as_of = %(as_of)s,
           seen_transaction_id = %(seen_transaction_id)s::text::xid8, seen_at = %(seen_at)s
"""
MOVE_REBUILD = """
    UPDATE usage_rollupstate
       SET rebuild_from = %(rebuild_from)s, rebuild_until = %(rebuild_until)s,
           rebuild_transaction_id = %(rebuild_transaction_id)s::text::xid8, rebuild_below = %(rebuild_below)s,
           rebuild_log_id = %(rebuild_log_id)s
"""

_COLUMNS = ", ".join(
    ("id", "transaction_id", *_ROW_KEYS, "occurred_at", "unit", "late", "measures", "helds", "charges", *COUNTS,
     "cost", "latency_ms")
)  # fmt: skip
# The rows of one page: below the snapshot's xmin every transaction has ended, so none appears there any more.
_SETTLED = f"""
    SELECT {_COLUMNS} FROM usage_usagelog
     WHERE (transaction_id, id) > (%(transaction_id)s::text::xid8, %(log_id)s)
       AND transaction_id < %(settled)s::text::xid8
     ORDER BY transaction_id, id LIMIT %(most)s
"""  # noqa: S608 - constants
# The rows of one page of a rebuild: those that the roll-ups had when it began and that have its time.
_AGAIN = f"""
    SELECT {_COLUMNS} FROM usage_usagelog
     WHERE id > %(after)s AND id <= %(through)s
       AND occurred_at >= %(rebuild_from)s AND occurred_at < %(rebuild_until)s
       AND (transaction_id, id) <= (%(rebuild_transaction_id)s::text::xid8, %(rebuild_below)s)
"""  # noqa: S608 - constants
FIRST_ID = "SELECT ledger_uuid7_floor(%s)"
PAGE_END = """
    SELECT (array_agg(id ORDER BY id DESC))[1]
      FROM (SELECT id FROM usage_usagelog WHERE id > %(after)s ORDER BY id LIMIT %(most)s) AS page
"""


def _added(level: Level) -> str:
    """Adds the page's rows to a level."""
    keys = ("tenant_id", "slot", *level.keys)
    sums = [f"sum({name})::bigint" for name in OF_A_BOOKING]
    added = [
        f"{name} = COALESCE(t.{name} + EXCLUDED.{name}, t.{name}, EXCLUDED.{name})" if name == "cost"
        else f"{name} = t.{name} + EXCLUDED.{name}"
        for name in OF_A_BOOKING
    ]  # fmt: skip
    return f"""
        INSERT INTO {level.table} AS t ({", ".join(keys)}, {", ".join(OF_A_BOOKING)}, latency_histogram)
        SELECT tenant_id, {level.slot} AS slot, {", ".join(level.keys)}, {", ".join(sums)},
               CASE sum(latencies) WHEN 0 THEN '{{}}' WHEN 1 THEN array_fill(0, ARRAY[max(bucket) - 1]) || 1
                    ELSE rollup_histogram(array_agg(bucket) FILTER (WHERE bucket IS NOT NULL)) END
          FROM page GROUP BY {", ".join(str(place + 1) for place in range(len(keys)))}
        ON CONFLICT ({", ".join(keys)}) DO UPDATE
           SET {", ".join(added)}, latency_histogram = rollup_added(t.latency_histogram, EXCLUDED.latency_histogram)
    """  # noqa: S608 - constants


def _adding(rows: str) -> str:
    """Adds rows of the log to every level; answers how many, and the last of them."""
    numbers = ", ".join(f"{sql} AS {name}" for name, sql in OF_A_BOOKING.items())
    levels = ", ".join(f"{level.table} AS ({_added(level)})" for level in LEVELS)
    return f"""
        WITH rows AS MATERIALIZED ({rows}),
        page AS MATERIALIZED (
            SELECT id, transaction_id, occurred_at, {", ".join(_ROW_KEYS)}, {numbers},
                   rollup_latency_bucket(latency_ms) AS bucket
              FROM rows
        ),
        {levels}
        SELECT count(*), (array_agg(transaction_id::text ORDER BY transaction_id DESC, id DESC))[1]::bigint,
               (array_agg(id ORDER BY transaction_id DESC, id DESC))[1]
          FROM page
    """  # noqa: S608 - constants


ADD_SETTLED = _adding(_SETTLED)
ADD_AGAIN = _adding(_AGAIN)

REMOVE = """
    DELETE FROM {table} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {table} WHERE slot >= %(rebuild_from)s AND slot < %(rebuild_until)s LIMIT %(most)s))
"""

# --- after a restore ----------------------------------------------------------

LATEST = "SELECT transaction_id::text::bigint FROM usage_usagelog ORDER BY transaction_id DESC, id DESC LIMIT 1"
# Each takes an id and leaves nothing else behind.
TAKE_TRANSACTIONS = """
    DO $$ BEGIN
        FOR n IN 1 .. 20000 LOOP
            PERFORM pg_current_xact_id();
            COMMIT;
        END LOOP;
    END $$
"""

# --- refusals -----------------------------------------------------------------

# A refusal's row knows how much of its count is rolled up, so whatever order they are committed in, the difference is
# what is missing. Those that somebody counts up just now are left for the next time.
ADD_DENIALS = """
    WITH found AS MATERIALIZED (
        SELECT id, tenant_id, user_key, feature_id, task_id, code, count, count - rolled AS more,
               date_bin('15 minutes', minute, 'epoch'::timestamptz) AS slot
          FROM usage_denial WHERE NOT is_rolled LIMIT %(most)s FOR UPDATE SKIP LOCKED
    ),
    marked AS (
        UPDATE usage_denial d SET rolled = found.count, is_rolled = true FROM found WHERE d.id = found.id
    ),
    added AS (
        INSERT INTO usage_denialrollup AS t (tenant_id, slot, code, feature_id, task_id, user_key, count)
        SELECT tenant_id, slot, code, feature_id, task_id, user_key, sum(more)::bigint FROM found
         GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(more) > 0
        ON CONFLICT (tenant_id, slot, code, feature_id, task_id, user_key) DO UPDATE
           SET count = t.count + EXCLUDED.count
    )
    SELECT count(*) FROM found
"""
SLOTS_OF_DENIALS = """
    SELECT slot FROM usage_denialrollup WHERE slot >= %(since)s AND slot < %(until)s
     UNION
    SELECT date_bin('15 minutes', minute, 'epoch'::timestamptz) FROM usage_denial
     WHERE minute >= %(since)s AND minute < %(until)s
"""
FORGET_DENIALS = """
    UPDATE usage_denial SET rolled = 0, is_rolled = false
     WHERE minute >= %(since)s AND minute < %(until)s AND (rolled > 0 OR is_rolled)
"""
REMOVE_DENIALS = "DELETE FROM usage_denialrollup WHERE slot >= %(since)s AND slot < %(until)s"

# --- how it stands ------------------------------------------------------------

# Counting stops where it does not matter any more.
LACKING = """
    SELECT count(*) FROM (
        SELECT 1 FROM usage_usagelog WHERE (transaction_id, id) > (%(transaction_id)s::text::xid8, %(log_id)s)
         LIMIT 100000
    ) AS lacking
"""
LACKING_DENIALS = "SELECT count(*) FROM (SELECT 1 FROM usage_denial WHERE NOT is_rolled LIMIT 100000) AS lacking"
