"""The numbers of the configuration, and snapshots that are as current as their number.

One number counts the changes of the CATALOGUE, one those of the KEYS, one those of each tenant. Only the
statement triggers made here write them, so an edit by the admin, by SQL or by a bulk load counts alike.
Whoever answers from a snapshot passes the numbers it relied on to the database, which compares them.
"""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar, cast
from uuid import UUID

import pgtrigger
from django.db import connection, transaction

from tenants.database import repeatable

CATALOGUE = UUID(int=1)
KEYS = UUID(int=2)


class Numbers(NamedTuple):
    """The numbers an answer relied on; None = it did not rely on that part."""

    catalogue: int | None = None
    keys: int | None = None
    tenant: int | None = None


class Stale(Exception):
    """The configuration moved after the snapshots used were taken: reload and decide again."""


class Numbered(Protocol):
    """What a shelf holds: an immutable snapshot that knows its number."""

    @property
    def number(self) -> int: ...


S = TypeVar("S", bound=Numbered)


class _Inside(dict[tuple[int, UUID], Numbered]):
    """Snapshots taken at one savepoint level of an open transaction, by shelf and subject.

    They may show what is never committed, under a number that is then given again. So they live as an
    `on_commit` callback that does nothing: Django forgets it when that level ends or is rolled back.
    """

    def __call__(self) -> None:
        pass


def _levels() -> Iterator[tuple[set[str], _Inside]]:
    for savepoints, callback, *_ in connection.run_on_commit:
        if isinstance(callback, _Inside):
            yield savepoints, callback


def _inside() -> _Inside:
    here = set(connection.savepoint_ids)
    for savepoints, snapshots in _levels():
        if savepoints == here:
            return snapshots
    snapshots = _Inside()
    transaction.on_commit(snapshots)
    return snapshots


class Shelf(Generic[S]):
    """This process's snapshots of one kind by subject; the least recently used goes first.

    `load(subject)` must read the subject's number before anything else, inside `one_instant()`.
    One loader works at a time, so a burst of stale requests costs one reload. What is loaded inside a
    transaction is kept for that transaction alone.
    """

    _all: "weakref.WeakSet[Shelf[Numbered]]" = weakref.WeakSet()

    def __init__(self, load: Callable[[UUID], S], *, capacity: int) -> None:
        self._load = load
        self._capacity = capacity
        self._snapshots: OrderedDict[UUID, S] = OrderedDict()
        self._guard = threading.Lock()
        self._loading = threading.Lock()
        Shelf._all.add(self)  # type: ignore[arg-type]  # the set only ever calls clear()

    def get(self, subject: UUID) -> S:
        """The snapshot at hand, loaded where there is none. It may be stale: the ledger tells."""
        found = self._take(subject)
        if found is not None:
            return found
        if connection.in_atomic_block:
            mine, place = _inside(), (id(self), subject)
            if place not in mine:
                mine[place] = self._load(subject)
            return cast("S", mine[place])
        with self._loading:
            found = self._take(subject)
            if found is None:
                found = repeatable(lambda: self._load(subject))
                with self._guard:
                    self._snapshots[subject] = found
                    while len(self._snapshots) > self._capacity:
                        self._snapshots.popitem(last=False)
            return found

    def _take(self, subject: UUID) -> S | None:
        with self._guard:
            found = self._snapshots.get(subject)
            if found is not None:
                self._snapshots.move_to_end(subject)
            return found

    def keep_only(self, subject: UUID, number: int, inside: Sequence[_Inside]) -> None:
        """Drop the snapshot of `subject` unless it is the one of `number`; `inside` are those of open transactions."""
        with self._guard:
            found: Numbered | None = self._snapshots.get(subject)
            if found is not None and found.number != number:
                del self._snapshots[subject]
        place = (id(self), subject)
        for mine in inside:
            found = mine.get(place)
            if found is not None and found.number != number:
                del mine[place]

    def clear(self) -> None:
        """Forget everything (for tests; nothing else needs it)."""
        with self._guard:
            self._snapshots.clear()
        for _, mine in _levels():
            for place in [place for place in mine if place[0] == id(self)]:
                del mine[place]


