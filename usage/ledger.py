"""The ledger: reserve, commit, release, extend, report, record, correct, expire. The only writer of its tables.

Each operation is one call of one SQL function (usage/sql/ledger.sql), in autocommit; the rules are there and in
the accounting rules they cite. A call passes the configuration numbers and the window its caller relied on, and
raises `Stale` where one of them moved: decide again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import perf_counter
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.db import DatabaseError, connection

from tenants import database, versions
from tenants.versions import Numbers
from usage import metrics
from usage.entries import Answer, Basis, End, Event, Outcome, Reading, Reservation, readings_of

_COLUMNS = "outcome, id, tenant, at, numbers, status, expires_at, body, readings"
LOST_RACE = "LR001"
_RACES = 2


class Stale(versions.Stale):
    """The configuration moved, or a date passed: `now` is the database's clock to decide again with."""

    def __init__(self, now: datetime) -> None:
        super().__init__("the configuration moved or a date passed")
        self.now = now


class LostRace(Exception):
    """The look said yes and the meters said no, three times: these are their readings, one of which refuses."""

    def __init__(self, readings: tuple[Reading, ...]) -> None:
        super().__init__("lost the race for a meter")
        self.readings = readings


def fingerprint(operation: str, tenant: UUID | None, body: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what was asked, in canonical form: the parsed body with its defaults, keys sorted."""
    canonical = orjson.dumps([operation, tenant, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


def reserve(tenant: UUID, basis: Basis, wanted: Reservation) -> Answer:
    """GRANTED, DENIED or DEGRADE (with all readings, nothing written), REPLAY or CONFLICT. Raises Stale, LostRace."""
    asked = _json(wanted.wire())
    return _racing("ledger_reserve", tenant, basis, asked)[0]


def reserve_batch(tenant: UUID, basis: Basis, wanted: Sequence[Reservation]) -> list[Answer]:
    """As `reserve` for many of one tenant, in item order, in one transaction. Raises Stale, LostRace."""
    asked = _json([each.wire() for each in wanted])
    return _racing("ledger_reserve_batch", tenant, basis, asked)


def confirm(tenant: UUID, basis: Basis, *, key: str | None, asked: str, meters: Sequence[UUID] = ()) -> Answer:
    """CONFIRMED where an answer that wrote nothing still holds, with the readings of `meters`; REPLAY or CONFLICT
    where `key` was granted before (`asked` is the ask's fingerprint). Raises Stale.
    """
    return _one("ledger_confirm", tenant, basis, key, asked, list(meters))


def confirm_batch(tenant: UUID, basis: Basis, asked: Sequence[tuple[str, str]]) -> list[Answer]:
    """As `confirm` for many keys with their asks' fingerprints, in order. Raises Stale."""
    keys, prints = [key for key, _ in asked], [print_ for _, print_ in asked]
    return _answers(
        "unnest(%s::text[], %s::text[]) WITH ORDINALITY AS asked(key, print, place), "
        "LATERAL ledger_confirm(%s, %s::bigint[], %s, %s, asked.key, asked.print, '{}') ORDER BY place",
        [keys, prints, tenant, *_basis(basis)],
        basis.numbers,
    )


def end(tenant: UUID | None, basis: Basis, reservation: UUID, ending: End, *, user: str | None = None) -> Answer:
    """Commit, release or report. BOOKED, or REPLAY of the first answer, CONFLICT, ENDED, EXPIRED, GONE, MISSING.

    `tenant` None: the id alone names it. `user`: only that user's reservations are found. Raises Stale.
    """
    return _one("ledger_end", tenant, basis, reservation, user, _json(ending.wire()))


def end_batch(
    tenant: UUID, basis: Basis, endings: Sequence[tuple[UUID, End]], *, user: str | None = None
) -> list[Answer]:
    """As `end` for many reservations of one tenant, in one transaction. Raises Stale."""
    items = [ending.wire() | {"id": reservation} for reservation, ending in endings]
    return _many("ledger_end_batch", tenant, basis, user, _json(items))


def extend(
    tenant: UUID | None, basis: Basis, reservation: UUID, ttl_seconds: int, *, user: str | None = None
) -> Answer:
    """EXTENDED with the new deadline (never an earlier one, at most 7 days in all), GONE or MISSING. Raises Stale."""
    return _one("ledger_extend", tenant, basis, reservation, user, ttl_seconds)


def record(tenant: UUID, basis: Basis, events: Sequence[Event], *, user: str | None = None) -> list[Answer]:
    """Books usage events of one tenant: BOOKED, DUPLICATE, CONFLICT, MISSING (no reservation, no fact), or ARCHIVED
    (so may be the row of the reservation it names).

    The answer's `id` is the log row. Raises Stale.
    """
    items = [event.wire() for event in events]
    return _many("ledger_record", tenant, basis, user, _json(items))


def correct(tenant: UUID, log: UUID, right: End) -> Answer:
    """Sets a COMPLETED or FAILED log row right: books the difference in its own periods. BOOKED, UNCHANGED, MISSING.

    Totals that are None stay as they are, and so does the cost.
    """
    return _answers("ledger_correct(%s, %s, %s)", [tenant, log, _json(right.wire())], Numbers())[0]


def expire(tenant: UUID, *, most: int = 200) -> int:
    """Expires up to `most` due reservations of a tenant; how many it did."""
    return int(_rows("SELECT ledger_expire(%s, %s)", tenant, most)[0][0])


def keep_limits(tenant: UUID, reservation: UUID, limits: Sequence[Sequence[Any]]) -> None:
    """Keeps what limits the first answer of an ending showed, where they are not those of the grant."""
    _rows(
        "UPDATE usage_usagereservation SET result = jsonb_set(result, '{limits}', %s)"
        " WHERE tenant_id = %s AND id = %s AND result IS NOT NULL RETURNING id",
        _json(limits), tenant, reservation,
    )  # fmt: skip


def tenants_with_due_reservations() -> list[UUID]:
    """Tenants that have reservations to expire."""
    return [
        row[0]
        for row in _rows(
            "SELECT DISTINCT tenant_id FROM usage_usagereservation"
            " WHERE status = 'OPEN' AND expires_at <= clock_timestamp()"
        )
    ]


def tenants_of(reservations: Sequence[UUID]) -> dict[UUID, UUID]:
    """The tenant of each reservation that exists."""
    return dict(_rows("SELECT id, tenant_id FROM usage_usagereservation WHERE id = ANY(%s)", list(reservations)))


def deny(
    tenant: UUID,
    *,
    code: str,
    message: str,
    user_key: str | None,
    feature: str | None,
    task: str | None,
    meter: UUID | None,
    binding: Mapping[str, Any] | None,
    decision: Mapping[str, Any],
    now: datetime,
    count: int = 1,
) -> UUID:
    """Records `count` alike refusals and gives their id: the same to the same user on the same meter share a row a
    minute.

    Each looks for a bucket of its own, from a hash on; there are 60 a code and minute, so that a storm cannot fill
    the table. Beyond them the first that came keeps its words, and the count goes on.
    """
    bucket = hashlib.sha256(orjson.dumps([user_key, feature, task, meter])).digest()[0] % 60
    rows = _run(
        """
        INSERT INTO usage_denial AS d (id, tenant_id, user_key, feature_id, task_id, code, message, meter, binding,
                                       decision, minute, bucket, count, last_at)
        SELECT ledger_uuid7(w.now), w.tenant, w.user_key, w.feature, w.task, w.code, %(message)s, w.meter,
               %(binding)s, %(decision)s, w.minute, COALESCE((
                   SELECT b FROM generate_series(0, 59) AS g(n), LATERAL (SELECT (%(bucket)s + n) %% 60) AS p(b)
                    WHERE NOT EXISTS (
                        SELECT 1 FROM usage_denial o
                         WHERE o.tenant_id = w.tenant AND o.code = w.code AND o.minute = w.minute AND o.bucket = b
                           AND (o.user_key, o.feature_id, o.task_id, o.meter)
                               IS DISTINCT FROM (w.user_key, w.feature, w.task, w.meter))
                    ORDER BY n LIMIT 1), %(bucket)s), %(count)s, w.now
          FROM (SELECT %(now)s::timestamptz AS now, %(tenant)s::uuid AS tenant, %(user_key)s::text AS user_key,
                       %(feature)s::text AS feature, %(task)s::text AS task, %(code)s::text AS code,
                       %(meter)s::uuid AS meter, date_trunc('minute', %(now)s::timestamptz) AS minute) AS w
        ON CONFLICT (tenant_id, code, minute, bucket) DO UPDATE
           SET count = d.count + EXCLUDED.count, last_at = EXCLUDED.last_at, is_rolled = false
        RETURNING id
        """,
        {
            "now": now, "tenant": tenant, "user_key": user_key, "feature": feature, "task": task, "code": code,
            "meter": meter, "message": message, "binding": None if binding is None else _json(binding),
            "decision": _json(decision), "bucket": bucket, "count": count,
        },
    )  # fmt: skip
    denial: UUID = rows[0][0]
    return denial


def _basis(basis: Basis) -> tuple[str, datetime, datetime]:
    """The numbers as PostgreSQL writes an array: it costs less than to have it made out."""
    numbers = ",".join("NULL" if number is None else str(number) for number in basis.numbers)
    return f"{{{numbers}}}", basis.since, basis.until


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _one(function: str, tenant: UUID | None, basis: Basis, *more: Any) -> Answer:  # noqa: ANN401 - SQL parameters
    return _many(function, tenant, basis, *more)[0]


def _many(function: str, tenant: UUID | None, basis: Basis, *more: Any) -> list[Answer]:  # noqa: ANN401 - SQL parameters
    """Calls one of the functions, which all begin alike: the tenant, then what the caller relied on."""
    places = ", %s" * len(more)
    return _answers(f"{function}(%s, %s::bigint[], %s, %s{places})", [tenant, *_basis(basis), *more], basis.numbers)


def _answers(call: str, arguments: Sequence[Any], relied_on: Numbers) -> list[Answer]:
    started = perf_counter()
    statement = f"SELECT {_COLUMNS} FROM {call}"  # noqa: S608 - constants of this module
    rows = database.repeatable(lambda: database.prepared_rows(statement, arguments))
    metrics.called(call, perf_counter() - started)
    # Of several that are confirmed one after another, the numbers may have moved before a later one.
    telling = next((row for row in rows if row[0] == "STALE"), rows[0])
    if telling[4] is not None:
        _settle(telling, relied_on)
    if telling[0] == "STALE":
        metrics.found_stale()
        raise Stale(telling[3])
    return [_answer(row) for row in rows]


def _racing(function: str, tenant: UUID, basis: Basis, asked: str) -> list[Answer]:
    """A call that may lose a race: made again, at most twice."""
    for attempt in range(_RACES + 1):
        try:
            return _many(function, tenant, basis, asked)
        except DatabaseError as error:
            cause = error.__cause__
            if not isinstance(cause, psycopg.Error) or cause.sqlstate != LOST_RACE:
                raise
            if attempt == _RACES or connection.in_atomic_block:
                raise _lost(cause) from None
    raise AssertionError("unreachable")  # pragma: no cover


def _lost(cause: psycopg.Error) -> LostRace:
    numbers = (cause.diag.message_detail or "{}").strip("{}")
    return LostRace(readings_of([int(number) for number in numbers.split(",") if number]))


def _settle(row: Sequence[Any], relied_on: Numbers) -> None:
    """Drop the snapshots that are behind the numbers an answer brings; what was relied on is known to be current."""
    for subject, number, known in zip((versions.CATALOGUE, versions.KEYS, row[2]), row[4], relied_on, strict=True):
        if subject is not None and number is not None and number != known:
            versions.arrived(subject, number)


def _answer(row: Sequence[Any]) -> Answer:
    outcome, id_, tenant, at, numbers, status, expires_at, body, readings = row
    return Answer(
        outcome=Outcome(outcome),
        id=id_,
        tenant=tenant,
        at=at,
        numbers=Numbers(*numbers) if numbers else Numbers(),
        status=status,
        expires_at=expires_at,
        body=None if body is None else orjson.loads(body),
        readings=readings_of(readings or ()),
    )


def _rows(query: str, *arguments: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - SQL parameters
    return _run(query, arguments)


def _run(query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Runs one statement, again on a new connection where this one is broken: every operation is idempotent.

    (But for a denial, which is then counted twice: who was refused was told nothing wrong.)
    """
    return database.repeatable(lambda: database.rows(query, parameters))
