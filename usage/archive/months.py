"""Which months are archived, in which order, and what each takes: files, a comparison, and one transaction.

Killed anywhere it may be run again: files that are not all written are written anew, files that are complete are
compared again, and the database lets a month go and counts it as archived at one instant.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import psycopg
from django.db import OperationalError, connection, transaction

from tenants import database
from usage.archive import files, parquet, queries
from usage.archive.files import Manifest, Tell
from usage.models import LogArchive

_METERS = 5_000
_ATTEMPTS = 20
# Detaching locks the whole log: where that cannot be had at once it is tried again, and bookings go on meanwhile.
_LOCK_TIMEOUT = "500ms"

Wait = Callable[[float], None]


class Refused(Exception):
    """A month cannot be archived now; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the log: its table, and whether that still is a partition of it."""

    table: str
    first: date
    is_attached: bool

    @property
    def end(self) -> datetime:
        """When the next one begins."""
        return datetime(self.first.year + self.first.month // 12, self.first.month % 12 + 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def due(keep: int) -> list[Month]:
    """The months before the last `keep` whole ones, oldest first, that are still in the database."""
    now: datetime = database.rows(queries.CLOCK)[0][0]
    past = now.year * 12 + now.month - 1 - keep
    oldest_kept = date(past // 12, past % 12 + 1, 1)
    return [month for month in (Month(*row) for row in database.rows(queries.PARTITIONS)) if month.first < oldest_kept]


def rows_of(month: Month) -> int:
    """How many rows it has."""
    count: int = database.rows(queries.COUNT.format(table=month.table))[0][0]
    return count


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else archives or erases meanwhile. Raises Refused."""
    if not database.rows(queries.ALONE)[0][0]:
        raise Refused("Another archive_usage or erase_user is at work; run this again when it is done.")
    try:
        yield
    finally:
        database.rows(queries.DONE)


def require_ready(month: Month) -> None:
    """Raises Refused where something may still need the month's rows in the database."""
    about = {"end": month.end}
    kept, latest = database.rows(queries.RESERVED, about)[0]
    if kept:
        raise Refused(
            f"{kept:,} reservations made before {month.end:%Y-%m-%d} are still kept, the last until about "
            f"{latest:%Y-%m-%d %H:%M}. The keeper ends and prunes them: is `manage.py keep` at work?"
        )
    if database.rows(queries.STRAY, about):
        raise Refused("usage_usagelog_default has rows of that time: move them to their month first.")
    far = database.rows(queries.FAR)
    if not far:
        raise Refused("The roll-ups, which stay, were never filled: is Celery at work?")
    transaction_id, log_id, rebuild_from = far[0]
    if rebuild_from is not None and rebuild_from < month.end:
        raise Refused("Roll-ups of that time are being rebuilt from the log; run this again when that is done.")
    behind = queries.BEHIND.format(table=month.table)
    if database.rows(behind, {"transaction": transaction_id, "log": log_id}):
        raise Refused("The roll-ups, which stay, lack rows of that month: is Celery at work?")


def archive(month: Month, folder: Path, *, tell: Tell, wait: Wait) -> Manifest:
    """Takes a month out of the database, into its folder. Raises Refused, Differs, Missing."""
    with alone():
        parquet.version()
        for left in folder.parent.glob(f"{parquet.SCRATCH}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        if month.is_attached:
            require_ready(month)
            if files.load(folder) is None:
                files.write(month.table, month.first, folder, tell)
            snapshot = database.rows(queries.SNAPSHOT)[0][0]
            manifest = files.verify(month.table, folder, tell)
            files.sync(folder)
            _detach(month, folder, manifest, snapshot, wait)
        return _drop(month, folder)


def _detach(month: Month, folder: Path, manifest: Manifest, snapshot: str, wait: Wait) -> None:
    """Meters say what is archived, and the rows are out of the log, at one instant."""
    with transaction.atomic(), parquet.session(folder.parent) as (db, _):
        for page in parquet.metered(db, manifest.paths(folder), _METERS) if manifest.files else ():
            _raise(page)
        _locked_out(month, wait)
        if database.rows(queries.LATER.format(table=month.table), {"snapshot": snapshot}):
            raise Refused(f"Rows were booked in {month.table} meanwhile; run this again.")
        LogArchive.objects.create(
            month=month.first, rows=manifest.rows, first_id=manifest.first_id, last_id=manifest.last_id
        )


def _raise(page: list[tuple[UUID, UUID, int]]) -> None:
    tenants, meters, charges = (list(column) for column in zip(*page, strict=True))
    raised, running = database.rows(queries.RAISE, {"tenants": tenants, "meters": meters, "charges": charges})[0]
    if raised != len(page):
        raise Refused("Rows of that month charge meters that are gone; see `manage.py audit_ledger --full`.")
    if running:
        raise Refused(f"{running:,} meters of that month count for a period that still runs.")


def _locked_out(month: Month, wait: Wait) -> None:
    """Detaches the partition as soon as the log is free for an instant."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                cursor.execute(queries.DETACH.format(table=month.table))
            return
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            if attempt == _ATTEMPTS:
                raise Refused("The log was busy all the time; run this again.") from None
            wait(attempt / 10)


def _drop(month: Month, folder: Path) -> Manifest:
    """Drops the table of a month that is archived, once its files were read again."""
    if not LogArchive.objects.filter(month=month.first).exists():
        raise Refused(f"{month.table} is no partition of the log, and not archived by this command: it stays.")
    manifest = files.load(folder)
    if manifest is None:
        raise files.Differs(f"{folder} has no {files.MANIFEST}; {month.table} stays.")
    files.verify_hashes(folder, manifest)
    with connection.cursor() as cursor:
        cursor.execute(queries.DROP.format(table=month.table))
    return manifest
