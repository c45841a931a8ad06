"""What gates that are only observed would have refused, beside what enforced ones did.

Read from the log in pages by an index of what was let through, so that no statement is long; open reservations count
too. A request counts where it ended, with the refusals it would have met: each gate once, whatever the others say.
What overage lets pass is shown apart: enforcing the gate would not refuse it.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from enforcement.decisions import GATE_CODES
from enforcement.explanation import GATE_OF
from enforcement.rollout_queries import DENIALS, LOG, OPEN, REQUESTS
from plans import rollouts
from plans.codes import Code
from plans.models import Feature, RolloutGate
from tenants import database
from tenants.ids import instant_of
from tenants.models import EnforcementMode, Tenant
from usage.queries import first_id_at

_PAGE = 10_000  # rows

Tell = Callable[[float], None]
"""Hears which share of the reading is done, from 0 to 1."""


class Kind(StrEnum):
    """What became of requests beyond a limit."""

    OBSERVED = "OBSERVED"
    OVERAGE = "OVERAGE"
    REFUSED = "REFUSED"


@dataclass(slots=True, kw_only=True)
class Found:
    """The requests of a tenant that one gate would have refused, let pass as overage, or refused, by code.

    `open` of them have not ended yet. `cost` is nano-USD of those that have, as first booked; a refusal costs nothing.
    `share` is that of the tenant's requests; None = not counted.
    """

    kind: Kind
    tenant: str
    gate: str
    code: Code
    requests: int = 0
    open: int = 0
    first: datetime | None = None
    last: datetime | None = None
    cost: int = 0
    share: float | None = None

    def add(self, requests: int, first: datetime, last: datetime, *, cost: int = 0, open_: int = 0) -> None:
        """Counts more of them."""
        self.requests += requests
        self.open += open_
        self.cost += cost
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is not enforced now: a gate (ALL = all), for whom, how, since when (None = not recorded), and why."""

    gate: str
    whom: str
    mode: EnforcementMode
    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the roll-out would do and does, over [since, until)."""

    since: datetime
    until: datetime
    watched: list[Watch]
    found: list[Found]
    seconds: float = 0.0

    def of(self, kind: Kind) -> list[Found]:
        """Those of a kind, the most requests first."""
        rows = [each for each in self.found if each.kind == kind]
        return sorted(rows, key=lambda each: (-each.requests, each.tenant, each.gate))


@dataclass(slots=True)
class _Reading:
    since: datetime
    until: datetime
    tenant: Tenant | None
    gate: str | None
    names: Mapping[UUID, str]
    found: dict[tuple[Kind, UUID, Code], Found] = field(default_factory=dict)
    refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def row(self, kind: Kind, tenant: UUID, code: Code) -> Found:
        """Where to count; what is not asked for is counted and forgotten."""
        fresh = Found(kind=kind, tenant=self.names.get(tenant, str(tenant)), gate=GATE_OF[code], code=code)
        return fresh if self.gate not in (None, fresh.gate) else self.found.setdefault((kind, tenant, code), fresh)

    def let_through(self, tenant: UUID, what: str, is_overage: bool) -> Found:
        """As `row`, of what was let through: the code of an observed gate, or the gate of a limit that was passed."""
        code = GATE_CODES[RolloutGate(what)] if what in RolloutGate.values else Code(what)
        return self.row(Kind.OVERAGE if is_overage else Kind.OBSERVED, tenant, code)


def report(
    *,
    since: datetime,
    now: datetime,
    tenant: Tenant | None = None,
    gate: str | None = None,
    with_shares: bool = True,
    tell: Tell = lambda _: None,
) -> Report:
    """What would have been and was refused in [since, now), for one tenant or all, by one gate or any.

    `with_shares` reads the whole log of that time to count every request; else only what was let through is read.
    """
    started = time.monotonic()
    reading = _Reading(since, now, tenant, gate, dict(Tenant.objects.values_list("id", "ati_id")))
    _read_open(reading)
    _read_log(reading, tell if not with_shares else lambda _: None)
    _read_denials(reading)
    if with_shares:
        _count(reading, tell)
    return Report(
        since=since,
        until=now,
        watched=[each for each in watched(now) if gate in (None, each.gate) or each.gate == RolloutGate.ALL],
        found=list(reading.found.values()),
        seconds=time.monotonic() - started,
    )


def watched(now: datetime) -> list[Watch]:
    """Who is not enforced at `now`: by the roll-out, as a tenant or as a feature."""
    found = []
    for standing in rollouts.standings(now):
        for rule in filter(None, (standing.everybody, *standing.own)):
            if rule.mode != EnforcementMode.ENFORCE:
                whom = rule.tenant.ati_id if rule.tenant else "everybody"
                mode = EnforcementMode(rule.mode)
                found.append(Watch(gate=rule.gate, whom=whom, mode=mode, since=rule.starts_at, reason=rule.reason))
    milder = {"enforcement_mode__in": [EnforcementMode.OBSERVE, EnforcementMode.OFF]}
    named = [
        *Tenant.objects.filter(**milder).order_by("ati_id").values_list("ati_id", "enforcement_mode"),
        *Feature.objects.filter(**milder).order_by("code").values_list("code", "enforcement_mode"),
    ]
    found += [Watch(gate="ALL", whom=whom, mode=EnforcementMode(mode), since=None, reason="") for whom, mode in named]
    return found


def _read_log(reading: _Reading, tell: Tell) -> None:
    for tenant, what, is_overage, requests, first, last, cost in _pages(LOG, reading, tell):
        if what is not None:
            row = reading.let_through(tenant, what, is_overage)
            row.add(requests, instant_of(UUID(first)), instant_of(UUID(last)), cost=int(cost))


def _read_open(reading: _Reading) -> None:
    """What has not ended yet, whenever it began."""
    after, expires = UUID(int=0), datetime(1970, 1, 1, tzinfo=UTC)
    is_last = False
    while not is_last:
        page = _rows(OPEN, {"after": after, "expires": expires, "page": _PAGE, "tenant": _id(reading.tenant)})
        length, last, *_, until = page[0]
        is_last, after, expires = length < _PAGE, last, until
        for _, _, tenant, what, is_overage, requests, first, newest, _ in page:
            if what is not None:
                row = reading.let_through(tenant, what, is_overage)
                row.add(requests, instant_of(UUID(first)), instant_of(UUID(newest)), open_=requests)


def _read_denials(reading: _Reading) -> None:
    for tenant, code, count, first, last in _pages(DENIALS, reading, lambda _: None):
        row = reading.row(Kind.REFUSED, tenant, Code(code))
        row.add(int(count), instant_of(UUID(first)), last)
        reading.refused[row.tenant] += int(count)


def _count(reading: _Reading, tell: Tell) -> None:
    """What share of its tenant's requests each row is: of those that ended or were refused, and its own open ones."""
    requests = reading.refused.copy()
    for tenant, count in _pages(REQUESTS, reading, tell):
        requests[reading.names.get(tenant, str(tenant))] += count
    for row in reading.found.values():
        total = requests[row.tenant] + row.open
        row.share = row.requests / total if total else None


def _pages(query: str, reading: _Reading, tell: Tell) -> Iterator[tuple[Any, ...]]:
    """The rows of each page of [since, until), without what they say of the page itself: its length, its last id."""
    start, until = first_id_at(reading.since), first_id_at(reading.until)
    after, is_last = start, False
    while not is_last:
        page = _rows(query, {"after": after, "until": until, "page": _PAGE, "tenant": _id(reading.tenant)})
        length, last = page[0][:2] if page else (0, None)
        is_last = length < _PAGE
        if last is not None:
            after = UUID(int=last.int + 1)
            yield from (tuple(found) for _, _, *found in page)
        tell(1.0 if is_last else (after.int - start.int) / (until.int - start.int))


def _id(tenant: Tenant | None) -> UUID | None:
    return tenant.id if tenant else None


def _rows(query: str, about: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with database.short_statements():
        return database.rows(query, about)
