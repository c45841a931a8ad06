"""Calendars, instants and what must hold of a period: shared by the tests of periods."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from plans.charges import PeriodKind
from plans.periods import EPOCH, Calendar, Period, period

MINUTE, DAY, MONTH, OPEN = PeriodKind.MINUTE, PeriodKind.DAY, PeriodKind.MONTH, PeriodKind.OPEN
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)

# Half-hour and 45-minute offsets, both hemispheres, clocks that change at or over midnight, a
# half-hour change, and the date line crossed.
ZONES = [
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/New_York",
    "America/Havana",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
    "Europe/Berlin",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Gaza",
]

instants = st.timedeltas(timedelta(days=365), timedelta(days=33_000)).map(lambda age: EPOCH + age)
calendars = st.builds(Calendar, st.sampled_from(ZONES), st.integers(1, 31))
local_kinds = st.sampled_from([DAY, MONTH])


def bounds(found: Period) -> tuple[datetime, datetime]:
    assert found.end is not None
    return found.start, found.end


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def assert_tiles(kind: PeriodKind, calendar: Calendar, at: datetime) -> None:
    start, end = bounds(period(kind, calendar, at))
    assert start <= at < end
    for inside in (start, start + (end - start) / 3, end - TICK):
        assert bounds(period(kind, calendar, inside)) == (start, end)
    assert period(kind, calendar, end).start == end
    assert period(kind, calendar, start - TICK).end == start
