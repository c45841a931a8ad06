"""The time that is looked at, in the tenant's days, and the time before that it is compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from plans import periods
from plans.charges import PeriodKind
from plans.periods import Calendar

PRESETS = {
    "today": "Today",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
    "period": "This period",
    "last_period": "Last period",
    "custom": "Own days",
}
"""By their name in the address."""

MOST_DAYS = 366
MOST_DAYS_BY_HOUR = 14
EARLIEST = date(2000, 1, 1)

_DAY = timedelta(days=1)
_SLOT = timedelta(minutes=15)
_TICK = timedelta(microseconds=1)
_COUNTED = {"7d": 7, "30d": 30, "90d": 90}


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """[since, until), the days `first` to `last` of the tenant, and what comes before it for as long.

    Of a range that is still running what is before is as long as what has passed of it. `before` says it in words,
    to stand behind “against”.
    """

    first: date
    last: date
    since: datetime
    until: datetime
    earlier_since: datetime
    earlier_until: datetime
    before: str

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def is_running(self, now: datetime) -> bool:
        """Whether more may come."""
        return now < self.until


def preset(name: str, calendar: Calendar, now: datetime) -> Range:
    """The range of a preset's name, except “custom”."""
    if name in ("period", "last_period"):
        month = periods.period(PeriodKind.MONTH, calendar, now)
        if name == "last_period":
            month = periods.period(PeriodKind.MONTH, calendar, month.start - _TICK)
        assert month.end is not None  # noqa: S101 - a month ends
        earlier = periods.period(PeriodKind.MONTH, calendar, month.start - _TICK)
        return _range(
            day_of(calendar, month.start), day_of(calendar, month.end - _TICK), calendar, now,
            lambda days: "the period before", earlier=earlier.start,
        )  # fmt: skip
    today = day_of(calendar, now)
    return _range(today - (_COUNTED.get(name, 1) - 1) * _DAY, today, calendar, now, _days_before)


def custom(first: date, last: date, calendar: Calendar, now: datetime) -> Range:
    """The days from `first` to `last`, both included."""
    return _range(first, last, calendar, now, _days_before)


def last_day(calendar: Calendar, now: datetime) -> date:
    """The last day of the running period, which is as far as one can look ahead."""
    return day_of(calendar, periods.month_end(calendar, now) - _TICK)


def day_of(calendar: Calendar, at: datetime) -> date:
    """The tenant's day at an instant."""
    found = periods.period(PeriodKind.DAY, calendar, at)
    assert found.end is not None  # noqa: S101 - a day ends
    # By its middle: where a change of zone made a day longer, its beginning may bear the date of the one before.
    middle = found.start + (found.end - found.start) / 2
    return middle.astimezone(calendar.zone_at(middle)).date()


def _range(
    first: date,
    last: date,
    calendar: Calendar,
    now: datetime,
    before: Callable[[int], str],
    earlier: datetime | None = None,
) -> Range:
    since, until = _start(calendar, first), _start(calendar, last + _DAY)
    days = (last - first).days + 1
    earlier_since = _start(calendar, first - days * _DAY) if earlier is None else earlier
    earlier_until = since
    if now < until:
        passed = max(timedelta(0), now - since)
        earlier_until = min(since, earlier_since + passed + (-passed % _SLOT))
    elif earlier is not None:
        earlier_until = min(since, _start(calendar, day_of(calendar, earlier) + days * _DAY))
    return Range(
        first=first, last=last, since=since, until=until, earlier_since=earlier_since,
        earlier_until=max(earlier_since, earlier_until), before=before(days),
    )  # fmt: skip


def _days_before(days: int) -> str:
    return "the day before" if days == 1 else f"the {days} days before"


def _start(calendar: Calendar, day: date) -> datetime:
    """The instant at which a day of the tenant begins."""
    noon = datetime.combine(day, time(12), tzinfo=UTC)
    local = noon.replace(tzinfo=calendar.zone_at(noon))
    return periods.period(PeriodKind.DAY, calendar, local).start
