"""A simulation by several processes of this machine, each with tenants of its own."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from datetime import datetime
from uuid import UUID

from django.db import connections

from enforcement.simulation import runs
from enforcement.simulation.runs import Progress, Report, Source
from enforcement.simulation.trials import Trial

_Share = Callable[[Sequence[UUID]], Report]
_CHUNKS = 50  # for each process: small enough to end together, large enough to be worth a message

_share: _Share | None = None


def run(
    trial: Trial,
    tenants: Sequence[UUID],
    *,
    now: datetime,
    days: int,
    source: Source = runs.of_log,
    tell: Callable[[Progress], None] = lambda _: None,
    processes: int = 1,
) -> Report:
    """As `runs.run`. `tell` hears of tenants that are done; where one process does it all, of each on its way."""
    if processes == 1 or len(tenants) == 1:
        return runs.run(trial, tenants, now=now, days=days, source=source, tell=tell)
    return _forked(
        lambda part: runs.run(trial, part, now=now, days=days, source=source),
        tenants,
        runs.empty(now, days),
        tell,
        processes,
    )  # fmt: skip


def _forked(
    share: _Share, tenants: Sequence[UUID], report: Report, tell: Callable[[Progress], None], processes: int
) -> Report:
    global _share  # noqa: PLW0603 - what forked processes find there
    _share = share
    progress = Progress(len(tenants))
    size = max(1, len(tenants) // (_CHUNKS * processes))
    # A connection serves one process: the forked ones open their own.
    connections.close_all()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        waiting: set[Future[Report]] = {
            pool.submit(_work, tenants[start : start + size]) for start in range(0, len(tenants), size)
        }
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    part = future.result()
                    report.merge(part)
                    progress.done += part.tenants
                    progress.operations += part.total.calls.requests + part.total.facts
                progress.share = progress.done / progress.tenants
                tell(progress)
        finally:
            pool.shutdown(cancel_futures=True)
    return report


def _work(tenants: Sequence[UUID]) -> Report:
    assert _share is not None  # noqa: S101 - set before the fork
    return _share(tenants)
