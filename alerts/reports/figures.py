"""The figures of a report: the sums that the API answers for the same time, as plain JSON.

Money is in nano-USD. They are read once, when the report is due, and kept with its message: every try says the same.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from alerts.models import Report
from alerts.reports import spans
from alerts.reports.spans import Span
from plans import entitlements, money
from plans.calendars import calendar_of
from plans.charges import PeriodKind
from tenants import facts, versions
from tenants.models import Tenant
from usage import meters, queries, standings, summaries, sums
from usage.sight import Sight
from usage.summaries import Question

_FIVE = 5
MOST_ROWS = 2_000
"""Rows of days and features in a report's file."""
_TICK = timedelta(microseconds=1)
_TOTALS = (
    "operations", "failed", "input_tokens", "output_tokens", "api_calls", "items", "units", "cost", "unpriced",
)  # fmt: skip
COLUMNS = ("day", "feature", *_TOTALS, "denials")
"""Of the file; `cost` is None where nothing has a price."""


def of(tenant: Tenant, report: Report, span: Span, now: datetime) -> dict[str, Any]:
    """What a tenant used in a span, and in the one before."""
    versions.refresh(versions.CATALOGUE, tenant.id)
    sight = Sight(tenant=facts.tenant(tenant.id), user=None)
    calendar = calendar_of(sight.tenant)
    earlier = spans.before(report, calendar, span)
    days = list(summaries.parts(Question(group_by="day", since=span.since, until=span.until, calendar=calendar)))
    rows = _by_day(sight, span, days)
    return {
        "report": report.value,
        "since": span.since.isoformat(),
        "until": span.until.isoformat(),
        "zone": span.zone.key,
        "totals": _totals(sight, span),
        "before": _totals(sight, earlier),
        "features": _largest(sight, span, "feature"),
        "users": _largest(sight, span, "user"),
        "model_classes": _largest(sight, span, "model_class"),
        "refusals": _refusals(sight, span),
        "limits": _limits(tenant, span, now),
        "days": rows[:MOST_ROWS],
        "days_left_out": max(0, len(rows) - MOST_ROWS),
    }


def _totals(sight: Sight, span: Span) -> dict[str, int | None]:
    rows = sums.usage(sight, sums.Span(since=span.since, until=span.until), _TOTALS)
    found = rows[0] if rows else dict.fromkeys(_TOTALS, 0)
    refused = sums.denials(sight, sums.Span(since=span.since, until=span.until))
    return {name: _int(found[name]) for name in _TOTALS} | {"denials": sum(int(row["denials"]) for row in refused)}


def _largest(sight: Sight, span: Span, by: str) -> list[dict[str, Any]]:
    """Those that cost most, then those with most calls."""
    rows = sums.usage(sight, sums.Span(since=span.since, until=span.until), ("operations", "cost"), by=by)
    rows = [row for row in rows if row["operations"] or row["cost"]]
    rows.sort(key=lambda row: (-(row["cost"] or 0), -row["operations"], row["key"] or ""))
    return [{"key": row["key"], "operations": row["operations"], "cost": _int(row["cost"])} for row in rows[:_FIVE]]


def _refusals(sight: Sight, span: Span) -> list[dict[str, Any]]:
    rows = sums.denials(sight, sums.Span(since=span.since, until=span.until), by="code")
    rows.sort(key=lambda row: (-row["denials"], row["key"]))
    return [{"code": row["key"], "count": int(row["denials"])} for row in rows]


def _limits(tenant: Tenant, span: Span, now: datetime) -> list[dict[str, Any]]:
    """What is used of the limits, now in force, of the tenant's month that the span ends in; the fullest first."""
    entitled = entitlements.of(tenant.id, now)
    charges = {
        charge: None
        for charge in standings.charged(entitled, standings.tasks_of(entitled), None).values()
        if charge.period == PeriodKind.MONTH and charge.limit is not None
    }
    bound = meters.bind(entitled.tenant.facts, charges, span.until - _TICK)
    read = queries.readings(tenant.id, [each.meter for each in bound])
    found: list[dict[str, Any]] = [
        {
            "feature": each.charge.feature, "task": each.charge.task, "measure": each.charge.measure.value,
            "unit": each.charge.unit.value if each.charge.unit else None, "limit": each.charge.limit,
            "used": read[each.meter].used if each.meter in read else 0,
        }
        for each in bound
    ]  # fmt: skip
    found.sort(key=lambda each: (-each["used"] / max(1, each["limit"]), each["feature"] or "", each["measure"]))
    return found


def _by_day(sight: Sight, span: Span, days: Sequence[tuple[datetime, str]]) -> list[list[Any]]:
    """Rows of COLUMNS, in order; days without anything have none."""
    parts = sums.Span(since=span.since, until=span.until, starts=[start for start, _ in days])
    found: defaultdict[tuple[str, str | None], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(_TOTALS, 0))
    for row in sums.usage(sight, parts, _TOTALS, by="feature"):
        found[days[row["part"] - 1][1], row["key"]].update({name: _int(row[name]) for name in _TOTALS})
    for row in sums.denials(sight, parts, by="feature"):
        found[days[row["part"] - 1][1], row["key"]]["denials"] = int(row["denials"])
    ordered = sorted(found, key=lambda key: (key[0], key[1] or ""))
    return [[*key, *(found[key].get(name, 0) for name in COLUMNS[2:])] for key in ordered]


def _int(value: Any) -> int | None:  # noqa: ANN401 - a sum of SQL
    return None if value is None else int(value)


def file_rows(figures: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of the file with their header, money as everywhere in the API."""
    cost = COLUMNS.index("cost")
    rows = [
        [*row[:cost], None if row[cost] is None else money.usd(row[cost]), *row[cost + 1 :]] for row in figures["days"]
    ]
    if figures["days_left_out"]:
        rows.append([f"INCOMPLETE: {figures['days_left_out']} rows more are on the page Explore."])
    return [list(COLUMNS), *rows]
