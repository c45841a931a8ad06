"""The periods over which quotas count: one definition for checks, pages, alerts and resets.

Every period is [start, end) in aware UTC. A tenant's days and months follow its own calendar and
tile time: each instant lies in exactly one day and one month, and a month is made of whole days.
"""

from calendar import monthrange
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from plans.charges import PeriodKind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The time zones a calendar may name: the IANA names that this machine knows.

    `localtime`, which some systems list, is left out: it is whatever the server is set to.
    """
    return frozenset(available_timezones() - {"localtime"})


def _require_zone_and_anchor(timezone: str, anchor_day: int) -> None:
    if timezone not in zones():
        raise ValueError(f"unknown time zone {timezone!r}")
    if not 1 <= anchor_day <= 31:
        raise ValueError(f"anchor day {anchor_day} is not in 1..31")


def _require_aware(name: str, at: datetime) -> None:
    if at.utcoffset() is None:
        raise ValueError(f"{name} must be an aware datetime")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarChange:
    """The calendar that follows at the instant `at`, the end of a month under the one before."""

    timezone: str
    anchor_day: int
    at: datetime

    def __post_init__(self) -> None:
        _require_zone_and_anchor(self.timezone, self.anchor_day)
        _require_aware("at", self.at)


@dataclass(frozen=True, slots=True)
class Calendar:
    """How a tenant's days and months fall.

    `anchor_day` (1..31, clamped at a month's end) is the local day on which its months begin.
    `since` is where an earlier change put this calendar in force; no period crosses it. `next` is
    a change still to come, or one that has come and is not folded in yet (see `changed`).
    """

    timezone: str
    anchor_day: int
    since: datetime | None = field(default=None, kw_only=True)
    next: CalendarChange | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _require_zone_and_anchor(self.timezone, self.anchor_day)
        if self.since is not None:
            _require_aware("since", self.since)
            if self.next is not None and self.next.at <= self.since:
                raise ValueError("next.at must come after since")

    def zone_at(self, at: datetime) -> ZoneInfo:
        """The zone in force at an instant."""
        return ZoneInfo(self.next.timezone if self.next is not None and at >= self.next.at else self.timezone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """[start, end) in UTC; `end` is None for OPEN alone."""

    kind: PeriodKind
    start: datetime
    end: datetime | None

    def __post_init__(self) -> None:
        if (self.end is None) != (self.kind is PeriodKind.OPEN):
            raise ValueError("OPEN, and nothing else, has no end")
        if self.end is not None and self.end <= self.start:
            raise ValueError("a period ends after its start")


_OPEN = Period(kind=PeriodKind.OPEN, start=EPOCH, end=None)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)

# The first period after a change of calendar begins at the change and ends where the new calendar
# says. Were it much shorter than a normal one, the change would give a second quota: it takes in
# the next one instead. Limits: a day of 23 hours with an hour to spare; a month of 28 days less
# the 26 hours by which two zones can differ, so that a change of zone alone never doubles a month.
_SHORTEST_FIRST = {PeriodKind.DAY: timedelta(hours=22), PeriodKind.MONTH: timedelta(days=26)}


def period(kind: PeriodKind, calendar: Calendar, at: datetime) -> Period:
    """The period of `kind` that contains the aware instant `at`.

    MINUTE and OPEN are the same for every calendar. A day begins at the first instant of its
    local date, so it lasts 23 or 25 hours where clocks change. ValueError for a naive `at`.
    """
    _require_aware("at", at)
    if kind is PeriodKind.OPEN:
        return _OPEN
    at = at.astimezone(UTC)
    if kind is PeriodKind.MINUTE:
        start = at.replace(second=0, microsecond=0)
        return Period(kind=kind, start=start, end=start + _MINUTE)
    change = calendar.next
    if change is not None and at >= change.at:
        return _since(kind, change.timezone, change.anchor_day, at, change.at)
    found = _since(kind, calendar.timezone, calendar.anchor_day, at, calendar.since)
    if change is not None and found.end is not None and found.end > change.at:
        return replace(found, end=change.at.astimezone(UTC))
    return found


def month_end(calendar: Calendar, at: datetime) -> datetime:
    """The end of the tenant's month that is running at `at`, in UTC."""
    end = period(PeriodKind.MONTH, calendar, at).end
    assert end is not None  # noqa: S101 - Period holds it
    return end


def changed(calendar: Calendar, timezone: str, anchor_day: int, now: datetime) -> Calendar:
    """The calendar to store when an operator changes zone or anchor at `now`.

    The change takes force at the end of the running month, in place of one still to come; one
    that has come already is folded in first. Periods up to that instant stay as they were.
    """
    due = calendar.next
    if due is not None and now >= due.at:
        calendar = Calendar(due.timezone, due.anchor_day, since=due.at)
    running = replace(calendar, next=None)
    at = month_end(running, now)
    return replace(running, next=CalendarChange(timezone=timezone, anchor_day=anchor_day, at=at))


def _since(kind: PeriodKind, timezone: str, anchor_day: int, at: datetime, since: datetime | None) -> Period:
    """The period at `at` under one zone and anchor, cut at `since`."""
    start, end = _bounds(kind, timezone, anchor_day, at)
    if since is not None:
        since = since.astimezone(UTC)
        if at < since:
            end = min(end, since)
        else:
            first_end = _first_end(kind, timezone, anchor_day, since)
            if at < first_end:
                start, end = since, first_end
    return Period(kind=kind, start=start, end=end)


@lru_cache(maxsize=4096)
def _first_end(kind: PeriodKind, timezone: str, anchor_day: int, since: datetime) -> datetime:
    start, end = _bounds(kind, timezone, anchor_day, since)
    if start == since or end - since >= _SHORTEST_FIRST[kind]:
        return end
    return _bounds(kind, timezone, anchor_day, end)[1]


def _bounds(kind: PeriodKind, timezone: str, anchor_day: int, at: datetime) -> tuple[datetime, datetime]:
    day = _day_of(timezone, at)
    if kind is PeriodKind.DAY:
        return _day_start(timezone, day), _day_start(timezone, day + _DAY)
    first, following = _month_of(anchor_day, day)
    return _day_start(timezone, first), _day_start(timezone, following)


def _day_of(timezone: str, at: datetime) -> date:
    """The date whose day contains `at`.

    Mostly the local date; not where clocks go back over midnight (St. John's until 2011), for an
    hour that bears the old date again, nor where a whole date was skipped (Apia, 2011-12-30).
    """
    day = at.astimezone(ZoneInfo(timezone)).date()
    while at >= _day_start(timezone, day + _DAY):
        day += _DAY
    return day


@lru_cache(maxsize=16384)
def _day_start(timezone: str, day: date) -> datetime:
    """The first instant, in UTC, at which the zone's clocks show `day` or a later date."""
    zone = ZoneInfo(timezone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    late = midnight.astimezone(UTC)
    if late.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return late
    # Midnight does not exist: clocks jump over it somewhere between its two readings.
    early = midnight.replace(fold=1).astimezone(UTC)
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).date() < day:
            early = middle
        else:
            late = middle
    return late


@lru_cache(maxsize=4096)
def _month_of(anchor_day: int, day: date) -> tuple[date, date]:
    """The first date of the anchored month that contains `day`, and of the one after it.

    Each is worked out from the anchor itself, never from its neighbour: day 31 becomes 28 in
    February and is 31 again in March.
    """
    index = day.year * 12 + day.month - 1
    if day < _anchored(index, anchor_day):
        index -= 1
    return _anchored(index, anchor_day), _anchored(index + 1, anchor_day)


def _anchored(index: int, anchor_day: int) -> date:
    """The anchor day in month `index`, counted from year 0."""
    year, month = index // 12, index % 12 + 1
    return date(year, month, min(anchor_day, monthrange(year, month)[1]))
