"""The days or hours that are shown: how each is called, and where in the chart an instant lies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from plans import periods
from plans.periods import Calendar
from usage.pages.explore.ranges import day_of

_HOURS_WITHOUT_DAYS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of them: `key` for programs, `name` in a table, `tick` under a bar."""

    key: str
    name: str
    tick: str


def named(starts: Sequence[datetime], step: str, calendar: Calendar, zone: ZoneInfo) -> tuple[Part, ...]:
    """The parts that begin at these instants; their names have the year where there are two of them."""
    days = [day_of(calendar, start) for start in starts]
    year = " %Y" if days and days[0].year != days[-1].year else ""
    if step == "day":
        return tuple(_day(at, year) for at in days)
    is_long = len(starts) > _HOURS_WITHOUT_DAYS
    return tuple(_hour(start.astimezone(zone), year, is_long=is_long) for start in starts)


def _day(at: date, year: str) -> Part:
    return Part(key=at.isoformat(), name=f"{at:%a} {at.day} {at:%b{year}}", tick=f"{at.day} {at:%b}")


def _hour(local: datetime, year: str, *, is_long: bool) -> Part:
    clock, at = f"{local:%H:%M}", f"{local.day} {local:%b}"
    return Part(
        key=local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        name=f"{local:%a} {local.day} {local:%b{year}}, {clock}",
        tick=f"{at} {clock}" if is_long else at if local.hour == 0 else clock,
    )


def period_ends(starts: Sequence[datetime], until: datetime, calendar: Calendar) -> Iterator[datetime]:
    """The instants in (the first start, until] at which a period of the tenant ends."""
    at = periods.month_end(calendar, starts[0])
    while at <= until:
        yield at
        at = periods.month_end(calendar, at)


def place_of(at: datetime, starts: Sequence[datetime], until: datetime) -> float:
    """Where an instant lies on an axis on which the middle of part 0 is 0 and that of part 1 is 1."""
    ends = [*starts[1:], until]
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if at < end:
            return round(place - 0.5 + max(0.0, (at - start) / (end - start)), 4)
    return len(starts) - 0.5
