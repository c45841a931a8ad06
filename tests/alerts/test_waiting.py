"""When a message is tried again, and when it waits for the morning."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from alerts.models import Channel, Severity
from alerts.waiting import MOST_ATTEMPTS, quiet_until, until_next_try

KOLKATA = ZoneInfo("Asia/Kolkata")


def test_tries_come_as_the_standard_advises_and_a_little_later() -> None:
    advised = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    for attempts, seconds in enumerate(advised, 1):
        found = {until_next_try(attempts, None) for _ in range(50)}
        assert len(found) > 1, "what failed together is not tried together"
        assert all(each is not None and seconds <= each.total_seconds() <= 1.2 * seconds for each in found)
    assert until_next_try(MOST_ATTEMPTS, None) is None
    assert until_next_try(MOST_ATTEMPTS, 60) is None


def test_a_receiver_may_ask_for_longer_and_not_for_sooner() -> None:
    longer, sooner = until_next_try(1, 900), until_next_try(2, 1)
    assert longer is not None
    assert sooner is not None
    assert longer.total_seconds() == 900
    assert sooner.total_seconds() >= 300


@pytest.mark.parametrize(
    ("hours", "at", "until"),
    [
        ((22, 7), "2026-11-20T17:00Z", "2026-11-21T01:30Z"),  # 22:30 there
        ((22, 7), "2026-11-20T20:00Z", "2026-11-21T01:30Z"),  # 01:30 there
        ((22, 7), "2026-11-20T01:30Z", None),  # 07:00 there
        ((22, 7), "2026-11-20T16:29Z", None),
        ((12, 14), "2026-11-20T07:00Z", "2026-11-20T08:30Z"),  # 12:30 there
        ((12, 14), "2026-11-20T08:30Z", None),
        ((9, 9), "2026-11-20T08:30Z", None),
    ],
)
def test_quiet_hours_are_the_clocks_of_the_tenant(hours: tuple[int, int], at: str, until: str | None) -> None:
    channel = Channel(quiet_from=time(hours[0]), quiet_until=time(hours[1]))
    now = datetime.fromisoformat(at)
    expected = datetime.fromisoformat(until) if until else None
    assert quiet_until(channel, Severity.WARNING, KOLKATA, now) == expected
    assert quiet_until(channel, Severity.CRITICAL, KOLKATA, now) is None
    assert quiet_until(channel, "", KOLKATA, now) is None


def test_a_channel_without_quiet_hours_never_waits() -> None:
    assert quiet_until(Channel(), Severity.INFO, KOLKATA, datetime(2026, 11, 20, tzinfo=UTC)) is None
