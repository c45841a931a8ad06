"""What the calls of a tenant's task really use: computed daily from the log, read where a percentile of it is held.

The log is read page by page, so that no statement is long, and without locks, so that nobody waits. What is booked
meanwhile counts the next day.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from django.db import OperationalError, connection

from tenants import database, versions
from tenants.models import Tenant
from usage.models import HoldEstimate
from usage.queries import first_id_at

LEAST_SAMPLES = 50
WINDOW = timedelta(days=30)
USABLE_FOR = timedelta(days=3)

_PERCENTILES = range(1, 101)
_KEPT_SECONDS = 600
_KEPT_TENANTS = 2_000  # at some 8 KB a task
_SLICE = 10_000  # rows of the log
_TOGETHER = 500  # tenants: most have few operations


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the operations of one task of a tenant used: percentiles 1 to 100, each a number that really occurred."""

    samples: int
    computed_at: datetime
    input_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]

    def at(self, percentile: int) -> tuple[int, int]:
        """Tokens in and out that so many percent of the operations did not exceed. Raises ValueError."""
        if percentile not in _PERCENTILES:
            raise ValueError(f"{percentile} is not from 1 to 100")
        return self.input_tokens[percentile - 1], self.output_tokens[percentile - 1]


def of(tenant: UUID, task: str, now: datetime) -> Estimate | None:
    """The estimate of a tenant's task; None where there are too few operations, or where the daily job is broken.

    It may be ten minutes old: no number of the configuration moves with it.
    """
    # A tenant's ten minutes begin where its id says: not all are read again at once.
    found = _of_tenant(tenant, (int(now.timestamp()) + tenant.int % _KEPT_SECONDS) // _KEPT_SECONDS).get(task)
    return found if found is not None and now - found.computed_at <= USABLE_FOR else None


@lru_cache(maxsize=_KEPT_TENANTS)
def _of_tenant(tenant: UUID, _ten_minutes: int) -> Mapping[str, Estimate]:
    rows = database.repeatable(lambda: list(HoldEstimate.objects.for_tenant(tenant)))
    return {
        row.task_id: Estimate(row.samples, row.computed_at, tuple(row.input_tokens), tuple(row.output_tokens))
        for row in rows
    }


versions.cleared_with_all(_of_tenant.cache_clear)


@dataclass(slots=True)
class Report:
    """How far a computation has come: what was read, and how many estimates were written and removed."""

    tenants: int = 0
    operations: int = 0
    written: int = 0
    removed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Drawn:
    """How often each number of tokens, in and out, occurred among the operations of a task.

    This is all that is kept of the rows: it grows with the numbers that differ, not with the operations.
    """

    input_tokens: Counter[int] = field(default_factory=Counter)
    output_tokens: Counter[int] = field(default_factory=Counter)

    @property
    def samples(self) -> int:
        return self.input_tokens.total()

    def add(self, input_tokens: Sequence[int], output_tokens: Sequence[int]) -> None:
        self.input_tokens.update(input_tokens)
        self.output_tokens.update(output_tokens)


def compute(tenants: Iterable[UUID] | None = None, *, tell: Callable[[Report], None] = lambda _: None) -> Report:
    """Computes the estimates of these tenants, or of all, anew; `tell` hears again and again how far it is.

    It may be run again, and beside itself, at any time.
    """
    started = time.monotonic()
    now: datetime = database.rows("SELECT clock_timestamp()")[0][0]
    report = Report()
    chosen = everybody() if tenants is None else list(tenants)
    for start in range(0, len(chosen), _TOGETHER):
        together = chosen[start : start + _TOGETHER]
        drawn: defaultdict[tuple[UUID, str], _Drawn] = defaultdict(_Drawn)
        for page in _pages(together, now - WINDOW):
            for tenant, task, input_tokens, output_tokens in page:
                drawn[tenant, task].add(input_tokens, output_tokens)
                report.operations += len(input_tokens)
            report.seconds = time.monotonic() - started
            tell(report)
        estimates = [_estimate(*whose, drawn[whose], now) for whose in sorted(drawn)]
        kept = [each for each in estimates if each.samples >= LEAST_SAMPLES]
        _write(kept)
        report.removed += _remove_others(together, kept)
        report.written += len(kept)
        report.tenants += len(together)
    report.seconds = time.monotonic() - started
    return report


def everybody() -> list[UUID]:
    """All tenants, in order."""
    return list(Tenant.objects.order_by("id").values_list("id", flat=True))


# What was really used: an operation is its ending (COMPLETED or FAILED, of a reservation or a fact), what was reported
# before it, and what was corrected after it. Left out is what nobody counted (UNKNOWN: the hold was booked, and an
# estimate from holds would estimate itself) and failures that used nothing, which say nothing about a call that works.
_PAGE = """
    WITH page AS MATERIALIZED (
        SELECT l.*
          FROM unnest(%(tenants)s::uuid[], %(after)s::uuid[]) AS t(id, after)
         CROSS JOIN LATERAL (
               SELECT tenant_id, id, reservation_id, status, certainty, attempt, task_id, input_tokens, output_tokens
                 FROM usage_usagelog WHERE tenant_id = t.id AND id > t.after
                ORDER BY tenant_id DESC, id LIMIT %(each)s) l
    ),
    operation AS (
        SELECT p.tenant_id, p.task_id, p.status,
               p.input_tokens + COALESCE(r.input_tokens, 0) + COALESCE(c.input_tokens, 0) AS input_tokens,
               p.output_tokens + COALESCE(r.output_tokens, 0) + COALESCE(c.output_tokens, 0) AS output_tokens
          FROM page p
         CROSS JOIN LATERAL (
               SELECT sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens
                 FROM usage_usagelog
                WHERE p.attempt > 0 AND tenant_id = p.tenant_id AND reservation_id = p.reservation_id
                  AND status = 'REPORT') r
         CROSS JOIN LATERAL (
               SELECT sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens
                 FROM usage_usagelog
                WHERE tenant_id = p.tenant_id AND refers_to = p.id AND id > p.id) c
         WHERE p.status IN ('COMPLETED', 'FAILED') AND p.certainty <> 'UNKNOWN'
    )
    SELECT tenant_id, ends.rows, ends.id, used.task_id, used.input_tokens, used.output_tokens
      FROM (SELECT tenant_id, count(*) AS rows, (array_agg(id ORDER BY id DESC))[1] AS id
              FROM page GROUP BY tenant_id) AS ends
      LEFT JOIN (SELECT tenant_id, task_id, array_agg(input_tokens) AS input_tokens,
                        array_agg(output_tokens) AS output_tokens
                   FROM operation WHERE status = 'COMPLETED' OR input_tokens + output_tokens > 0
                  GROUP BY tenant_id, task_id) AS used USING (tenant_id)
"""


def _pages(tenants: Sequence[UUID], since: datetime) -> Iterator[list[tuple[UUID, str, list[int], list[int]]]]:
    """What the operations of these tenants used since then, a page at a time: whose, which task, tokens in and out."""
    waiting = dict.fromkeys(tenants, first_id_at(since))
    most = _SLICE
    while waiting:
        each = max(1, most // len(waiting))
        try:
            rows = _page(waiting, each)
        except OperationalError as error:
            if each == 1 or not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise
            most //= 2  # a busy machine or a cold disk: smaller pages from here on
            continue
        yield [(tenant, *used) for tenant, _, _, *used in rows if used[0] is not None]
        waiting = {tenant: last for tenant, count, last, *_ in rows if count == each}


def _page(waiting: Mapping[UUID, UUID], each: int) -> list[tuple[Any, ...]]:
    """The next rows of tenants, at most so many of each. Raises OperationalError where that takes over 2 s."""
    with database.short_statements():
        # Every tenant is planned as one of average size: all rows of a large one would be sorted for each page.
        _run("SET LOCAL enable_sort = off")
        return database.rows(_PAGE, {"tenants": list(waiting), "after": list(waiting.values()), "each": each})


def _estimate(tenant: UUID, task: str, drawn: _Drawn, now: datetime) -> HoldEstimate:
    return HoldEstimate(
        tenant_id=tenant, task_id=task, samples=drawn.samples, computed_at=now,
        input_tokens=list(percentiles(drawn.input_tokens)), output_tokens=list(percentiles(drawn.output_tokens)),
    )  # fmt: skip


def percentiles(drawn: Counter[int]) -> Iterator[int]:
    """Percentiles 1 to 100 by nearest rank, as PostgreSQL's percentile_disc: each is one of the numbers."""
    samples = drawn.total()
    values = iter(sorted(drawn.items()))
    value, passed = next(values)
    for percentile in _PERCENTILES:
        while passed * 100 < percentile * samples:
            value, more = next(values)
            passed += more
        yield value


def _write(estimates: Sequence[HoldEstimate]) -> None:
    HoldEstimate.objects.bulk_create(
        estimates,
        update_conflicts=True,
        unique_fields=["tenant", "task"],
        update_fields=["samples", "input_tokens", "output_tokens", "computed_at"],
    )


def _remove_others(tenants: Sequence[UUID], kept: Sequence[HoldEstimate]) -> int:
    """Removes what these tenants no longer have the operations for, but for what another run works on; how many."""
    query = """
        DELETE FROM usage_holdestimate WHERE id IN (
            SELECT e.id FROM usage_holdestimate e
              LEFT JOIN unnest(%(kept_tenants)s::uuid[], %(kept_tasks)s::text[]) AS k(tenant, task)
                ON k.tenant = e.tenant_id AND k.task = e.task_id
             WHERE e.tenant_id = ANY(%(tenants)s) AND k.tenant IS NULL
               FOR UPDATE OF e SKIP LOCKED)
    """
    about: dict[str, Any] = {
        "tenants": list(tenants),
        "kept_tenants": [each.tenant_id for each in kept],
        "kept_tasks": [each.task_id for each in kept],
    }
    return _run(query, about)


def _run(query: str, about: Mapping[str, Any] | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, about)
        touched: int = cursor.rowcount
    return touched
