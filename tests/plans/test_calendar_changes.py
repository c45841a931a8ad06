"""A tenant's zone or anchor may change: time stays tiled, and no change gives a second quota."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from plans.charges import PeriodKind
from plans.periods import Calendar, CalendarChange, changed, period
from tests.plans.calendars import (
    DAY,
    HOUR,
    MONTH,
    TICK,
    ZONES,
    assert_tiles,
    bounds,
    calendars,
    instants,
    local_kinds,
    utc,
)


@st.composite
def changing_calendars(draw: st.DrawFn) -> Calendar:
    """A calendar with a change to come, and often one behind it, as an operator makes them."""
    calendar = draw(calendars)
    now = draw(instants)
    for _ in range(draw(st.integers(1, 3))):
        zone, anchor = draw(st.sampled_from(ZONES)), draw(st.integers(1, 31))
        calendar = changed(calendar, zone, anchor, now)
        assert calendar.next is not None
        now = calendar.next.at + draw(st.timedeltas(timedelta(0), timedelta(days=40)))
    return calendar


@given(local_kinds, changing_calendars(), st.timedeltas(timedelta(-200), timedelta(200)))
@example(DAY, changed(Calendar("UTC", 1), "America/New_York", 1, utc(2026, 10, 20)), timedelta(0))
@example(MONTH, changed(Calendar("UTC", 1), "UTC", 15, utc(2026, 10, 20)), timedelta(0))
def test_periods_tile_across_changes_of_calendar(kind: PeriodKind, calendar: Calendar, away: timedelta) -> None:
    """Defect 50."""
    assert calendar.next is not None
    at = calendar.next.at + away
    assert_tiles(kind, calendar, at)
    assert_tiles(kind, calendar, calendar.next.at)
    assert_tiles(kind, calendar, calendar.next.at - TICK)
    if calendar.since is not None:
        assert_tiles(kind, calendar, calendar.since)
        assert_tiles(kind, calendar, calendar.since - TICK)


@given(changing_calendars())
def test_no_change_of_calendar_gives_a_second_quota(calendar: Calendar) -> None:
    """A change never cuts the running month, and what follows it is not shorter than a period."""
    assert calendar.next is not None
    at = calendar.next.at
    old = Calendar(calendar.timezone, calendar.anchor_day, since=calendar.since)
    for kind, shortest in ((DAY, 22 * HOUR), (MONTH, timedelta(days=26))):
        assert period(kind, calendar, at - TICK) == period(kind, old, at - TICK)
        first = period(kind, calendar, at)
        length = bounds(first)[1] - first.start
        new = Calendar(calendar.next.timezone, calendar.next.anchor_day)
        assert first.start == at
        assert length >= shortest or first == period(kind, new, at)
        assert bounds(first)[1] == period(kind, new, bounds(first)[1]).start


@given(changing_calendars(), st.timedeltas(timedelta(0), timedelta(days=60)))
def test_folding_a_change_in_keeps_the_period_that_is_running(calendar: Calendar, after: timedelta) -> None:
    """Another edit, before or after the first took force, moves no start that is in use."""
    assert calendar.next is not None
    now = calendar.next.at + after
    edited = changed(calendar, "Asia/Kolkata", 7, now)
    assert edited.since == calendar.next.at
    for kind in (DAY, MONTH):
        assert period(kind, edited, now) == period(kind, calendar, now)


def test_a_change_that_has_not_come_is_replaced_and_keeps_its_instant() -> None:
    now = utc(2026, 11, 24)
    first = changed(Calendar("UTC", 1), "Asia/Kolkata", 15, now)
    second = changed(first, "Europe/Berlin", 10, now + HOUR)
    assert second == Calendar(
        "UTC", 1, next=CalendarChange(timezone="Europe/Berlin", anchor_day=10, at=utc(2026, 12, 1))
    )


def test_a_change_of_zone_alone_never_doubles_a_month() -> None:
    east = changed(Calendar("UTC", 1), "Pacific/Kiritimati", 1, utc(2026, 1, 20))
    assert bounds(period(MONTH, east, utc(2026, 2, 1))) == (
        utc(2026, 2, 1),
        utc(2026, 2, 28, 10),
    )
    west = changed(Calendar("UTC", 1), "America/New_York", 1, utc(2026, 1, 20))
    assert bounds(period(MONTH, west, utc(2026, 2, 1))) == (utc(2026, 2, 1), utc(2026, 3, 1, 5))
    assert bounds(period(DAY, west, utc(2026, 2, 1))) == (utc(2026, 2, 1), utc(2026, 2, 2, 5))


def test_a_new_anchor_makes_one_longer_month_rather_than_a_short_one() -> None:
    calendar = changed(Calendar("UTC", 1), "UTC", 15, utc(2026, 10, 20))
    assert bounds(period(MONTH, calendar, utc(2026, 10, 31))) == (
        utc(2026, 10, 1),
        utc(2026, 11, 1),
    )
    assert bounds(period(MONTH, calendar, utc(2026, 11, 20))) == (
        utc(2026, 11, 1),
        utc(2026, 12, 15),
    )
    assert period(MONTH, calendar, utc(2026, 12, 15)).start == utc(2026, 12, 15)


@given(local_kinds, calendars, calendars, instants)
def test_a_change_at_any_other_instant_still_tiles(
    kind: PeriodKind, calendar: Calendar, new: Calendar, at: datetime
) -> None:
    """Rules of time zones change, so an instant that was a month's end need not stay one."""
    change = CalendarChange(timezone=new.timezone, anchor_day=new.anchor_day, at=at)
    for instant in (at - TICK, at):
        assert_tiles(kind, replace(calendar, next=change), instant)
