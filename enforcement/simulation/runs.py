"""A whole simulation: tenant by tenant, each alone, and what was found of all of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from enforcement.decisions import instant
from enforcement.simulation import findings, meters
from enforcement.simulation.comparison import Comparison
from enforcement.simulation.findings import Findings
from enforcement.simulation.sides import Side
from enforcement.simulation.trials import Trial
from plans import entitlements, periods
from plans.calendars import calendar_of
from plans.charges import PeriodKind
from plans.terms import Entitlements
from tenants import versions
from usage import estimates
from usage.operations import Operation, recorded

_KEPT = 1_000  # tenants of which the findings are kept one by one

Source = Callable[[Entitlements, datetime, datetime], Iterable[Operation]]
"""The operations of a tenant from one instant to another."""


@dataclass(slots=True)
class Progress:
    """How far it is: tenants done of how many, operations read, and the share of the whole from 0 to 1."""

    tenants: int
    done: int = 0
    operations: int = 0
    share: float = 0.0


@dataclass(slots=True, kw_only=True)
class Report:
    """What was found of all, and of each tenant, or of the thousand that it would hit most."""

    since: datetime
    until: datetime
    tenants: int = 0
    affected: int = 0
    total: Findings = field(default_factory=Findings)
    by_tenant: list[tuple[str, Findings]] = field(default_factory=list)

    def include(self, tenant: str, found: Findings) -> None:
        """Adds a tenant."""
        self.tenants += 1
        self.affected += bool(found.newly_refused)
        self.total.include(found)
        if found.calls.requests:
            self._keep([(tenant, found)])

    def merge(self, part: "Report") -> None:
        """Adds what was found of other tenants."""
        self.tenants += part.tenants
        self.affected += part.affected
        self.total.include(part.total)
        self._keep(part.by_tenant)

    def _keep(self, found: Iterable[tuple[str, Findings]]) -> None:
        self.by_tenant.extend(found)
        if len(self.by_tenant) >= 2 * _KEPT:
            self.by_tenant = findings.worst(self.by_tenant, _KEPT)

    def wire(self, most: int) -> dict[str, Any]:
        """As JSON, with so many tenants."""
        return {
            "from": instant(self.since),
            "until": instant(self.until),
            "tenants_simulated": self.tenants,
            "tenants_newly_refused": self.affected,
            "total": self.total.wire(),
            "tenants": [
                {"tenant": name, **found.wire()} for name, found in findings.worst(self.by_tenant, most)
            ],
        }  # fmt: skip


def of_log(entitled: Entitlements, since: datetime, until: datetime) -> Iterable[Operation]:
    """What the log has of a tenant."""
    return recorded(entitled.tenant.facts.id, since, until)


def empty(now: datetime, days: int) -> Report:
    """The report of no tenant yet, over the days before `now`."""
    return Report(since=now - timedelta(days=days), until=now)


def run(
    trial: Trial,
    tenants: Sequence[UUID],
    *,
    now: datetime,
    days: int,
    source: Source = of_log,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Report:
    """Decides the calls of the last days again for each tenant. `tell` hears again and again how far it is."""
    report = empty(now, days)
    since = report.since
    progress = Progress(len(tenants))
    for tenant in tenants:
        versions.refresh(versions.CATALOGUE, tenant)
        present = entitlements.of(tenant, now)
        found = _compare(trial, present, source, since, now, partial(_advance, progress, tell, since, now))
        report.include(present.tenant.facts.ati_id, found)
        progress.done += 1
        progress.share = progress.done / progress.tenants
        tell(progress)
    return report


def _advance(
    progress: Progress, tell: Callable[[Progress], None], since: datetime, until: datetime, read: int, at: int
) -> None:
    progress.operations += read
    passed = (meters.instant(at) - since) / (until - since)
    progress.share = (progress.done + min(1.0, max(0.0, passed))) / progress.tenants
    tell(progress)


def _compare(
    trial: Trial,
    present: Entitlements,
    source: Source,
    since: datetime,
    until: datetime,
    tell: Callable[[int, int], None],
) -> Findings:
    tenant = present.tenant.facts

    def estimate_of(task: str) -> estimates.Estimate | None:
        return estimates.of(tenant.id, task, until)

    comparison = Comparison(
        present=Side(present, estimate_of),
        trial=Side(trial.entitled(present), estimate_of),
        since=meters.milliseconds(since),
    )
    begin = periods.period(PeriodKind.MONTH, calendar_of(tenant), since).start
    return comparison.run(source(present, begin, until), tell)
