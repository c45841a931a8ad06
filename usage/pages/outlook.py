"""When a quota will run out at the pace of the days just past, as far as that can be said."""

from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(days=7)
"""The days whose pace is taken."""
THIN = timedelta(days=1)
"""With less than that to go by, nothing is said."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What comes of a quota at `per_day` of its units, measured over `basis`.

    `at_end` is what will have been used when the period ends; `runs_out_at` is None where it lasts until then.
    """

    per_day: int
    basis: timedelta
    at_end: int
    runs_out_at: datetime | None


def outlook(
    *, recent: int, basis: timedelta, used: int, left: int | None, ends_at: datetime, now: datetime
) -> Outlook | None:
    """The outlook of a quota of which `recent` was used during the `basis` before `now`, `used` in this period.

    It goes on in a straight line: per_day = recent / basis. None where the basis is thin, or nothing was used in it.
    """
    if basis < THIN or recent <= 0:
        return None
    rest = ends_at - now
    lasts = None if left is None else basis * (left / recent)
    return Outlook(
        per_day=round(recent * (_DAY / basis)),
        basis=basis,
        at_end=used + round(recent * (rest / basis)),
        runs_out_at=now + lasts if lasts is not None and lasts < rest else None,
    )
