"""The operations of a tenant as the log has them, in the order in which they began.

For those who go through all of them: in slices by key, each a short statement, in memory that does not grow.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from tenants import database
from tenants.ids import milliseconds_of
from usage.queries import first_id_at

_SLICE = 5_000  # rows
_ENDINGS = frozenset({"COMPLETED", "FAILED", "RELEASED", "EXPIRED"})
_LONGEST = timedelta(days=42)  # a reservation lives for 7 days, and usage may be booked for 35 days after that


class Operation(NamedTuple):
    """What was asked and what it really used, reports before its end and corrections after it included.

    Instants are milliseconds since 1970. `ask` is the stored JSON; None: nothing was asked, this is usage alone
    (a fact, a correction of one, or what an open reservation has reported). `started` is when it was reserved, or
    booked where it was not; `occurred` is the instant that fixed its periods. `cost` is nano-USD, None = unknown.
    """

    started: int
    ended: int
    occurred: int
    task: str
    user: str | None
    model_class: str | None
    tokens_in: int
    tokens_out: int
    units: int
    cost: int | None
    ask: str | None


def recorded(tenant: UUID, since: datetime, until: datetime) -> Iterator[Operation]:
    """The operations that began in [since, until) and what else was booked then, by the time they began."""
    return merge(_reserved(tenant, since, until), _alone(tenant, since, until), key=attrgetter("started"))


_COLUMNS = """
    id, reservation_id, status, task_id, user_key, model_class_id, input_tokens, output_tokens, units, cost,
    floor(extract(epoch FROM occurred_at) * 1000)::bigint, ask::text
"""
_ID, _RESERVATION, _STATUS = 0, 1, 2
# A reservation's rows lie together: its id says when it began, and so does the order.
_RESERVED = f"""
    SELECT {_COLUMNS} FROM usage_usagelog
     WHERE tenant_id = %(tenant)s
       AND reservation_id >= %(after)s AND reservation_id < ledger_uuid7_floor(%(until)s)
       AND (reservation_id, id) > (%(after)s, %(after_row)s)
       AND id >= ledger_uuid7_floor(%(since)s) AND id < ledger_uuid7_floor(%(last)s)
     ORDER BY reservation_id, id LIMIT %(slice)s
"""  # noqa: S608 - constants
_ALONE = f"""
    SELECT {_COLUMNS} FROM usage_usagelog
     WHERE tenant_id = %(tenant)s AND reservation_id IS NULL
       AND id > %(after_row)s AND id >= ledger_uuid7_floor(%(since)s) AND id < ledger_uuid7_floor(%(until)s)
     ORDER BY id LIMIT %(slice)s
"""  # noqa: S608 - constants


def _reserved(tenant: UUID, since: datetime, until: datetime) -> Iterator[Operation]:
    for _, rows in groupby(_slices(_RESERVED, tenant, since, until), key=lambda row: row[_RESERVATION]):
        yield _operation(list(rows))


def _alone(tenant: UUID, since: datetime, until: datetime) -> Iterator[Operation]:
    for row in _slices(_ALONE, tenant, since, until):
        yield _operation([row])


def _operation(rows: list[tuple[Any, ...]]) -> Operation:
    """One operation from its rows, oldest first: each has the difference that it booked."""
    end = rows[0]
    if len(rows) > 1:
        end = next((row for row in rows if row[_STATUS] in _ENDINGS), end)
    _, reservation, _, task, user, model_class, tokens_in, tokens_out, units, cost, occurred, ask = end
    if len(rows) > 1:
        tokens_in, tokens_out, units = (sum(row[place] for row in rows) for place in (6, 7, 8))
        costs = [row[9] for row in rows if row[9] is not None]
        cost = sum(costs) if costs else None
    recorded_at = milliseconds_of(end[_ID])
    started = recorded_at if reservation is None else milliseconds_of(reservation)
    return Operation(
        started, recorded_at, occurred, task, user, model_class, tokens_in, tokens_out, units, cost, ask
    )  # fmt: skip


def _slices(query: str, tenant: UUID, since: datetime, until: datetime) -> Iterator[tuple[Any, ...]]:
    nothing = UUID(int=0)
    about: dict[str, Any] = {
        "tenant": tenant, "since": since, "until": until, "last": until + _LONGEST, "slice": _SLICE,
        "after": first_id_at(since), "after_row": nothing,
    }  # fmt: skip
    while True:
        rows = database.repeatable(partial(database.rows, query, about))
        yield from rows
        if len(rows) < _SLICE:
            return
        about |= {"after": rows[-1][_RESERVATION] or nothing, "after_row": rows[-1][_ID]}
