"""The sums by user: an erased one's are added to their pseudonym's."""

from collections.abc import Mapping
from typing import Any

from django.db import connection

from tenants import database
from usage.rollup_queries import LEVELS, OF_A_BOOKING, Level

_MOST = 1_000
# Whoever writes roll-ups locks this first.
_LOCK = "SELECT 1 FROM usage_rollupstate FOR UPDATE"
_DENIAL_KEYS = ("tenant_id", "slot", "code", "feature_id", "task_id", "user_key")


def _moved(table: str, keys: tuple[str, ...], sums: Mapping[str, str]) -> str:
    """Takes rows of a user out and adds them to the pseudonym's; `sums` are SQL of "t" and EXCLUDED together."""
    names = ", ".join((*keys, *sums))
    new = ", ".join("%(pseudonym)s" if key == "user_key" else key for key in keys)
    return f"""
        WITH gone AS (
            DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM {table} WHERE tenant_id = %(tenant)s AND user_key = %(key)s LIMIT {_MOST}))
            RETURNING *
        )
        INSERT INTO {table} AS t ({names}) SELECT {new}, {", ".join(sums)} FROM gone
        ON CONFLICT ({", ".join(keys)}) DO UPDATE SET {", ".join(f"{name} = {sql}" for name, sql in sums.items())}
    """  # noqa: S608 - names of tables


def _of_level(level: Level) -> str:
    sums = {name: f"t.{name} + EXCLUDED.{name}" for name in OF_A_BOOKING}
    sums["cost"] = "COALESCE(t.cost + EXCLUDED.cost, t.cost, EXCLUDED.cost)"
    sums["latency_histogram"] = "rollup_added(t.latency_histogram, EXCLUDED.latency_histogram)"
    return _moved(level.table, ("tenant_id", "slot", *level.keys), sums)


_MOVES = {
    **{level.table: _of_level(level) for level in LEVELS if "user_key" in level.keys},
    "usage_denialrollup": _moved("usage_denialrollup", _DENIAL_KEYS, {"count": "t.count + EXCLUDED.count"}),
}
TABLES = frozenset(_MOVES)


def erase(table: str, about: Mapping[str, Any]) -> int:
    """Moves the user's sums of a table to the pseudonym; how many rows there were."""
    moved = 0
    while True:
        with database.short_statements(), connection.cursor() as cursor:
            cursor.execute(_LOCK)
            cursor.execute(_MOVES[table], about)
            more: int = cursor.rowcount
        moved += more
        if more < _MOST:
            return moved
