"""Sums of a tenant's usage and refusals as the ledger has them at this instant.

A range of time is cut into pieces: what is whole slots is read from the roll-ups, its ends and what is being computed
anew from the log; what was booked since the roll-ups were filled is added from the log too. All of one snapshot, so
the sums equal the log's to the unit, however far behind the roll-ups are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection

from tenants import versions
from usage import rollups
from usage.rollup_queries import (
    BUCKETS,
    BY_DAY,
    BY_USER,
    OF_A_BOOKING,
    TOGETHER,
    TOGETHER_BY_DAY,
    USERS_BY_DAY,
    Level,
)
from usage.rollups import State
from usage.sight import Sight

COLUMNS = {
    "user": "user_key",
    "feature": "feature_id",
    "task": "task_id",
    "model_class": "model_class_id",
    "api_code": "api_code",
    "status": "status",
}
"""What usage is grouped by and filtered by, beside time, and the column of each."""

DENIAL_COLUMNS = {"user": "user_key", "feature": "feature_id", "task": "task_id", "code": "code"}
"""The same of refusals."""

_ENDED = "FILTER (WHERE status IN ('COMPLETED', 'FAILED'))"
_FIGURES = {
    **{name: f"COALESCE(sum({name}), 0)::bigint" for name in OF_A_BOOKING},
    "operations": f"COALESCE(sum(bookings) {_ENDED}, 0)::bigint",
    "failed": "COALESCE(sum(bookings) FILTER (WHERE status = 'FAILED'), 0)::bigint",
    "unpriced": f"COALESCE(sum(unpriced) {_ENDED}, 0)::bigint",
    "cost": "sum(cost)::bigint",
    "histogram": "ARRAY["
    + ", ".join(f"COALESCE(sum(latency_histogram[{n}]), 0)" for n in range(1, BUCKETS + 1))
    + "]::bigint[]",
}
_SUMMED = {"operations": "bookings", "failed": "bookings", "histogram": "latency_histogram"}
_BUCKET = "rollup_latency_bucket(latency_ms)"
_OF_A_BOOKING = OF_A_BOOKING | {
    "latency_histogram": f"CASE WHEN latency_ms IS NULL THEN '{{}}' ELSE array_fill(0, ARRAY[{_BUCKET} - 1]) || 1 END"
}
FIGURES = tuple(_FIGURES)
"""What can be summed, see `rollup.Sums`; `operations` are bookings of status COMPLETED or FAILED, `unpriced` are of
those, `cost` is None where nothing has one, `histogram` is a list of `rollup_queries.BUCKETS` counts."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A row is made at most five minutes before what it books occurs, a refusal within its minute.
_AHEAD = timedelta(minutes=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """[since, until), in parts that begin at `starts`, in order, the first not after `since`; none: it is one part.

    `where` narrows it by the names of columns; None stands for bookings that name none.
    """

    since: datetime
    until: datetime
    starts: Sequence[datetime] = ()
    where: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a range and the level that has it; None: the log."""

    level: Level | None
    since: datetime
    until: datetime


def usage(
    sight: Sight,
    span: Span,
    figures: Sequence[str],
    *,
    by: str | None = None,
    only: Sequence[str | None] | None = None,
    most: int | None = None,
) -> list[dict[str, Any]]:
    """Those of FIGURES asked for, by part and key, where there is anything: at most `most` rows, in no order.

    A row has `part`, which numbers the span's starts from 1 (where it has any), `key`, a name in the column of `by`
    (where that is given; `only` these keys), and the figures. Two statements of one instant.
    """
    where = dict(span.where) | ({} if sight.user is None else {"user": sight.user})
    narrowed: dict[str, Sequence[str | None]] = {COLUMNS[name]: [value] for name, value in where.items()}
    if by is not None and only is not None:
        narrowed[COLUMNS[by]] = only
    # A few users over time have an index by 15 minutes, so days are for all of them.
    if "user" in where or (by == "user" and only is not None):
        levels = [BY_USER]
    else:
        by_day = USERS_BY_DAY if narrowed.keys() <= set(USERS_BY_DAY.keys) else BY_DAY
        levels = [by_day, BY_USER] if by == "user" else [TOGETHER_BY_DAY, TOGETHER]
    keys = [*narrowed, *([] if by is None else [COLUMNS[by]]), "status"]
    numbers = [_SUMMED.get(name, name) for name in figures]
    union = _Union(sight.tenant.id, list(dict.fromkeys(keys)), list(dict.fromkeys(numbers)), narrowed)
    with versions.one_instant():
        found = rollups.state()
        pieces = list(_pieces(span, levels, found))
        for piece in pieces:
            union.add_piece(piece)
        union.add_unsettled([piece for piece in pieces if piece.level is not None], found)
        return union.summed(span.starts, None if by is None else COLUMNS[by], figures, most)


def _pieces(span: Span, levels: Sequence[Level], found: State) -> Iterator[_Piece]:
    """The span in order, each piece from the first level that has it whole, its ends from the next, then the log.

    A level whose slots a part begins within has none of it: days of UTC are no help where days begin elsewhere.
    """
    if found.transaction_id == 0 or not found.is_of_this_cluster:
        levels = []
    usable = [level for level in levels if all(_floor(start, level) == start for start in span.starts[1:])]
    anew = found.rebuilding
    cuts = {span.since, span.until, *(at for at in anew or () if span.since < at < span.until)}
    for since, until in pairwise(sorted(cuts)):
        is_anew = anew is not None and anew[0] <= since < anew[1]
        yield from _cut(since, until, [] if is_anew else usable)


def _cut(since: datetime, until: datetime, levels: Sequence[Level]) -> Iterator[_Piece]:
    if since >= until:
        return
    if not levels:
        yield _Piece(None, since, until)
        return
    level, *finer = levels
    first, last = _floor(since, level), _floor(until, level)
    if first < since:
        first += level.width
    if first >= last:
        yield from _cut(since, until, finer)
        return
    yield from _cut(since, first, finer)
    yield _Piece(level, first, last)
    yield from _cut(last, until, finer)


def _floor(at: datetime, level: Level) -> datetime:
    return at - (at - _EPOCH) % level.width


class _Union:
    """Roll-ups and rows of the log with the same columns: keys, numbers and `at`."""

    def __init__(
        self,
        tenant: UUID,
        keys: Sequence[str],
        numbers: Sequence[str],
        narrowed: Mapping[str, Sequence[str | None]],
    ) -> None:
        self._keys, self._numbers = keys, numbers
        self._about: dict[str, Any] = {"tenant": tenant}
        self._parts: list[str] = []
        self._where = "tenant_id = %(tenant)s" + "".join(
            f" AND {self._is_among(column, values)}" for column, values in narrowed.items()
        )

    def add_piece(self, piece: _Piece) -> None:
        """What a piece's level has of it, or the log."""
        since, until = self._value(piece.since), self._value(piece.until)
        if piece.level is None:
            first = self._value(piece.since - _AHEAD)
            self._add_log(f"{_between('occurred_at', since, until)} AND id >= ledger_uuid7_floor({first})")
            return
        columns = ", ".join(("slot AS at", *self._keys, *self._numbers))
        self._parts.append(
            f"SELECT {columns} FROM {piece.level.table} WHERE {self._where} AND {_between('slot', since, until)}"  # noqa: S608 - names
        )

    def add_unsettled(self, pieces: Sequence[_Piece], found: State) -> None:
        """What the roll-ups of these pieces lack."""
        if pieces:
            place = f"({self._value(str(found.transaction_id))}::xid8, {self._value(found.log_id)}::uuid)"
            times = [_between("occurred_at", self._value(each.since), self._value(each.until)) for each in pieces]
            first = f"id >= ledger_uuid7_floor({self._value(pieces[0].since - _AHEAD)})"
            self._add_log(f"(transaction_id, id) > {place} AND {first} AND ({' OR '.join(times)})")

    def summed(
        self, starts: Sequence[datetime], key: str | None, figures: Sequence[str], most: int | None
    ) -> list[dict[str, Any]]:
        """The figures by part and key."""
        groups = []
        if starts:
            groups.append(f"width_bucket(at, {self._value(list(starts))}) AS part")
        if key is not None:
            groups.append(f"{key} AS key")
        columns = ", ".join((*groups, *(f"{_FIGURES[name]} AS {name}" for name in figures)))
        grouped = ", ".join(str(place + 1) for place in range(len(groups))) or "()"
        query = (
            f"SELECT {columns} FROM ({' UNION ALL '.join(self._parts)}) AS parts GROUP BY {grouped} HAVING count(*) > 0"  # noqa: S608
        )
        if most is not None:
            query += f" LIMIT {self._value(most)}"
        return dicts(query, self._about)

    def _add_log(self, condition: str) -> None:
        numbers = (f"{_OF_A_BOOKING[name]} AS {name}" for name in self._numbers)
        columns = ", ".join(("occurred_at AS at", *self._keys, *numbers))
        self._parts.append(f"SELECT {columns} FROM usage_usagelog WHERE {self._where} AND {condition}")  # noqa: S608

    def _is_among(self, column: str, values: Sequence[str | None]) -> str:
        named = f"{column} = ANY({self._value([value for value in values if value is not None])})"
        return f"({named} OR {column} IS NULL)" if None in values else named

    def _value(self, value: object) -> str:
        name = f"v{len(self._about)}"
        self._about[name] = value
        return f"%({name})s"


def _between(column: str, since: str, until: str) -> str:
    return f"({column} >= {since} AND {column} < {until})"


def dicts(query: str, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a statement answers, by the names of its columns."""
    with connection.cursor() as cursor:
        cursor.execute(query, about)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# --- refusals -----------------------------------------------------------------


def denials(sight: Sight, span: Span, *, by: str | None = None, most: int | None = None) -> list[dict[str, Any]]:
    """How many refusals there were, `denials`, by `part` and `key` as in `usage`: one statement.

    `by` and the span's `where` name DENIAL_COLUMNS. Its ends, where they are not whole quarters of an hour, are
    known for as long as the refusals themselves are kept.
    """
    where = dict(span.where) | ({} if sight.user is None else {"user": sight.user})
    first, last = _floor(span.since, BY_USER), _floor(span.until, BY_USER)
    if first < span.since:
        first += BY_USER.width
    about: dict[str, Any] = {
        "tenant": sight.tenant.id, "since": span.since, "until": span.until, "first": first, "last": max(first, last),
        "starts": list(span.starts), "most": most, "from_id": span.since - _AHEAD, **where,
    }  # fmt: skip
    narrowed = "".join(
        f" AND {DENIAL_COLUMNS[name]} IS NULL" if value is None else f" AND {DENIAL_COLUMNS[name]} = %({name})s"
        for name, value in where.items()
    )
    keys = "user_key, feature_id, task_id, code"
    groups = [
        *(["width_bucket(at, %(starts)s) AS part"] if span.starts else []),
        *([f"{DENIAL_COLUMNS[by]} AS key"] if by is not None else []),
    ]
    grouped = ", ".join(str(place + 1) for place in range(len(groups))) or "()"
    query = f"""
        SELECT {", ".join((*groups, "sum(count)::bigint AS denials"))}
          FROM (SELECT slot AS at, {keys}, count FROM usage_denialrollup
                 WHERE tenant_id = %(tenant)s AND slot >= %(first)s AND slot < %(last)s{narrowed}
                UNION ALL
                SELECT last_at, {keys}, count - rolled FROM usage_denial
                 WHERE tenant_id = %(tenant)s AND NOT is_rolled
                   AND last_at >= %(first)s AND last_at < %(last)s{narrowed}
                UNION ALL
                SELECT last_at, {keys}, count FROM usage_denial
                 WHERE tenant_id = %(tenant)s AND id >= ledger_uuid7_floor(%(from_id)s)
                   AND last_at >= %(since)s AND last_at < %(until)s
                   AND NOT (last_at >= %(first)s AND last_at < %(last)s){narrowed}) AS parts
         GROUP BY {grouped} HAVING sum(count) > 0 LIMIT %(most)s
    """  # noqa: S608 - names
    return dicts(query, about)
