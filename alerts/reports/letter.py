"""A report in words, with its figures as people read them and its file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

from alerts.messages import Message, Place
from alerts.models import Report, Severity
from alerts.reports.figures import file_rows
from plans import entitlements
from plans.charges import Measure
from tenants import figures as read
from tenants.templatetags.figures import dollars, percent
from usage import exports
from usage.pages.explore.shown import reason
from usage.pages.explore.telling import days

EVENT = "usage.report"
"""The event of a report."""
_TICK = timedelta(microseconds=1)
_COLUMNS = 72
_SPANS = {Report.WEEKLY: "week", Report.MONTHLY: "month"}
_UNITS = {"API_CALLS": "API calls"}
_COUNTED = {
    "operations": "Calls", "failed": "Failed calls", "input_tokens": "Tokens in", "output_tokens": "Tokens out",
    "api_calls": "API calls", "denials": "Refused calls",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A line of one of a report's tables: a name and its cells."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One of a report's tables; the heads are those of the cells."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]

    def lines(self) -> Iterable[str]:
        """As text with aligned columns; a name that is too long has a line of its own."""
        lines = [Row("", self.heads), *self.rows]
        widths = [max(len(line.cells[place]) for line in lines) for place in range(len(self.heads))]
        longest = _COLUMNS - sum(widths) - 2 * len(widths)
        first = min(max(len(line.name) for line in lines), longest)
        for line in lines:
            name = line.name
            if len(name) > longest:
                yield name
                name = ""
            yield name.ljust(first) + "".join(
                f"  {cell:>{width}}" for cell, width in zip(line.cells, widths, strict=True)
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Message):
    """A report; `file` is its CSV, by the name `file_name`."""

    tables: tuple[Table, ...]
    file_name: str
    file: bytes


def of(figures: Mapping[str, Any], place: Place, *, id_: str, at: datetime) -> Reported:
    """The message that tells figures as `figures.of` makes them."""
    zone = ZoneInfo(figures["zone"])
    since, until = (datetime.fromisoformat(figures[name]).astimezone(zone) for name in ("since", "until"))
    span = _SPANS[Report(figures["report"])]
    in_words = days(since.date(), (until - _TICK).date())
    return Reported(
        id=id_,
        type=EVENT,
        at=at,
        severity=Severity.INFO,
        title=f"{place.whose}: usage of {in_words}",
        happened=_happened(figures, place, span),
        advice=f"Days are those of {zone.key}. The attached file has each day and feature.{_left_out(figures)}",
        figures=(),
        place=_with_explore(place, since, until),
        data={"tenant": place.ati_id} | {name: value for name, value in figures.items() if not name.startswith("days")},
        tables=tuple(table for table in _tables(figures, place, span) if table.rows),
        file_name=f"usage-{place.ati_id}-{since:%Y-%m-%d}.csv",
        file=exports.csv_of(file_rows(figures)),
    )


def _happened(figures: Mapping[str, Any], place: Place, span: str) -> str:
    now, before = figures["totals"], figures["before"]
    if not now["operations"] and not now["cost"]:
        return f"{place.whose} used nothing in this {span}."
    changed = _change(now["cost"], before["cost"])
    against = f", {changed} against the {span} before" if before["cost"] and now["cost"] else ""
    unpriced = f" {read.number(now['unpriced'])} calls have no price yet." if now["unpriced"] else ""
    spent = f"{place.whose} spent USD {dollars(now['cost'] or 0)} in {read.number(now['operations'])} calls"
    return f"{spent}{against}.{unpriced}"


def _left_out(figures: Mapping[str, Any]) -> str:
    left_out = figures["days_left_out"]
    return f" {read.number(left_out)} more rows did not fit into it: export them from Explore." if left_out else ""


def _tables(figures: Mapping[str, Any], place: Place, span: str) -> Iterable[Table]:
    now, before = figures["totals"], figures["before"]
    spend = Row("Spend in USD", (dollars(now["cost"]), dollars(before["cost"]), _change(now["cost"], before["cost"])))
    counts = (
        Row(name, (read.number(now[key]), read.number(before[key]), _change(now[key], before[key])))
        for key, name in _COUNTED.items()
        if now[key] or before[key]
    )
    yield Table("In all", (f"This {span}", f"{span.capitalize()} before", "Change"), (spend, *counts))
    limits = (
        Row(_limit_name(each, place.names), (_used_of(each), percent(each["used"], each["limit"])))
        for each in figures["limits"]
    )
    yield Table("Limits of the month", ("Used of limit", "Share"), tuple(limits))
    classes = {code: each.name for code, each in entitlements.catalogue().classes.items()}
    for title, key, names in (
        ("Features that cost most", "features", place.names),
        ("People who cost most", "users", place.names),
        ("Model classes that cost most", "model_classes", classes),
    ):
        yield Table(title, ("Calls", "USD", "Share"), tuple(_shares(figures[key], names, now["cost"])))
    refused = (Row(reason(each["code"]), (read.number(each["count"]),)) for each in figures["refusals"])
    yield Table("Why calls were refused", ("Calls",), tuple(refused))


def _shares(found: Sequence[Mapping[str, Any]], names: Mapping[str, str], total: int | None) -> Iterable[Row]:
    for each in found:
        name = "Not named" if each["key"] is None else names.get(each["key"], each["key"])
        yield Row(name, (read.number(each["operations"]), dollars(each["cost"]), percent(each["cost"], total)))


def _limit_name(limit: Mapping[str, Any], names: Mapping[str, str]) -> str:
    code = limit["task"] or limit["feature"]
    what = names.get(code, code) if code else "All calls"
    match limit["measure"]:
        case Measure.COST:
            return f"Budget of {what}" if code else "Budget"
        case Measure.TOKENS:
            return f"{what}, tokens"
        case _:
            return str(what)


def _used_of(limit: Mapping[str, Any]) -> str:
    if limit["measure"] == Measure.COST:
        return f"USD {dollars(limit['used'])} of {dollars(limit['limit'])}"
    unit = "" if limit["measure"] == Measure.TOKENS else limit["unit"] or ""
    name = _UNITS.get(unit, unit.lower())
    return f"{read.number(limit['used'])} of {read.number(limit['limit'])} {name}".strip()


def _change(now: int | None, before: int | None) -> str:
    """“+12.3 %”, “new” where there was nothing before."""
    if not before or now is None:
        return "new" if now else read.UNKNOWN
    return f"{100 * (now - before) / before:+,.1f} %".replace("-", "−")


def _with_explore(place: Place, since: datetime, until: datetime) -> Place:
    """With the page that shows the same days."""
    query = {
        "measure": "cost", "group_by": "feature", "range": "custom", "first": since.date().isoformat(),
        "last": (until - _TICK).date().isoformat(),
    }  # fmt: skip
    page = reverse("pages:explore", args=[place.ati_id])
    return replace(place, link=f"{settings.SITE_URL}{page}?{urlencode(query)}", link_words="Look closer at these days")
