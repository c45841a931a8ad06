"""How lists and spans of time read in a sentence."""

from collections.abc import Sequence
from datetime import timedelta


def first_of(names: Sequence[str], most: int) -> str:
    """The first of the names, and how many more there are: “ACME, GLOBEX and 12 more”."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def counted(count: int, noun: str) -> str:
    """A count with its noun, whose plural ends in s: “1 tenant”, “1,200 tenants”."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(span: timedelta) -> str:
    """A span by its two largest units, down to seconds: “3 days 4 h”, “5 h 12 min”, “40 s”; none as “0 s”."""
    seconds = max(0, int(span.total_seconds()))
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"
