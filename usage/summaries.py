"""Usage over a range of time, summed by day, hour or name; the sums equal the log's at the time they are read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rest_framework.exceptions import ValidationError

from plans import periods
from plans.charges import PeriodKind
from plans.money import usd
from plans.periods import Calendar
from usage import queries
from usage.answers import Summary, SummaryEntry, SummaryFigures
from usage.filters import INSTANT_HINT, instant
from usage.sight import Sight

GROUPS = ("day", "hour", *queries.GROUP_COLUMNS)
PARAMETERS = frozenset({"group_by", "from", "to", "tz"})

_LONGEST = timedelta(days=366)
_LONGEST_BY_HOUR = timedelta(days=31)
_MOST_KEYS = 10_000
_TICK = timedelta(microseconds=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to sum: [since, until), by what, and whose days."""

    group_by: str
    since: datetime
    until: datetime
    calendar: Calendar


def question(sent: Mapping[str, str], tenant: Calendar, now: datetime) -> Question:
    """What the parameters ask. Raises ValidationError, naming the one that is wrong.

    `from` and `to` are instants, or dates, which stand for the beginning of that day; `to` is not included. Without
    them it is the running month. `tz` puts that zone's days in the place of the tenant's.
    """
    group_by = sent.get("group_by", "day")
    if group_by not in GROUPS:
        raise ValidationError({"group_by": f"One of {', '.join(GROUPS)}."})
    calendar = tenant
    if "tz" in sent:
        if sent["tz"] not in periods.zones():
            raise ValidationError({"tz": "Not a time zone: send a name such as Europe/Berlin or UTC."})
        calendar = Calendar(sent["tz"], tenant.anchor_day)
    since, until = _bound(sent, "from", calendar), _bound(sent, "to", calendar)
    if until is None:
        until = now if since else periods.month_end(calendar, now)
    if since is None:
        since = periods.period(PeriodKind.MONTH, calendar, until - _TICK).start
    if since >= until:
        at_fault = "to" if "to" in sent else "from"
        raise ValidationError({at_fault: "“from” must come before “to”, which is now where it is left out."})
    longest = _LONGEST_BY_HOUR if group_by == "hour" else _LONGEST
    if until - since > longest:
        raise ValidationError({"from": f"At most {longest.days} days can be summed by {group_by} at a time."})
    return Question(group_by=group_by, since=since, until=until, calendar=calendar)


def _bound(sent: Mapping[str, str], name: str, calendar: Calendar) -> datetime | None:
    text = sent.get(name)
    if text is None:
        return None
    try:
        if len(text) > len("2026-11-24"):
            return instant(text)
        day = date.fromisoformat(text)
        if not 1970 < day.year < 9999:
            raise ValueError(text)
    except ValueError:
        raise ValidationError({name: f"A date, or an instant. {INSTANT_HINT}"}) from None
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(calendar.timezone))
    return periods.period(PeriodKind.DAY, calendar, noon).start


def of(sight: Sight, asked: Question, now: datetime) -> Summary:
    """The sums, of usage and of refusals. Raises ValidationError where there are too many keys to list."""
    named = list(parts(asked)) if asked.group_by in ("day", "hour") else []
    starts = [start for start, _ in named]
    bounds = (asked.since, asked.until, starts, _MOST_KEYS + 1)
    used = queries.usage_by(sight, asked.group_by, *bounds)
    refused = queries.denials_by(sight, asked.group_by, *bounds)
    sums: defaultdict[str | None, _Sums] = defaultdict(_Sums)
    for row in used:
        sums[_name(named, row["key"])].add(row)
    for row in refused:
        sums[_name(named, row["key"])].denials += int(row["denials"])
    if len(sums) > _MOST_KEYS:
        message = f"More than {_MOST_KEYS:,} of them in this range: ask for a shorter one."
        raise ValidationError({"group_by": message})
    total = _Sums()
    for each in sums.values():
        total.join(each)
    entries = [SummaryEntry(key=key, **each.figures()) for key, each in sums.items()]
    entries.sort(key=lambda entry: (entry.key is None, entry.key or ""))
    return Summary(results=entries, totals=SummaryFigures(**total.figures()), as_of=now.replace(microsecond=0))


def _name(named: Sequence[tuple[datetime, str]], key: int | str | None) -> str | None:
    """The name of a key: of a day or hour by its number, of everything else itself."""
    return named[key - 1][1] if isinstance(key, int) else key


def parts(asked: Question) -> Iterator[tuple[datetime, str]]:
    """The days or hours that touch the range, each with its beginning and its name.

    Where a tenant moved its zone back over the date line, two days in a row have one date.
    """
    at = asked.since
    while at < asked.until:
        start, end, name = _day(asked.calendar, at) if asked.group_by == "day" else _hour(asked.calendar, at)
        yield start, name
        at = end


def _day(calendar: Calendar, at: datetime) -> tuple[datetime, datetime, str]:
    found = periods.period(PeriodKind.DAY, calendar, at)
    assert found.end is not None  # noqa: S101 - a day ends
    # By its end: where a change of zone made a day longer, its beginning may bear the date of the one before.
    return found.start, found.end, (found.end - _TICK).astimezone(calendar.zone_at(found.start)).date().isoformat()


def _hour(calendar: Calendar, at: datetime) -> tuple[datetime, datetime, str]:
    local = at.astimezone(calendar.zone_at(at))  # hours begin at :30 UTC in some zones
    start = at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return start, start + _HOUR, start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class _Sums:
    operations: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    api_calls: int = 0
    items: int = 0
    units: int = 0
    cost: int | None = field(default=None)
    unpriced: int = 0
    denials: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of `queries.usage_by`."""
        for each in fields(self):
            found = row.get(each.name, row.get(f"{each.name}_sum"))
            if found is not None:
                setattr(self, each.name, (getattr(self, each.name) or 0) + int(found))

    def join(self, other: "_Sums") -> None:
        """Adds what another key has."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if theirs is not None:
                setattr(self, each.name, (mine or 0) + theirs)

    def figures(self) -> dict[str, Any]:
        """As answered: money as text, 0 where nothing had a cost to know, null where it is not known."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        unknown = self.cost is None and self.unpriced > 0
        return found | {"cost": None if unknown else usd(self.cost or 0)}
