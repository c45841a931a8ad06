"""When a message may be told. Pure: no query, no clock."""

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from alerts.models import Channel, Digest, Severity

# As standardwebhooks.com advises: at once, then after these. The last try is three days after the first.
_AFTER_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
MOST_ATTEMPTS = len(_AFTER_SECONDS) + 1
_JITTER = 0.2
MORNING = time(8)
"""When a day's digest, and the report of a week or a month, is sent: in the tenant's zone."""
_HOUR = timedelta(hours=1)


def until_next_try(attempts: int, asked_seconds: float | None) -> timedelta | None:
    """How long to wait after so many tries (from 1 on); None: it is given up.

    Up to a fifth longer at random, so that what failed together is not tried together. `asked_seconds` is what the
    receiver asked for, and never shortens it.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    seconds = _AFTER_SECONDS[attempts - 1] * (1 + _JITTER * random.random())  # noqa: S311 - nobody gains by guessing it
    return timedelta(seconds=max(seconds, asked_seconds or 0.0))


def quiet_until(channel: Channel, severity: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The end of the channel's quiet hours where `now` is in them; None otherwise, and for what is critical.

    Hours whose end is before their beginning go over midnight.
    """
    begins, ends = channel.quiet_from, channel.quiet_until
    if begins is None or ends is None or severity in {"", Severity.CRITICAL}:
        return None
    local = now.astimezone(zone)
    is_quiet = begins <= local.time() < ends if begins < ends else not ends <= local.time() < begins
    if begins == ends or not is_quiet:
        return None
    return _next(ends, zone, local)


def digest_at(digest: str, zone: ZoneInfo, noticed_at: datetime) -> datetime:
    """When what was noticed at an instant is told with others: at the next full hour, or at the next MORNING."""
    local = noticed_at.astimezone(zone)
    if digest == Digest.DAILY:
        return _next(MORNING, zone, local)
    return noticed_at + _HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _next(at: time, zone: ZoneInfo, local: datetime) -> datetime:
    """The next time that clocks in the zone show `at`."""
    day = local.date() if local.time() < at else local.date() + timedelta(days=1)
    return datetime.combine(day, at, zone).astimezone(UTC)
