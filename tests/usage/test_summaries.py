"""Days and hours that sums are grouped by: they tile the range, and their names follow each other."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from plans import periods
from plans.periods import Calendar
from tests.plans.calendars import DAY, MONTH, TICK, ZONES, calendars, instants, utc
from usage import summaries

NOW = utc(2026, 11, 24, 10)


@given(calendars, instants, st.integers(1, 366), st.sampled_from(ZONES), st.integers(1, 31))
def test_days_tile_a_range_and_bear_their_dates(
    calendar: Calendar, at: datetime, days: int, zone: str, anchor: int
) -> None:
    """Across a change of the tenant's zone too, where two days may bear one date."""
    changed = periods.changed(calendar, zone, anchor, at)
    since, until = at - timedelta(days=days // 2), at + timedelta(days=days - days // 2)
    found = list(summaries.parts(summaries.Question(group_by="day", since=since, until=until, calendar=changed)))
    starts, names = [start for start, _ in found], [name for _, name in found]
    assert starts[0] <= since < until
    assert starts == sorted(set(starts))
    assert names == sorted(names)
    for start, following in pairwise(starts):
        assert periods.period(DAY, changed, following - TICK).start == start


@given(calendars, instants, st.integers(1, 31))
def test_hours_begin_where_the_local_clock_strikes(calendar: Calendar, at: datetime, days: int) -> None:
    until = at + timedelta(days=days)
    found = list(summaries.parts(summaries.Question(group_by="hour", since=at, until=until, calendar=calendar)))
    starts, names = [start for start, _ in found], [name for _, name in found]
    assert starts[0] <= at
    assert starts == sorted(set(starts))
    assert len(set(names)) == len(names)
    assert all(later - start <= timedelta(hours=1) for start, later in zip(starts, [*starts[1:], until], strict=True))


def test_a_day_of_a_zone_whose_clocks_change_is_one_day() -> None:
    berlin = Calendar("Europe/Berlin", 1)
    asked = summaries.question({"from": "2026-10-25", "to": "2026-10-26"}, berlin, NOW)
    assert asked.until - asked.since == timedelta(hours=25)
    assert [name for _, name in summaries.parts(asked)] == ["2026-10-25"]


def test_a_range_that_is_left_open_is_closed_by_the_month_or_by_now() -> None:
    tenant = Calendar("Asia/Tokyo", 15)
    month = summaries.question({}, tenant, NOW)
    assert (month.since, month.until) == (utc(2026, 11, 14, 15), utc(2026, 12, 14, 15))
    assert month.since == periods.period(MONTH, tenant, NOW).start
    begun = summaries.question({"from": "2026-11-20T00:00:00+09:00"}, tenant, NOW)
    assert (begun.since, begun.until) == (utc(2026, 11, 19, 15), NOW)
    ended = summaries.question({"to": "2026-11-15"}, tenant, NOW)
    assert (ended.since, ended.until) == (utc(2026, 10, 14, 15), utc(2026, 11, 14, 15))
    elsewhere = summaries.question({"tz": "UTC"}, tenant, NOW)
    assert (elsewhere.since, elsewhere.until) == (utc(2026, 11, 15), utc(2026, 12, 15))


def test_the_longest_range_is_summed_and_a_longer_one_is_not() -> None:
    tenant = Calendar("UTC", 1)
    summaries.question({"from": "2025-01-01", "to": "2026-01-02"}, tenant, NOW)
    with pytest.raises(ValidationError) as refused:
        summaries.question({"from": "2025-01-01", "to": "2026-01-03"}, tenant, NOW)
    assert "from" in refused.value.detail
    assert summaries.question({"from": "2025-01-01", "to": "2025-02-01", "group_by": "hour"}, tenant, NOW)
    assert datetime(1971, 1, 1, tzinfo=UTC) == summaries.question({"to": "1971-02-01"}, tenant, NOW).since
