"""Periods tile time, in every zone and with every anchor."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plans.charges import PeriodKind
from plans.periods import (
    EPOCH,
    Calendar,
    CalendarChange,
    Period,
    month_end,
    period,
    zones,
)
from tests.plans.calendars import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    OPEN,
    TICK,
    ZONES,
    assert_tiles,
    bounds,
    calendars,
    instants,
    local_kinds,
    utc,
)

# --- tiling


@given(local_kinds, calendars, instants)
def test_days_and_months_contain_their_instant_and_tile_time(
    kind: PeriodKind, calendar: Calendar, at: datetime
) -> None:
    """Defect 50: whoever asks, at whatever moment of a period, gets the same window."""
    assert_tiles(kind, calendar, at)


@given(calendars, instants)
def test_a_month_is_made_of_whole_days(calendar: Calendar, at: datetime) -> None:
    start, end = bounds(period(MONTH, calendar, at))
    assert period(DAY, calendar, start).start == start
    assert period(DAY, calendar, end).start == end
    assert month_end(calendar, at) == end


@given(calendars, instants)
def test_minutes_and_open_are_the_same_for_every_tenant(calendar: Calendar, at: datetime) -> None:
    start, end = bounds(period(MINUTE, calendar, at))
    assert start <= at < end
    assert (start.second, start.microsecond, end - start) == (0, 0, timedelta(minutes=1))
    assert period(OPEN, calendar, at) == Period(kind=OPEN, start=EPOCH, end=None)


@given(local_kinds, calendars, instants, st.sampled_from(ZONES))
def test_the_zone_in_which_an_instant_is_written_does_not_matter(
    kind: PeriodKind, calendar: Calendar, at: datetime, written_in: str
) -> None:
    """Defect 21: no server time, no UTC day with a local window."""
    found = period(kind, calendar, at.astimezone(ZoneInfo(written_in)))
    assert found == period(kind, calendar, at)
    assert found.start.tzinfo is UTC


# --- days


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("Asia/Kolkata", utc(2026, 11, 24, 18, 30), utc(2026, 11, 24, 18, 30), None),
        ("Asia/Kolkata", utc(2026, 11, 24, 18, 29), utc(2026, 11, 23, 18, 30), None),
        ("Asia/Kathmandu", utc(2026, 11, 24, 18, 15), utc(2026, 11, 24, 18, 15), None),
        ("Pacific/Auckland", utc(2026, 11, 24, 10, 59), utc(2026, 11, 23, 11), None),
        ("America/New_York", utc(2026, 11, 24, 4, 59), utc(2026, 11, 23, 5), None),
        # 23 and 25 hours; half an hour on Lord Howe.
        ("Europe/Berlin", utc(2026, 3, 29, 12), utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)),
        ("Europe/Berlin", utc(2026, 10, 25, 12), utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
        (
            "Australia/Lord_Howe",
            utc(2026, 4, 4, 20),
            utc(2026, 4, 4, 13),
            utc(2026, 4, 5, 13, 30),
        ),
    ],
)
def test_a_day_is_the_tenants_own_local_day(zone: str, at: datetime, start: datetime, end: datetime | None) -> None:
    """Defect 21: the key of a day and its window come from one zone, east and west of UTC."""
    found = period(DAY, Calendar(zone, 1), at)
    assert bounds(found) == (start, end or start + timedelta(days=1))


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("America/Sao_Paulo", date(2018, 11, 4), utc(2018, 11, 4, 3)),
        ("America/Havana", date(2026, 3, 8), utc(2026, 3, 8, 5)),
        ("Asia/Beirut", date(2026, 3, 29), utc(2026, 3, 28, 22)),
        ("Africa/Cairo", date(2026, 4, 24), utc(2026, 4, 23, 22)),
        # Clocks went from 23:30 to 00:30: the first instant of the date is 00:30.
        ("America/Toronto", date(1919, 3, 31), utc(1919, 3, 31, 4, 30)),
    ],
)
def test_a_day_without_a_midnight_starts_at_its_first_instant(zone: str, day: date, start: datetime) -> None:
    calendar = Calendar(zone, 1)
    local = start.astimezone(ZoneInfo(zone))
    assert local.date() == day
    assert local.hour == 1 or local.minute == 30
    assert period(DAY, calendar, start).start == start
    assert period(DAY, calendar, start - TICK).end == start
    assert start - period(DAY, calendar, start - TICK).start in (24 * HOUR, 23.5 * HOUR)


def test_a_date_that_a_zone_skipped_is_nobodys_day() -> None:
    apia = Calendar("Pacific/Apia", 30)
    skip = utc(2011, 12, 30, 10)
    assert bounds(period(DAY, apia, skip - TICK)) == (skip - 24 * HOUR, skip)
    assert bounds(period(DAY, apia, skip)) == (skip, skip + 24 * HOUR)
    assert period(MONTH, apia, skip).start == skip


def test_an_hour_that_repeats_the_old_date_stays_in_the_new_day() -> None:
    """St. John's went back from 00:01 to 23:01: the date runs 7, 6, 7, the day only 7."""
    calendar = Calendar("America/St_Johns", 1)
    start = utc(2010, 11, 7, 2, 30)
    again = start + 30 * timedelta(minutes=1)
    assert again.astimezone(ZoneInfo("America/St_Johns")).date() == date(2010, 11, 6)
    assert bounds(period(DAY, calendar, again)) == (start, start + 25 * HOUR)


