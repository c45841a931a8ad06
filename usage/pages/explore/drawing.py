"""What charts.js draws, as data."""

from collections.abc import Sequence
from typing import Any

from tenants import figures
from usage.pages.explore import limits, telling, times
from usage.pages.explore.amounts import OTHER, Sums
from usage.pages.explore.found import Found
from usage.pages.explore.limits import DailyLimit
from usage.pages.explore.shown import Kind, Measure
from usage.pages.explore.times import Part
from usage.pages.viewer import Viewer

_TOO_HIGH = 2.5
"""A limit so many times above the highest bar would press the bars flat; it is told below the chart instead."""

_DIGITS = {Kind.USD: 9, Kind.SHARE: 1}
_SUFFIXES = {Kind.MILLISECONDS: " ms", Kind.SHARE: " %"}


def chart(viewer: Viewer, found: Found, parts: Sequence[Part]) -> dict[str, Any]:
    """Bars for what adds up, lines for what does not; see charts.js for the fields."""
    asked, measure = found.asked, found.asked.measure
    limit = limits.of(viewer, asked)
    note = None
    if limit is not None and _highest(found) * _TOO_HIGH < limit.amount:
        note = f"The {_told(measure, limit)} is far above what is shown."
    return {
        "kind": "bars" if measure.adds_up else "lines",
        "title": telling.title(found),
        "x": f"{asked.step.capitalize()} ({viewer.zone.key})",
        "y": measure.axis,
        "digits": _DIGITS.get(measure.kind, 0),
        "prefix": "USD " if measure.kind is Kind.USD else "",
        "suffix": _SUFFIXES.get(measure.kind, ""),
        "labels": [part.tick for part in parts],
        "names": [part.name for part in parts],
        "series": [
            {
                "name": found.names[each.key] if asked.group_by != "none" else measure.name,
                "values": [_number(measure, sums) for sums in each.parts],
                "isOther": each.key == OTHER,
            }
            for each in found.series
        ],
        "before": _before(found),
        "limit": {"name": _told(measure, limit), "value": _scaled(measure, limit.amount)}
        if limit is not None and note is None
        else None,
        "marks": _marks(viewer, found),
        "note": note,
    }  # fmt: skip


def _before(found: Found) -> dict[str, Any] | None:
    measure = found.asked.measure
    if found.earlier is None or not measure.value(found.earlier):
        return None
    values = [_number(measure, row.earlier) for row in found.times]
    return {"name": f"All, {found.asked.range.before}", "values": values}


def _marks(viewer: Viewer, found: Found) -> list[dict[str, Any]]:
    span = found.asked.range
    ends = [
        (at, "new period" if at <= viewer.now else "period ends")
        for at in times.period_ends(found.starts, span.until, viewer.calendar)
    ]
    if span.since <= viewer.now < span.until:
        ends.append((viewer.now, "now"))
    return [{"at": times.place_of(at, found.starts, span.until), "name": name} for at, name in ends]


def _highest(found: Found) -> float | int:
    return max((found.asked.measure.value(row.sums) or 0 for row in found.times), default=0)


def _told(measure: Measure, limit: DailyLimit) -> str:
    amount = f"USD {figures.usd(limit.amount)}" if measure.kind is Kind.USD else figures.number(limit.amount)
    return f"{limit.name}, {amount}"


def _number(measure: Measure, sums: Sums | None) -> float | int | None:
    found = None if sums is None else measure.value(sums)
    return None if found is None else _scaled(measure, found)


def _scaled(measure: Measure, found: float | int) -> float | int:
    match measure.kind:
        case Kind.USD:
            return found / 10**9
        case Kind.SHARE:
            return round(100 * found, 1)
        case Kind.MILLISECONDS:
            return telling.rounded(found)
        case _:
            return found
