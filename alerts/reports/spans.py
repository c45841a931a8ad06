"""Which week or month a report is of, and when it is sent. Pure: no query, no clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.models import Report
from alerts.waiting import MORNING
from plans import periods
from plans.charges import PeriodKind
from plans.periods import Calendar

_TICK, _HALF_A_DAY, _WEEK = timedelta(microseconds=1), timedelta(hours=12), timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """[since, until) of whole days of the tenant; `zone` is the one in force when it ended."""

    since: datetime
    until: datetime
    zone: ZoneInfo

    @property
    def due_at(self) -> datetime:
        """When its report is sent: the morning after it."""
        return datetime.combine(self.until.astimezone(self.zone).date(), MORNING, self.zone).astimezone(UTC)


def last_ended(report: Report, calendar: Calendar, now: datetime) -> Span:
    """The last one that is over."""
    return _before(report, calendar, _around(report, calendar, now).since)


def before(report: Report, calendar: Calendar, span: Span) -> Span:
    """The one before another."""
    return _before(report, calendar, span.since)


def _before(report: Report, calendar: Calendar, end: datetime) -> Span:
    found = _around(report, calendar, end - _TICK)
    return Span(since=found.since, until=end, zone=calendar.zone_at(end))


def _around(report: Report, calendar: Calendar, at: datetime) -> Span:
    """The tenant's month, or the week from Monday to Sunday, that an instant is in."""
    zone = calendar.zone_at(at)
    if report == Report.MONTHLY:
        month = periods.period(PeriodKind.MONTH, calendar, at)
        assert month.end is not None  # noqa: S101 - a month ends
        return Span(since=month.start, until=month.end, zone=zone)
    local = at.astimezone(zone)
    monday = local.date() - timedelta(days=local.weekday())
    since, until = (
        periods.period(PeriodKind.DAY, calendar, datetime.combine(day, datetime.min.time(), zone) + _HALF_A_DAY).start
        for day in (monday, monday + _WEEK)
    )
    return Span(since=since, until=until, zone=zone)
