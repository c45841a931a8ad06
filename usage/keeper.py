"""The keeper: what must happen in time, with Redis and Celery away too.

It ends reservations that are past their deadline, removes what no longer counts, and makes the log's partitions of
the months to come. Any number may run at once; each takes what the others do not work on.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

import psycopg
import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from tenants.database import short_statements
from usage import ledger, pruning

INTERVAL_SECONDS = 2.0
_SWEPT_TOGETHER = 200
_MONTHS_AHEAD = 3
_PRUNE_EVERY, _PRUNE_FOR = 60.0, 1.0
_PARTITIONS_EVERY, _PARTITIONS_AGAIN = 3600.0, 10.0
_SHORTEST_DELAY, _LONGEST_DELAY = 0.1, 1.0
# Making a partition locks the whole log: where that cannot be had at once it is tried later, and bookings go on.
_LOCK_TIMEOUT = "500ms"

log = structlog.get_logger()

Wait = Callable[[float], bool]
"""Waits so many seconds or until told to stop; whether it was told to, now or before."""


def once() -> None:
    """Do every duty to its end. Raises OperationalError or InterfaceError where the database is away."""
    _Keeper(wait=lambda _: False, prune_for=math.inf).do()


def keep(wait: Wait, *, interval: float = INTERVAL_SECONDS) -> None:
    """Do every duty as it falls due, the sweep each `interval` seconds, until `wait` was told to stop.

    With the database away it goes on trying, at least once a second.
    """
    keeper = _Keeper(wait=wait)
    delay = 0.0
    log.info("keeper started", interval=interval)
    while not wait(0):
        started = time.monotonic()
        try:
            keeper.do()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if not delay:
                log.warning("database away", error=str(error))
            delay = min(_LONGEST_DELAY, max(_SHORTEST_DELAY, 2 * delay))
            wait(delay)
            continue
        if delay:
            log.info("database back")
            delay = 0.0
        wait(max(0.0, started + interval - time.monotonic()))
    log.info("keeper stopped")


@dataclass(slots=True)
class _Keeper:
    wait: Wait
    prune_for: float = _PRUNE_FOR
    prune_at: float = 0.0
    partitions_at: float = 0.0
    failing: set[str] = field(default_factory=set)

    def do(self) -> None:
        """What is due now."""
        self._sweep()
        if time.monotonic() >= self.prune_at:
            is_done = self._prune(time.monotonic() + self.prune_for)
            self.prune_at = time.monotonic() + (_PRUNE_EVERY if is_done else 0.0)
        if time.monotonic() >= self.partitions_at:
            is_done = self._make_partitions()
            self.partitions_at = time.monotonic() + (_PARTITIONS_EVERY if is_done else _PARTITIONS_AGAIN)

    def _sweep(self) -> None:
        """A slice of each tenant in turn, so that one with many does not keep the others waiting."""
        expired = 0
        due = ledger.tenants_with_due_reservations()
        while due and not self.wait(0):
            more = []
            for tenant in due:
                ended = self._try(f"expire {tenant}", partial(ledger.expire, tenant, most=_SWEPT_TOGETHER)) or 0
                expired += ended
                if ended == _SWEPT_TOGETHER:
                    more.append(tenant)
            due = more
        if expired:
            log.info("expired", reservations=expired)

    def _prune(self, until: float) -> bool:
        """Slice after slice; false where time was up first."""
        now = _clock()
        removed: dict[str, int] = {}
        for old in pruning.OLD:
            count = pruning.SLICE
            while count == pruning.SLICE and time.monotonic() < until and not self.wait(0):
                count = self._try(f"prune {old.name}", partial(pruning.remove_slice, old, now)) or 0
                removed[old.name] = removed.get(old.name, 0) + count
        if any(removed.values()):
            log.info("pruned", **{name: count for name, count in removed.items() if count})
        return time.monotonic() < until

    def _make_partitions(self) -> bool:
        """Those of this month and of the months ahead; false where one could not be made."""
        stray = _value("SELECT count(*) FROM (SELECT 1 FROM usage_usagelog_default LIMIT 1000) AS stray")
        if stray:
            hint = "They count, but the partition of their month cannot be made until they are moved out."
            log.error("default partition of the log has rows", rows=stray, hint=hint)
        made = [
            self._try(f"partition {month:%Y-%m}", partial(_make_partition, month)) for month in _months(_clock().date())
        ]
        return None not in made

    def _try(self, duty: str, do: Callable[[], int]) -> int | None:
        """What it answers; None where it failed, which is logged and does not keep the other duties from being done.

        Raises what a database that is away raises.
        """
        try:
            answer = do()
        except DatabaseError as error:
            if not connection.is_usable():
                raise
            if duty not in self.failing:
                log.error("failed", duty=duty, error=str(error))
            self.failing.add(duty)
            return None
        if duty in self.failing:
            log.info("works again", duty=duty)
            self.failing.remove(duty)
        return answer


def _make_partition(month: date) -> int:
    """1 where it was made, 0 where it was there."""
    try:
        with short_statements():
            _value("SELECT set_config('lock_timeout', %s, true)", _LOCK_TIMEOUT)
            is_new = _value("SELECT ledger_make_partition(%s)", month)
    except DatabaseError as error:
        if isinstance(error.__cause__, psycopg.errors.DuplicateTable | psycopg.errors.UniqueViolation):
            return 0  # another keeper was faster
        raise
    if is_new:
        log.info("partition made", month=f"{month:%Y-%m}")
    return int(is_new)


def _months(today: date) -> list[date]:
    """The first days of this month and of the months ahead."""
    first = today.year * 12 + today.month - 1
    return [date(index // 12, index % 12 + 1, 1) for index in range(first, first + _MONTHS_AHEAD + 1)]


def _clock() -> datetime:
    now: datetime = _value("SELECT clock_timestamp()")
    return now


def _value(query: str, *parameters: Any) -> Any:  # noqa: ANN401 - a value of SQL
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchone()[0]
