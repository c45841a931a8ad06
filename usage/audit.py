"""The audit: proves from the log and the reservations that every meter says what it should.

It reads tenant by tenant, each at one instant, and writes one column that is its own: `UsageMeter.verified_at`,
when a period that has ended is found right. Any later booking on that meter clears it.

The log only grows, so what was committed before an instant is summed before it, slice by slice; only the rest is
summed at the instant itself, which keeps every transaction short however large a tenant's log is.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from tenants import database, versions
from usage import audit_queries as sql
from usage.models import ReservationStatus

_LOG_SLICE = 20_000
_RESERVATION_SLICE = 5_000
_VERIFIED_TOGETHER = 1_000
# An audit runs each minute: what ended before was seen by the last ones.
_RECENT = timedelta(minutes=10)
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST, _GREATEST = UUID(int=0), UUID(int=2**128 - 1)

_ENDINGS = (ReservationStatus.COMMITTED, ReservationStatus.RELEASED, ReservationStatus.EXPIRED)

Codes = tuple[str, str, str | None, UUID | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One thing that is not as it must be. `tenant` None: it is about the database itself."""

    invariant: str
    tenant: UUID | None
    subject: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an audit found wrong, and how many rows it looked at."""

    breaches: tuple[Breach, ...]
    tenants: int
    meters: int
    reservations: int
    log_rows: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.breaches


@dataclass(slots=True)
class _Booked:
    """What log rows say, summed: per meter charge, overrun and how many rows changed it; and the codes they name."""

    meters: dict[UUID, list[Decimal]] = field(default_factory=dict)
    codes: set[Codes] = field(default_factory=set)
    rows: int = 0

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for is_meter, meter, feature, task, model_class, plan, charge, overrun, touching, count in rows:
            if not is_meter:
                self.codes.add((feature, task, model_class, plan))
                self.rows += count
            elif meter is not None:
                sums = self.meters.setdefault(meter, [Decimal(0)] * 3)
                for place, more in enumerate((charge, overrun, touching)):
                    sums[place] += more or 0

    def sums(self) -> dict[str, list[Any]]:
        rows = [(meter, *sums) for meter, sums in self.meters.items()]
        return _columns(rows, "meters", "charges", "overruns", "touching")


@dataclass(slots=True)
class _Tally:
    """A report in the making, and the sets of codes that the catalogue was found to have."""

    breaches: list[Breach] = field(default_factory=list)
    known: set[Codes] = field(default_factory=set)
    tenants: int = 0
    meters: int = 0
    reservations: int = 0
    log_rows: int = 0

    def add(self, tenant: UUID | None, invariant: str, subject: str, expected: str, found: str) -> None:
        self.breaches.append(
            Breach(invariant=invariant, tenant=tenant, subject=subject, expected=expected, found=found)
        )

    def add_codes(self, tenant: UUID, codes: set[Codes]) -> None:
        new = codes - self.known
        if new:
            lost = database.rows(sql.LOST_CODES, _columns(list(new), "features", "tasks", "classes", "plans"))
            for told in lost:
                self.add(tenant, *told)
            if not lost:
                self.known |= new


def _columns(rows: Sequence[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    """Rows as the named arrays that a query takes."""
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def audit(tenants: Iterable[UUID] | None = None, *, full: bool = False) -> Report:
    """Check the ledger of these tenants, or of all that it names.

    Meters of running periods always, those of an ended period until they were found right once; reservations that
    are open or ended within the last minutes; with `full` everything that is kept. Call it outside a transaction:
    inside one it cannot read at one instant, and writers at work look like breaches.
    """
    started = time.monotonic()
    tally = _Tally()
    chosen = None if tenants is None else list(tenants)
    _check_everywhere(tally)
    for tenant in _named() if chosen is None else chosen:
        _audit_tenant(tally, tenant, full=full)
    now = database.rows(sql.CLOCK)[0][0]
    _audit_reservations(tally, sql.OPEN, chosen, since=_ALWAYS, now=now)
    for ending in _ENDINGS:
        since = _ALWAYS if full else now - _RECENT
        _audit_reservations(tally, sql.ENDED, chosen, since=since, now=now, status=ending)
    return Report(
        breaches=tuple(tally.breaches),
        tenants=tally.tenants,
        meters=tally.meters,
        reservations=tally.reservations,
        log_rows=tally.log_rows,
        seconds=time.monotonic() - started,
    )


def _check_everywhere(tally: _Tally) -> None:
    """What is about no tenant: the constraints behind I1, and log rows that belong to no month."""
    for name in sql.CONSTRAINTS:
        if not database.rows(sql.CONSTRAINT, {"name": name}):
            tally.add(None, "I1", f"constraint {name}", "in force and validated", "it is not")
    stray = database.rows(sql.STRAY_ROWS)[0][0]
    if stray:
        tally.add(None, "PARTITION", "usage_usagelog_default", "no rows", f"{stray} rows")


def _named() -> list[UUID]:
    """Every tenant that the ledger names, whether it exists or not."""
    return sorted({row[0] for table in sql.TABLES for row in database.rows(sql.TENANTS_IN.format(table=table))})


def _audit_tenant(tally: _Tally, tenant: UUID, *, full: bool) -> None:
    about: dict[str, Any] = {"tenant": tenant, "full": full, "slice": _LOG_SLICE, "settled": "0"}
    exists, looked_at, *ended, about["first"], is_long, settled = database.rows(sql.START, about)[0]
    booked = _Booked()
    if is_long:
        about["settled"] = settled
        _add_settled(booked, about)
    with versions.one_instant():
        booked.add(database.rows(sql.BOOKED_SINCE, about))
        wrong = database.rows(sql.METERS, about | booked.sums())
    if not exists:
        tally.add(tenant, "ORPHAN", f"ledger of tenant {tenant}", "a tenant", "none")
    for _, invariant, *told in wrong:
        tally.add(tenant, invariant, *told)
    tally.add_codes(tenant, booked.codes)
    if full:
        for lost in database.rows(sql.LOST_EVENTS, about):
            tally.add(tenant, *lost)
    tally.tenants += 1
    tally.meters += looked_at
    tally.log_rows += booked.rows
    if ended[0]:
        _verify(tenant, zip(*ended, strict=True), {row[0] for row in wrong})


def _add_settled(booked: _Booked, about: Mapping[str, Any]) -> None:
    """Sum what is settled, slice by slice: nothing can be added to it any more."""
    start = about["first"]
    while ends := database.rows(sql.SLICE_END, {**about, "start": start}):
        booked.add(database.rows(sql.BOOKED_SLICE, {**about, "start": start, "end": ends[0][0]}))
        start = ends[0][0]
    booked.add(database.rows(sql.BOOKED_SLICE, {**about, "start": start, "end": _GREATEST}))


def _verify(tenant: UUID, ended: Iterable[tuple[Any, ...]], wrong: set[UUID]) -> None:
    """Mark the meters of ended periods (id, used, overrun, archived) that are right and still say the same."""
    right = [row for row in ended if row[0] not in wrong]
    for start in range(0, len(right), _VERIFIED_TOGETHER):
        said = _columns(right[start : start + _VERIFIED_TOGETHER], "ids", "used", "overruns", "archived")
        with connection.cursor() as cursor:
            cursor.execute(sql.VERIFY, {"tenant": tenant, **said})


def _audit_reservations(
    tally: _Tally, check: str, tenants: list[UUID] | None, *, since: datetime, now: datetime, status: str = "OPEN"
) -> None:
    """Slice by slice, each one statement, which sees a reservation and its log rows at the same instant."""
    after, after_id = since, _LEAST
    about = {"tenants": tenants, "now": now, "status": status, "slice": _RESERVATION_SLICE}
    while page := database.rows(check, {**about, "after": after, "after_id": after_id}):
        for _, reservation, tenant, invariant, expected, found in page:
            if invariant:
                tally.add(tenant, invariant, f"reservation {reservation}", expected, found)
        tally.reservations += len({row[1] for row in page})
        after, after_id = page[-1][:2]
