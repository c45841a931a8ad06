"""The audit: proves from the log and the reservations that every meter says what it should.

It reads tenant by tenant, each at one instant, and writes one column that is its own: `UsageMeter.verified_at`,
when a period that has ended is found right. Any later booking on that meter clears it.

The log only grows, so what was committed before an instant is summed before it, slice by slice; only the rest is
summed at the instant itself, which keeps every transaction short however large a tenant's log is.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from tenants import versions
from usage import audit_queries as sql

_LOG_SLICE = 50_000
_RESERVATION_SLICE = 5_000
_VERIFIED_TOGETHER = 1_000
# An audit runs each minute: what ended before was seen by the last ones.
_RECENT = timedelta(minutes=10)
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST = UUID(int=0)

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
class _Tally:
    """A report in the making."""

    breaches: list[Breach] = field(default_factory=list)
    tenants: int = 0
    meters: int = 0
    reservations: int = 0
    log_rows: int = 0

    def add(self, tenant: UUID, rows: Iterable[tuple[str, str, str, str]]) -> None:
        self.breaches += (
            Breach(invariant=invariant, tenant=tenant, subject=subject, expected=expected, found=found)
            for invariant, subject, expected, found in rows
        )


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

    def arrays(self) -> dict[str, list[Any]]:
        """As the parameters of the checks."""
        charges, overruns, touching = zip(*self.meters.values(), strict=True) if self.meters else ((), (), ())
        features, tasks, classes, plans = zip(*self.codes, strict=True) if self.codes else ((), (), (), ())
        found = {
            "meters": self.meters, "charges": charges, "overruns": overruns, "touching": touching,
            "features": features, "tasks": tasks, "classes": classes, "plans": plans,
        }  # fmt: skip
        return {name: list(values) for name, values in found.items()}


def audit(tenants: Iterable[UUID] | None = None, *, full: bool = False) -> Report:
    """Check the ledger of these tenants, or of all that it names.

    Meters of running periods always, those of an ended period until they were found right once; reservations that
    are open or ended within the last minutes; with `full` everything that is kept. Call it outside a transaction:
    inside one it cannot read at one instant, and writers at work look like breaches.
    """
    started = time.monotonic()
    tally = _Tally()
    chosen = None if tenants is None else list(tenants)
    tally.breaches += _everywhere()
    for tenant in _named() if chosen is None else chosen:
        _audit_tenant(tally, tenant, full=full)
    _audit_ended(tally, chosen, full=full)
    return Report(
        breaches=tuple(tally.breaches),
        tenants=tally.tenants,
        meters=tally.meters,
        reservations=tally.reservations,
        log_rows=tally.log_rows,
        seconds=time.monotonic() - started,
    )


def _everywhere() -> Iterator[Breach]:
    """What is about no tenant: the constraint behind I1, and log rows that belong to no month."""
    for name in sql.CONSTRAINTS:
        if not _rows(sql.CONSTRAINT, {"name": name}):
            yield _about_all("I1", f"constraint {name}", "in force and validated", "it is not")
    stray = _rows(sql.STRAY_ROWS)[0][0]
    if stray:
        yield _about_all("PARTITION", "usage_usagelog_default", "no rows", f"{stray} rows")


def _about_all(invariant: str, subject: str, expected: str, found: str) -> Breach:
    return Breach(invariant=invariant, tenant=None, subject=subject, expected=expected, found=found)


def _named() -> list[UUID]:
    """Every tenant that the ledger names, whether it exists or not."""
    return sorted({row[0] for table in sql.TABLES for row in _rows(sql.TENANTS_IN.format(table=table))})


def _audit_tenant(tally: _Tally, tenant: UUID, *, full: bool) -> None:
    about: dict[str, Any] = {"tenant": tenant, "full": full}
    exists, settled, first = _rows(sql.START, about)[0]
    about |= {"settled": settled, "first": first}
    booked = _Booked()
    _add_settled(booked, about)
    with versions.one_instant():
        about["now"] = _rows(sql.CLOCK)[0][0]
        booked.add(_rows(sql.BOOKED_SINCE, about))
        about |= booked.arrays()
        wrong_meters = _rows(sql.METERS, about)
        others = [row for check in (sql.LOST_METERS, sql.LOST_CODES, sql.OPEN) for row in _rows(check, about)]
        ended = _rows(sql.ENDED_METERS, about)
        meters, opened = _rows(sql.COUNTS, about)[0]
    if not exists:
        tally.add(tenant, [("ORPHAN", f"ledger of tenant {tenant}", "a tenant", "none")])
    tally.add(tenant, ((invariant, *told) for invariant, _, *told in wrong_meters))
    tally.add(tenant, others)
    if full:
        tally.add(tenant, _rows(sql.LOST_EVENTS, about))
    tally.tenants += 1
    tally.meters += meters
    tally.reservations += opened
    tally.log_rows += booked.rows
    wrong = {meter for _, meter, *_ in wrong_meters}
    _verify(tenant, [row for row in ended if row[0] not in wrong], about["now"])


def _add_settled(booked: _Booked, about: Mapping[str, Any]) -> None:
    """Sum what is settled from `first` on, a slice at a time: nothing can be added to it any more."""
    first = about["first"]
    while end := _rows(sql.SLICE_END, {**about, "first": first, "rows": _LOG_SLICE}):
        booked.add(_rows(sql.BOOKED_SLICE, {**about, "first": first, "end": end[0][0]}))
        first = end[0][0]
    booked.add(_rows(sql.BOOKED_SETTLED, {**about, "first": first}))


def _verify(tenant: UUID, right: list[tuple[UUID, int, int, int]], now: datetime) -> None:
    for start in range(0, len(right), _VERIFIED_TOGETHER):
        ids, used, overruns, archived = zip(*right[start : start + _VERIFIED_TOGETHER], strict=True)
        about = {"ids": list(ids), "used": list(used), "overruns": list(overruns), "archived": list(archived)}
        with connection.cursor() as cursor:
            cursor.execute(sql.VERIFY, {"tenant": tenant, "now": now, **about})


def _audit_ended(tally: _Tally, tenants: list[UUID] | None, *, full: bool) -> None:
    """Each reservation that ended has the one row of its end. A statement sees both at the same instant."""
    after, after_id = (_ALWAYS if full else _rows(sql.CLOCK)[0][0] - _RECENT), _LEAST
    while rows := _rows(
        sql.ENDED, {"after": after, "after_id": after_id, "tenants": tenants, "rows": _RESERVATION_SLICE}
    ):
        for tenant, reservation, _, status, is_right, found in rows:
            if not is_right:
                tally.add(tenant, [("I5", f"reservation {reservation}", f"{status}: one row that ends it so", found)])
        tally.reservations += len(rows)
        after, after_id = rows[-1][2], rows[-1][1]


def _rows(query: str, about: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, about)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
