"""The roll-ups: fills them from the log and the refusals, and computes a time of theirs anew.

What is rolled up is known by transaction: below the oldest one still running every row is there that ever will be,
in whatever order they committed. So the roll-ups hold exactly the rows up to a position in (transaction_id, id), and
whoever reads them adds the rows after it from the log (`usage.sums`). A page of rows and the position are one short
transaction that locks the state: any number of fillers may run, be killed, and run again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.db import OperationalError, connection

from tenants import database
from tenants.ids import instant_of
from usage import pruning
from usage import rollup_queries as sql
from usage.models import LogArchive

PAGE = 10_000
"""Rows of the log in one transaction."""

_DENIALS_TOGETHER = 5_000
_LEAST = UUID(int=0)
_SLOT, _DAY = timedelta(minutes=15), timedelta(days=1)
_FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)
# An event may be booked five minutes before it occurs.
_EARLIEST = timedelta(minutes=6)


class LogIsGone(LookupError):
    """The log of a time is kept in files: what was summed of it can not be computed anew."""


class RestoredElsewhere(RuntimeError):
    """The roll-ups know transactions that this database cluster has yet to come to: see `take_over`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far the roll-ups are, as of one snapshot; see RollupState.

    `settled` is the snapshot's xmin, below which every transaction has ended; `following` its xmax, below which
    every one is that had committed before `at`.
    """

    transaction_id: int
    log_id: UUID
    settled: int
    following: int
    at: datetime
    as_of: datetime | None
    seen_transaction_id: int
    seen_at: datetime | None
    rebuild_from: datetime | None
    rebuild_until: datetime | None
    rebuild_transaction_id: int
    rebuild_below: UUID | None
    rebuild_log_id: UUID | None

    @property
    def is_of_this_cluster(self) -> bool:
        """False after a restore from a dump into a cluster that has seen fewer transactions."""
        return self.transaction_id <= self.settled

    @property
    def rebuilding(self) -> tuple[datetime, datetime] | None:
        """The time whose roll-ups are incomplete, as [since, until)."""
        if self.rebuild_from is None or self.rebuild_until is None:
            return None
        return self.rebuild_from, self.rebuild_until


def state() -> State:
    """How far the roll-ups are: one query, in the caller's snapshot."""
    return _state(database.rows(sql.STATE)[0])


def as_of() -> datetime | None:
    """All that was committed before this instant is in the roll-ups; None: nobody has filled them yet."""
    return state().as_of


def lacking() -> tuple[int, int]:
    """How many rows of the log and how many rows of refusals are not rolled up yet; 100,000 stands for more."""
    found = state()
    about = {"transaction_id": found.transaction_id, "log_id": found.log_id}
    return database.rows(sql.LACKING, about)[0][0], database.rows(sql.LACKING_DENIALS)[0][0]


def fill(*, for_seconds: float = 30.0, page: int = PAGE) -> int:
    """Add what the log has and the roll-ups lack, and the refusals; how many rows of the log that were.

    Comes back when there is no more, when another is at it, or when the time is up. What was added stays, whatever
    happens then. Raises RestoredElsewhere.
    """
    ends_at = time.monotonic() + for_seconds
    rows, most = 0, page
    while time.monotonic() < ends_at:
        try:
            added = _add_page(most)
        except OperationalError as error:
            most = _halved(most, error)
            continue
        rows += added or 0
        if added is None or added < most:
            break
    while time.monotonic() < ends_at and _add_denials() == _DENIALS_TOGETHER:
        pass
    return rows


def go_on_rebuilding(*, for_seconds: float = 30.0) -> None:
    """Go on with a rebuild whose process is gone; where there is none, or somebody is at it, do nothing."""
    ends_at, most = time.monotonic() + for_seconds, PAGE
    while time.monotonic() < ends_at:
        try:
            with _locked(waits=False) as found:
                if found is None or found.rebuilding is None:
                    return
                _rebuild_slice(found, most)
        except OperationalError as error:
            most = _halved(most, error)


