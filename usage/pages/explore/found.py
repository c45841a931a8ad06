"""The numbers that Explore shows: by key and by part of the time, now and before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

from plans import entitlements
from tenants import versions
from usage import summaries, sums
from usage.models import LogStatus
from usage.pages.explore import shown
from usage.pages.explore.amounts import OTHER, Key, Sums, joined
from usage.pages.explore.form import Asked
from usage.pages.explore.shown import Measure
from usage.pages.viewer import Viewer

TOP = 6
"""Series of their own in the chart; the rest is one more."""

_NOBODY = {
    "user": "No person named", "model_class": "No model class", "feature": "No feature named", "task": "No task named",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One key, or one part of the time: what it has now, and had before (None: there is no comparison)."""

    key: Key
    sums: Sums
    earlier: Sums | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one key, or all that is not among the first (OTHER), has in each part."""

    key: Key
    parts: tuple[Sums, ...]

    @property
    def total(self) -> Sums:
        """What it has in the whole time."""
        return joined(self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found.

    `rows` are the keys, those with most first; where nothing is split they are empty. `parts` are the days or hours
    with their beginnings, `times` what each had; `series` split that. What was before stands beside it, day for day.
    """

    asked: Asked
    starts: tuple[datetime, ...]
    rows: tuple[Row, ...]
    times: tuple[Row, ...]
    series: tuple[Series, ...]
    total: Sums
    earlier: Sums | None
    names: Mapping[Key, str]
    as_of: datetime

    @property
    def count(self) -> int:
        """How many rows the table under the chart has, its total aside."""
        return len(self.times) if self.asked.group_by == "none" else len(self.rows)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all to show, then as now."""
        return not any(_says(self.asked.measure, each) for each in (self.total, self.earlier))


def find(viewer: Viewer, asked: Asked, shown_keys: slice) -> Found:
    """Reads everything, as of one instant; names are looked up for the series and for the rows in the slice."""
    span, grouped = asked.range, asked.group_by != "none"
    reading = _Reading(viewer, asked)
    starts = reading.starts(span.since, span.until)
    earlier: list[Sums] = []
    with versions.one_instant():
        now = reading.by_key(span.since, span.until) if grouped else {}
        before = reading.by_key(span.earlier_since, span.earlier_until) if grouped and asked.compares else {}
        times = reading.by_part(span.since, span.until, starts)
        if asked.compares:
            earlier = reading.by_part(
                span.earlier_since, span.earlier_until, reading.starts(span.earlier_since, span.earlier_until)
            )
        rows = _ranked(asked, now, before)
        first = [row.key for row in rows[:TOP]]
        series = reading.series(starts, times, first, has_more=len(rows) > TOP) if grouped else [
            Series(key=None, parts=tuple(times))
        ]  # fmt: skip
    return Found(
        asked=asked, starts=tuple(starts), rows=tuple(rows), series=tuple(series),
        times=tuple(
            Row(key=None, sums=each, earlier=before) for each, before in zip_longest(times, earlier[: len(times)])
        ),
        total=joined(times), earlier=joined(earlier) if asked.compares else None,
        names=names(viewer, asked.group_by, [*first, *(row.key for row in rows[shown_keys])]),
        as_of=viewer.now,
    )  # fmt: skip


def names(viewer: Viewer, group_by: str, keys: Iterable[Key]) -> dict[Key, str]:
    """What people call the keys of a split; a key that has no other name is called as it is."""
    found: dict[Key, str] = {key: key or _NOBODY.get(group_by, "–") for key in keys}
    catalogue = entitlements.catalogue()
    match group_by:
        case "feature":
            known: Mapping[str, str] = {code: each.name for code, each in catalogue.features.items()}
        case "task":
            known = {code: each.name for code, each in catalogue.tasks.items()}
        case "model_class":
            known = {code: each.name for code, each in catalogue.classes.items()}
        case "user":
            known = viewer.names(key for key in found if key)
        case "status":
            known = {status.value: status.label for status in LogStatus}
        case "code":
            known = {key: shown.reason(key) for key in found if key}
        case _:
            known = {}
    return found | {key: known[key] for key in found if key and key in known} | {OTHER: "Other"}


@dataclass(frozen=True, slots=True)
class _Reading:
    viewer: Viewer
    asked: Asked

    def starts(self, since: datetime, until: datetime) -> list[datetime]:
        if since >= until:
            return []
        parts = summaries.parts(
            summaries.Question(group_by=self.asked.step, since=since, until=until, calendar=self.viewer.calendar)
        )
        return [start for start, _ in parts]

    def by_key(self, since: datetime, until: datetime) -> dict[Key, Sums]:
        return {row["key"]: Sums.of(row) for row in self._read(self._span(since, until), by=self.asked.group_by)}

    def by_part(self, since: datetime, until: datetime, starts: Sequence[datetime]) -> list[Sums]:
        rows = self._read(self._span(since, until, starts)) if starts else []
        found = {row["part"]: Sums.of(row) for row in rows}
        return [found.get(place + 1) or Sums() for place in range(len(starts))]

    def series(
        self, starts: Sequence[datetime], times: Sequence[Sums], first: Sequence[Key], *, has_more: bool
    ) -> list[Series]:
        """The first keys in their order, and what is left of the times without them."""
        span = self._span(self.asked.range.since, self.asked.range.until, starts)
        cells = {
            (row["part"], row["key"]): Sums.of(row) for row in self._read(span, by=self.asked.group_by, only=first)
        }
        found = [
            Series(key=key, parts=tuple(cells.get((place + 1, key)) or Sums() for place in range(len(starts))))
            for key in first
        ]
        if has_more:
            left = [all_.plus(joined(each.parts[place] for each in found), -1) for place, all_ in enumerate(times)]
            found.append(Series(key=OTHER, parts=tuple(left)))
        return found

    def _span(self, since: datetime, until: datetime, starts: Sequence[datetime] = ()) -> sums.Span:
        return sums.Span(since=since, until=until, starts=starts, where=self.asked.filters)

    def _read(self, span: sums.Span, by: Key = None, only: Sequence[Key] | None = None) -> Iterable[Mapping[str, Any]]:
        if span.since >= span.until:
            return []
        if not self.asked.measure.reads_denials:
            return sums.usage(self.viewer.sight, span, self.asked.measure.figures, by=by, only=only)
        rows = sums.denials(self.viewer.sight, span, by=by)
        return rows if only is None else [row for row in rows if row["key"] in only]


def _ranked(asked: Asked, now: Mapping[Key, Sums], before: Mapping[Key, Sums]) -> list[Row]:
    """Every key of either time that has something to show, that with most first."""
    weight = asked.measure.weight
    rows = [
        Row(key=key, sums=now.get(key) or Sums(), earlier=(before.get(key) or Sums()) if asked.compares else None)
        for key in now.keys() | before.keys()
    ]
    said = [row for row in rows if any(_says(asked.measure, each) for each in (row.sums, row.earlier))]
    said.sort(key=lambda row: (-weight(row.sums), -weight(row.earlier) if row.earlier else 0, row.key or ""))
    return said


def _says(measure: Measure, sums: Sums | None) -> bool:
    """Whether there is anything to show; a cost that is not known is something."""
    return sums is not None and bool(measure.value(sums) or sums.unpriced)