# --- months


@given(calendars, instants)
@example(Calendar("UTC", 31), utc(2024, 2, 29, 12))
@example(Calendar("UTC", 31), utc(2026, 2, 28, 12))
@example(Calendar("UTC", 30), utc(2026, 3, 1))
@example(Calendar("UTC", 29), utc(2026, 2, 28))
def test_a_month_starts_on_its_anchor_or_on_the_last_day(calendar: Calendar, at: datetime) -> None:
    """Defect 49."""
    zone = ZoneInfo(calendar.timezone)
    start, end = bounds(period(MONTH, calendar, at))
    for edge in (start, end):
        local = edge.astimezone(zone).date()
        is_last_day = (local + timedelta(days=1)).day == 1
        skipped = local - timedelta(days=1) == date(2011, 12, 30)
        assert local.day == calendar.anchor_day or is_last_day or skipped
        assert local.day <= calendar.anchor_day or skipped
    assert timedelta(days=28) - HOUR <= end - start <= timedelta(days=31) + HOUR


@pytest.mark.parametrize(
    ("anchor", "year", "starts"),
    [
        (31, 2026, ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31"]),
        (31, 2024, ["01-31", "02-29", "03-31", "04-30"]),
        (30, 2026, ["01-30", "02-28", "03-30", "04-30"]),
        (29, 2026, ["01-29", "02-28", "03-29"]),
        (29, 2024, ["01-29", "02-29", "03-29"]),
        (1, 2026, ["01-01", "02-01", "03-01"]),
    ],
)
def test_an_anchor_at_a_months_end_never_drifts(anchor: int, year: int, starts: list[str]) -> None:
    """Defect 49: from 28 February back to the 31st in March, month after month."""
    calendar = Calendar("UTC", anchor)
    at = datetime.fromisoformat(f"{year}-{starts[0]}T00:00:00+00:00")
    for expected in starts:
        assert f"{period(MONTH, calendar, at).start:%m-%d}" == expected
        at = month_end(calendar, at)


def test_an_anchored_month_starts_at_local_midnight() -> None:
    auckland = Calendar("Pacific/Auckland", 15)
    assert bounds(period(MONTH, auckland, utc(2026, 4, 1))) == (
        utc(2026, 3, 14, 11),
        utc(2026, 4, 14, 12),
    )


# --- values that cannot be built wrong


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "America", "../UTC", "/etc/localtime"])
def test_a_calendar_refuses_a_zone_that_is_not_one(zone: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        Calendar(zone, 1)
    with pytest.raises(ValueError, match="unknown time zone"):
        CalendarChange(timezone=zone, anchor_day=1, at=EPOCH)


def test_the_servers_own_zone_is_not_a_zone() -> None:
    """Defect 21: a window in server time."""
    assert "localtime" not in zones()
    assert set(ZONES) <= zones()


@pytest.mark.parametrize("anchor", [-1, 0, 32])
def test_a_calendar_refuses_an_anchor_outside_1_to_31(anchor: int) -> None:
    with pytest.raises(ValueError, match="anchor day"):
        Calendar("UTC", anchor)


def test_naive_times_are_refused() -> None:
    naive = datetime(2026, 11, 24)  # noqa: DTZ001 - the point of the test
    for kind in PeriodKind:
        with pytest.raises(ValueError, match="aware"):
            period(kind, Calendar("UTC", 1), naive)
    with pytest.raises(ValueError, match="aware"):
        CalendarChange(timezone="UTC", anchor_day=1, at=naive)
    with pytest.raises(ValueError, match="aware"):
        Calendar("UTC", 1, since=naive)


def test_a_change_before_the_last_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"next\.at"):
        Calendar(
            "UTC",
            1,
            since=EPOCH,
            next=CalendarChange(timezone="UTC", anchor_day=2, at=EPOCH),
        )


def test_a_period_cannot_be_empty_and_only_open_has_no_end() -> None:
    with pytest.raises(ValueError, match="OPEN"):
        Period(kind=DAY, start=EPOCH, end=None)
    with pytest.raises(ValueError, match="OPEN"):
        Period(kind=OPEN, start=EPOCH, end=EPOCH + HOUR)
    with pytest.raises(ValueError, match="ends after"):
        Period(kind=DAY, start=EPOCH, end=EPOCH)


def test_a_calendar_has_the_zone_of_its_change_from_that_instant_on() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)
    calendar = Calendar("UTC", 1, next=CalendarChange(timezone="Asia/Kolkata", anchor_day=1, at=at))
    assert str(calendar.zone_at(at - timedelta(microseconds=1))) == "UTC"
    assert str(calendar.zone_at(at)) == "Asia/Kolkata"
    assert str(Calendar("Asia/Kathmandu", 31).zone_at(at)) == "Asia/Kathmandu"
