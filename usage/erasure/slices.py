"""Going through a table in slices, to erase or only to look."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connection

from tenants import database
from usage.erasure.places import LOG, Table

_SLICE = 2_000


def of(table: Table, about: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`about` with the bounds of each slice: its rows' keys are above `after` (or from the first on) to `through`.

    A slice is of one tenant where an index tells which rows are, and of all tenants else.
    """
    mine = "tenant_id = %(tenant)s" if table.name.startswith(LOG) else "TRUE"
    after: Any = None
    while True:
        bound = f"{table.key} > %(after)s" if after is not None else "TRUE"
        ends = database.rows(
            f"SELECT {table.key} FROM {table.name} WHERE {mine} AND {bound} "  # noqa: S608 - names of tables
            f"ORDER BY {table.key} OFFSET {_SLICE - 1} LIMIT 1",
            {"tenant": about["tenant"], "after": after},
        )
        through = ends[0][0] if ends else None
        yield {**about, "after": after, "through": through}
        if through is None:
            return
        after = through


def within(table: Table, bounds: Mapping[str, Any]) -> str:
    """SQL of which rows of "t" are a slice's, and the tenant's."""
    above = f' AND "t".{table.key} > %(after)s' if bounds["after"] is not None else ""
    below = f' AND "t".{table.key} <= %(through)s' if bounds["through"] is not None else ""
    return f"{table.rows}{above}{below}"


def erase(table: Table, about: Mapping[str, Any]) -> int:
    """Erases a user in a table; how many rows named them. Rows are locked in the order of their keys."""
    changed = " OR ".join(column.differs(table.name, has_users=table.has_users) for column in table.columns)
    changes = ", ".join(
        f"{column.name} = {column.erased(table.name, has_users=table.has_users)}" for column in table.columns
    )
    erased = 0
    for bounds in of(table, about):
        with database.short_statements(), connection.cursor() as cursor:
            cursor.execute(
                f'WITH found AS (SELECT "t".{table.key} AS key FROM {table.name} "t" '  # noqa: S608 - names of tables
                f"WHERE {within(table, bounds)} AND ({changed}) ORDER BY 1 FOR NO KEY UPDATE) "
                f'UPDATE {table.name} "t" SET {changes} FROM found WHERE "t".{table.key} = found.key',
                bounds,
            )
            erased += cursor.rowcount
    return erased


def count(table: Table, about: Mapping[str, Any]) -> tuple[int, dict[str, int]]:
    """How many rows a tenant has in a table, and in how many of them each column names the user."""
    counts = ", ".join(
        f"count(*) FILTER (WHERE {column.differs(table.name, has_users=table.has_users)})" for column in table.columns
    )
    rows, named = 0, dict.fromkeys([column.name for column in table.columns], 0)
    for bounds in of(table, about):
        with database.short_statements():
            found = database.rows(
                f'SELECT count(*), {counts} FROM {table.name} "t" WHERE {within(table, bounds)}',  # noqa: S608 - as above
                bounds,
            )[0]
        rows += found[0]
        for name, number in zip(named, found[1:], strict=True):
            named[name] += number
    return rows, named
