"""Meters in memory: what one side of a simulation used and holds, in the periods that are under way."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from plans import periods
from plans.charges import Charge, Measure, PeriodKind
from plans.periods import Calendar, Period

MEASURES = (Measure.UNITS, Measure.REQUESTS, Measure.TOKENS, Measure.COST, Measure.SLOTS)
Amounts = tuple[int, ...]
"""One number for each of MEASURES."""

_FOR_EVER = 2**63
_PLACES = {measure: place for place, measure in enumerate(MEASURES)}
_MOST_BOUND = 20_000  # lists of meters kept ready


def instant(milliseconds: int) -> datetime:
    """The aware instant of milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(at: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return int(at.timestamp() * 1000)


class Meter:
    """One counter in one period."""

    __slots__ = ("period", "reserved", "since", "until", "used")

    def __init__(self, period: Period) -> None:
        self.period = period
        self.since = milliseconds(period.start)
        self.until = _FOR_EVER if period.end is None else milliseconds(period.end)
        self.used = 0
        self.reserved = 0


class Spot(NamedTuple):
    """A charge on its meter; `place` is its measure's in an Amounts."""

    meter: Meter
    place: int
    limit: int | None
    charge: Charge


@dataclass(frozen=True, slots=True)
class _Bound:
    until: int
    spots: tuple[Spot, ...]


class Meters:
    """The meters of one side, for calls in the order of time."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._periods: dict[PeriodKind, tuple[int, Period]] = {}
        self._meters: dict[tuple[object, ...], Meter] = {}
        self._bound: dict[tuple[str, str | None], _Bound] = {}

    def bind(self, task: str, user: str | None, at: int, charged: Iterable[Charge]) -> tuple[Spot, ...]:
        """The charges of a task on the meters under way at `at`, those of each user on the meters of this one."""
        found = self._bound.get((task, user))
        if found is not None and at < found.until:
            return found.spots
        spots = tuple([self._spot(charge, user, at) for charge in charged])
        if len(self._bound) >= _MOST_BOUND:
            self._bound.clear()
        until = min((spot.meter.until for spot in spots), default=_FOR_EVER)
        self._bound[task, user] = _Bound(until, spots)
        return spots

    def _spot(self, charge: Charge, user: str | None, at: int) -> Spot:
        name = (charge.feature, charge.task, charge.user and user, charge.measure, charge.period)
        meter = self._meters.get(name)
        if meter is None or at >= meter.until:
            meter = self._meters[name] = Meter(self._period(charge.period, at))
        return Spot(meter, _PLACES[charge.measure], charge.limit, charge)

    def _period(self, kind: PeriodKind, at: int) -> Period:
        until, period = self._periods.get(kind, (0, None))
        if period is None or at >= until:
            period = periods.period(kind, self._calendar, instant(at))
            until = _FOR_EVER if period.end is None else milliseconds(period.end)
            self._periods[kind] = until, period
            if kind == PeriodKind.DAY:
                self._forget(at)
        return period

    def _forget(self, at: int) -> None:
        """Drops the meters of periods that are over. What still holds of one knows it by itself."""
        self._meters = {name: meter for name, meter in self._meters.items() if at < meter.until}


def hold(spots: Iterable[Spot], amounts: Amounts) -> None:
    """Takes what a permit holds from its meters."""
    for meter, place, _, _ in spots:
        meter.reserved += amounts[place]


def settle(spots: Iterable[Spot], amounts: Amounts, used: Amounts) -> None:
    """Gives back what was held, and books what was used."""
    for meter, place, _, _ in spots:
        meter.reserved -= amounts[place]
        meter.used += used[place]


def book(spots: Iterable[Spot], used: Amounts, occurred: int) -> None:
    """Books usage that nothing was held for, where its period is the one under way."""
    for meter, place, _, _ in spots:
        if meter.since <= occurred < meter.until:
            meter.used += used[place]