def rebuild(since: datetime, until: datetime, tell: Callable[[float], None] = lambda share: None) -> None:
    """Compute the roll-ups of the days of UTC that touch [since, until) anew; `tell` hears the share that is done.

    In short transactions beside the traffic. Until it is done, readers find that time in the log. A rebuild that was
    stopped is finished first. Raises LogIsGone or RestoredElsewhere, with nothing changed.
    """
    mine = _whole_days(since, until)
    archived = LogArchive.objects.end()
    # What occurred in a day's first minutes may have been booked in the month before.
    if archived is not None and mine[0].date() <= archived:
        raise LogIsGone(f"The log before {archived} is archived: only days after {archived} can be computed anew.")
    if not state().is_of_this_cluster:
        raise RestoredElsewhere
    is_begun, reached, most = False, 0.0, PAGE
    while True:
        try:
            with _locked() as found:
                assert found is not None  # noqa: S101 - it waits for its turn
                if is_begun and found.rebuilding != mine:
                    break
                is_mine = found.rebuilding in (None, mine)
                if found.rebuilding is None:
                    _move_rebuild(rebuild_from=mine[0], rebuild_until=mine[1])
                else:
                    reached = _rebuild_slice(found, most)
        except OperationalError as error:
            most = _halved(most, error)
            continue
        is_begun = is_begun or is_mine
        if is_begun:
            tell(reached)
    _rebuild_denials(*mine)


def take_over(tell: Callable[[float], None] = lambda share: None) -> None:
    """Make a ledger that was restored from a dump of another cluster one of this one: for RestoredElsewhere.

    Transaction ids are taken until those of the dump are passed, and all is computed anew; until then readers find
    everything in the log. `tell` hears the share of the ids that is behind.
    """
    archived = LogArchive.objects.end()
    first = datetime(1971, 1, 1, tzinfo=UTC) if archived is None else _midnight(archived) + _DAY
    with _locked() as found:
        assert found is not None  # noqa: S101 - it waits for its turn
        _move_rebuild(rebuild_from=first, rebuild_until=_FOR_EVER)
    begun, last = found.settled, max([found.transaction_id, *(row[0] for row in database.rows(sql.LATEST))])
    while (settled := state().settled) <= last:
        tell((settled - begun) / (last - begun + 1))
        _run(sql.TAKE_TRANSACTIONS)
    rebuild(first, _FOR_EVER)


# --- filling ------------------------------------------------------------------


def _add_page(most: int) -> int | None:
    """Adds the next rows, at most so many; None where another filler is at it."""
    with _locked(waits=False) as found:
        if found is None:
            return None
        if not found.is_of_this_cluster:
            raise RestoredElsewhere
        about = {
            "transaction_id": found.transaction_id, "log_id": found.log_id, "settled": found.settled, "most": most
        }  # fmt: skip
        added, transaction_id, log_id = database.rows(sql.ADD_SETTLED, about)[0]
        if added < most:
            transaction_id, log_id = found.settled, _LEAST
        _move(found, transaction_id, log_id)
    return int(added)


def _move(found: State, transaction_id: int, log_id: UUID) -> None:
    """The position, and from when it is: an instant is reached when what was before it then is passed."""
    reached, seen, seen_at = found.as_of, found.seen_transaction_id, found.seen_at
    if transaction_id >= found.following:
        reached, seen_at = found.at, None
    elif seen_at is not None and transaction_id >= seen:
        reached, seen_at = seen_at, None
    if seen_at is None:
        seen, seen_at = found.following, found.at
    about = {
        "transaction_id": transaction_id, "log_id": log_id, "as_of": reached, "seen_transaction_id": seen,
        "seen_at": seen_at,
    }  # fmt: skip
    _run(sql.MOVE, about)


def _add_denials() -> int:
    """Adds refusals, a slice of them; how many rows there were, 0 where another is at it."""
    with _locked(waits=False) as found:
        return 0 if found is None else int(database.rows(sql.ADD_DENIALS, {"most": _DENIALS_TOGETHER})[0][0])


# --- computing anew -----------------------------------------------------------