_others: list[Callable[[], None]] = []


def cleared_with_all(clear: Callable[[], None]) -> None:
    """Have `clear_all` call this too: it forgets what a process keeps outside the numbers."""
    _others.append(clear)


def clear_all() -> None:
    """Forget every snapshot of this process."""
    for shelf in Shelf._all:
        shelf.clear()
    for clear in _others:
        clear()


def arrived(subject: UUID, number: int) -> None:
    """Tell every shelf that `subject` is at `number` now; what is older is reloaded when next used."""
    inside = [mine for _, mine in _levels()]
    for shelf in Shelf._all:
        shelf.keep_only(subject, number, inside)


@contextmanager
def one_instant() -> Iterator[None]:
    """All reads inside see the database as it was at one instant.

    Inside a caller's transaction the isolation level cannot change any more; what is read may then be newer
    than the number read first, which makes the snapshot stale at its first use: late, never wrong.
    """
    nested = connection.in_atomic_block
    with transaction.atomic():
        if not nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def number_of(subject: UUID) -> int:
    """The present number of a subject; 0 where nothing was ever written for it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM tenants_configversion WHERE subject = %s", [subject])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def refresh(*subjects: UUID) -> datetime:
    """Compare the snapshots at hand with the database by one query and drop those that are behind.

    Gives the database's clock, by which what follows is decided: a process's own may be wrong.
    """
    now, numbers = repeatable(lambda: _numbers(subjects))
    for subject in subjects:
        arrived(subject, numbers.get(subject, 0))
    return now


def _numbers(subjects: Sequence[UUID]) -> tuple[datetime, dict[UUID, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT clock_timestamp(), subject, number
              FROM (SELECT 1) AS one LEFT JOIN tenants_configversion ON subject = ANY(%s)
            """,
            [list(subjects)],
        )
        rows = cursor.fetchall()
    return rows[0][0], {subject: number for _, subject, number in rows if subject is not None}


_BUMP = """
    INSERT INTO tenants_configversion AS v (subject, number)
    SELECT subject, 1 FROM ({changed}) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;
    RETURN NULL;
"""


def counted(subject: str, *, columns: Sequence[str], key: str = "id", where: str = "TRUE") -> list[pgtrigger.Trigger]:
    """Statement triggers that add 1 to the number of each subject a statement changed.

    `subject` and `where` are SQL over a row `r`; an update counts only where one of `columns` changed, before
    or after which `where` held. Subjects are taken in order, so two writers cannot deadlock here.
    """
    rows = "SELECT {subject} AS subject FROM {table} r WHERE {where}"
    old = rows.format(subject=subject, table="old_rows", where=where)
    new = rows.format(subject=subject, table="new_rows", where=where)
    before = ", ".join(f"o.{column}" for column in columns)
    after = ", ".join(f"n.{column}" for column in columns)
    differing = (  # every part is a constant of a model's Meta
        f"SELECT n.{key} FROM new_rows n JOIN old_rows o ON o.{key} = n.{key} "  # noqa: S608
        f"WHERE ({before}) IS DISTINCT FROM ({after})"
    )
    updated = " UNION ".join(f"{side} AND r.{key} IN ({differing})" for side in (old, new))

    def trigger(operation: pgtrigger.Operation, referencing: pgtrigger.Referencing, changed: str) -> pgtrigger.Trigger:
        return pgtrigger.Trigger(
            name=f"count_{str(operation).lower()}",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=operation,
            referencing=referencing,
            func=_BUMP.format(changed=changed),
        )

    return [
        trigger(pgtrigger.Insert, pgtrigger.Referencing(new="new_rows"), new),
        trigger(pgtrigger.Update, pgtrigger.Referencing(old="old_rows", new="new_rows"), updated),
        trigger(pgtrigger.Delete, pgtrigger.Referencing(old="old_rows"), old),
    ]


OF_CATALOGUE = f"'{CATALOGUE}'::uuid"
OF_KEYS = f"'{KEYS}'::uuid"
