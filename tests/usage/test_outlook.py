"""When a quota runs out at the pace of the days just past."""

from datetime import UTC, datetime, timedelta

from usage.pages.outlook import outlook

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_a_quota_runs_out_when_its_rest_is_used_at_the_pace_of_the_basis() -> None:
    found = outlook(recent=700, basis=WEEK, used=900, left=300, ends_at=END, now=NOW)
    assert found is not None
    assert (found.per_day, found.basis) == (100, WEEK)
    assert found.runs_out_at == NOW + timedelta(days=3)
    assert found.at_end == 900 + 650


def test_a_quota_that_lasts_until_its_period_ends_does_not_run_out() -> None:
    found = outlook(recent=700, basis=WEEK, used=900, left=651, ends_at=END, now=NOW)
    assert found is not None
    assert (found.runs_out_at, found.at_end) == (None, 1550)


def test_what_is_unlimited_never_runs_out() -> None:
    found = outlook(recent=700, basis=WEEK, used=900, left=None, ends_at=END, now=NOW)
    assert found is not None
    assert found.runs_out_at is None


def test_a_quota_that_is_gone_runs_out_now() -> None:
    found = outlook(recent=1, basis=WEEK, used=900, left=0, ends_at=END, now=NOW)
    assert found is not None
    assert found.runs_out_at == NOW


def test_nothing_is_said_on_thin_data_or_without_use() -> None:
    hours = timedelta(hours=23)
    assert outlook(recent=700, basis=hours, used=700, left=1, ends_at=END, now=NOW) is None
    assert outlook(recent=0, basis=WEEK, used=700, left=1, ends_at=END, now=NOW) is None
    assert outlook(recent=-5, basis=WEEK, used=700, left=1, ends_at=END, now=NOW) is None
