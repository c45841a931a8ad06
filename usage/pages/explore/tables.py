"""The numbers in rows: on the page in words, in a file as they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from plans.money import usd
from usage.exports import Table
from usage.pages.explore import telling
from usage.pages.explore.amounts import OTHER, Sums
from usage.pages.explore.found import Found, Row
from usage.pages.explore.shown import Kind, Measure
from usage.pages.explore.times import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of the table under the chart; `key` is what a link to more of it needs, None where there is no more."""

    key: str | None
    name: str
    value: str
    share: str
    earlier: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLine:
    """A row of the table of days or hours: what each series has."""

    name: str
    total: str
    values: tuple[str, ...]


def lines(found: Found, parts: tuple[Part, ...], shown_rows: slice) -> list[Line]:
    """The keys of the split, or where nothing is split the parts of the time."""
    if found.asked.group_by == "none":
        rows = list(zip(found.times, parts, strict=True))[shown_rows]
        return [_line(found, row, None, part.name) for row, part in rows]
    return [_line(found, row, row.key, found.names[row.key]) for row in found.rows[shown_rows]]


def total(found: Found) -> Line:
    """The last row."""
    return _line(found, Row(key=None, sums=found.total, earlier=found.earlier), None, "Total")


def time_lines(found: Found, parts: tuple[Part, ...]) -> list[TimeLine]:
    """Every part of the time with what each series had in it."""
    value = found.asked.measure.value
    return [
        TimeLine(
            name=part.name, total=telling.value(found.asked.measure, value(found.times[place].sums)),
            values=tuple(telling.value(found.asked.measure, value(each.parts[place])) for each in found.series),
        )
        for place, part in enumerate(parts)
    ]  # fmt: skip


def series_totals(found: Found) -> list[tuple[str, str]]:
    """Each series with what it has in the whole time; none where nothing is split."""
    if found.asked.group_by == "none":
        return []
    measure = found.asked.measure
    return [(found.names[each.key], telling.value(measure, measure.value(each.total))) for each in found.series]


def _line(found: Found, row: Row, key: str | None, name: str) -> Line:
    measure = found.asked.measure
    now = measure.value(row.sums)
    before = measure.value(row.earlier) if row.earlier is not None else None
    share = _share(found, now)
    return Line(
        key=key, name=name, value=telling.value(measure, now),
        share=telling.share(share),
        earlier=telling.value(measure, before), change=telling.change(measure, now, before),
    )  # fmt: skip


def _share(found: Found, now: float | int | None) -> float | None:
    whole = found.asked.measure.value(found.total)
    return now / whole if found.asked.measure.adds_up and whole and now is not None else None


# --- files --------------------------------------------------------------------

Entry = dict[str, Any]


def file_of_lines(found: Found, parts: tuple[Part, ...]) -> tuple[Table[Entry], list[Entry]]:
    """All rows of the table under the chart, whatever page of it is shown."""
    measure = found.asked.measure
    what = found.asked.step if found.asked.group_by == "none" else found.asked.group_by
    columns = [what, "name", measure.code]
    columns += ["share"] if measure.adds_up else []
    columns += ["before"] if found.asked.compares else []
    rows = (
        zip((part.key for part in parts), (part.name for part in parts), found.times, strict=True)
        if found.asked.group_by == "none"
        else ((row.key, found.names.get(row.key, row.key or ""), row) for row in found.rows)
    )
    entries = []
    for key, name, row in rows:
        share = _share(found, measure.value(row.sums))
        entry = {
            what: key, "name": name, measure.code: plain(measure, row.sums),
            "share": None if share is None else round(share, 6), "before": plain(measure, row.earlier),
        }  # fmt: skip
        entries.append({column: entry[column] for column in columns})
    return _table("usage-explore", columns), entries


def file_of_times(found: Found, parts: tuple[Part, ...]) -> tuple[Table[Entry], list[Entry]]:
    """What each series had in each part: a row for each of both, as the chart shows it."""
    measure, asked = found.asked.measure, found.asked
    columns = [asked.step, asked.group_by, "name", measure.code]
    entries = [
        dict(zip(columns, (part.key, key, found.names[each.key], plain(measure, each.parts[place])), strict=True))
        for place, part in enumerate(parts)
        for each in found.series
        for key in (None if each.key == OTHER else each.key,)
    ]
    return _table(f"usage-explore-by-{asked.step}", columns), entries


def plain(measure: Measure, sums: Sums | None) -> float | int | str | None:
    """A value for programs: money as decimal text in USD, latencies in milliseconds, shares as fractions."""
    found = None if sums is None else measure.value(sums)
    match measure.kind:
        case _ if found is None:
            return None
        case Kind.USD:
            return usd(int(found))
        case Kind.SHARE:
            return round(found, 6)
        case Kind.MILLISECONDS:
            return telling.rounded(found)
        case _:
            return found


def _table(name: str, columns: Iterable[str]) -> Table[Entry]:
    fixed = tuple(columns)

    def cells(entry: Entry) -> Iterator[object]:
        return (entry[column] for column in fixed)

    return Table(name=name, columns=fixed, cells=cells)