def _whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    start, end = _midnight(since.astimezone(UTC)), _midnight(until.astimezone(UTC))
    return start, end if end == until else end + _DAY


def _midnight(at: date) -> datetime:
    return datetime(at.year, at.month, at.day, tzinfo=UTC)


def _rebuild_slice(found: State, most: int) -> float:
    """The next step of the rebuild in the state; the share that is done."""
    assert found.rebuild_from is not None  # noqa: S101 - the caller looked
    about: dict[str, Any] = {
        "rebuild_from": found.rebuild_from, "rebuild_until": found.rebuild_until, "most": most,
        "rebuild_transaction_id": found.rebuild_transaction_id, "rebuild_below": found.rebuild_below,
        "rebuild_log_id": found.rebuild_log_id,
    }  # fmt: skip
    if found.rebuild_log_id is None:
        for level in sql.LEVELS:
            if _run(sql.REMOVE.format(table=level.table), about) == most:
                return 0.0
        # All are removed; what is added from here on, by whomever, is not what was added before.
        about |= {"rebuild_transaction_id": found.transaction_id, "rebuild_below": found.log_id}
        first = database.rows(sql.FIRST_ID, [found.rebuild_from - _EARLIEST])[0][0]
        _move_rebuild(**about | {"rebuild_log_id": first})
        return 0.0
    about["after"] = found.rebuild_log_id
    about["through"] = database.rows(sql.PAGE_END, about)[0][0]
    if about["through"] is None:
        _move_rebuild()
        return 1.0
    database.rows(sql.ADD_AGAIN, about)
    _move_rebuild(**about | {"rebuild_log_id": about["through"]})
    return min(1.0, (instant_of(about["through"]) - found.rebuild_from) / (found.at - found.rebuild_from + _EARLIEST))


def _move_rebuild(**to: Any) -> None:  # noqa: ANN401 - the columns of the state
    columns = ("rebuild_from", "rebuild_until", "rebuild_below", "rebuild_log_id")
    nothing = dict.fromkeys(columns) | {"rebuild_transaction_id": 0}
    _run(sql.MOVE_REBUILD, nothing | to)


def _rebuild_denials(since: datetime, until: datetime) -> None:
    """Forgets what was rolled up of refusals, slot by slot, and adds it again; but what may be pruned is left alone."""
    now = state().at
    kept, until = now - pruning.DENIALS_KEPT, min(until, now + _DAY)
    at = since if since >= kept else since + ((kept - since) // _SLOT + 1) * _SLOT
    while at < until:
        for (slot,) in database.rows(sql.SLOTS_OF_DENIALS, {"since": at, "until": min(until, at + _DAY)}):
            with _locked():
                about = {"since": slot, "until": slot + _SLOT}
                _run(sql.REMOVE_DENIALS, about)
                _run(sql.FORGET_DENIALS, about)
        at += _DAY
    while _add_denials() == _DENIALS_TOGETHER:
        pass


def _halved(most: int, error: OperationalError) -> int:
    """What to try after a page that took too long: a busy machine or a cold disk. Raises any other error."""
    if most == 1 or not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
        raise error
    return most // 2


# --- the state ----------------------------------------------------------------


@contextmanager
def _locked(*, waits: bool = True) -> Iterator[State | None]:
    """A short transaction with the state locked; None where it is another's and this one does not wait."""
    query = sql.LOCKED if waits else f"{sql.LOCKED} SKIP LOCKED"
    with database.short_statements():
        rows = database.rows(query)
        if not rows:
            _run(sql.BEGIN)
            rows = database.rows(query)
        yield _state(rows[0]) if rows else None


def _state(row: tuple[Any, ...]) -> State:
    transaction_id, log_id, *rest = row
    names = list(State.__dataclass_fields__)[2:]
    return State(transaction_id=transaction_id or 0, log_id=log_id or _LEAST, **dict(zip(names, rest, strict=True)))


def _run(query: str, about: dict[str, Any] | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, about)
        touched: int = cursor.rowcount
    return touched
