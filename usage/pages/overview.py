"""The first page: how much is used, of what, by whom, what it cost, and when it will run out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django_htmx.middleware import HtmxDetails

from plans import entitlements, periods
from plans.charges import PeriodKind
from plans.periods import Period
from plans.terms import Entitlements
from usage import queries, standings
from usage.models import Denial, UsageLog
from usage.pages.cards import Card, cards
from usage.pages.explore import drawing, telling, times
from usage.pages.explore.form import ExploreForm
from usage.pages.explore.found import find
from usage.pages.pace import pace_of, quarter_of
from usage.pages.viewer import TenantPage, Viewer

_CHARTED = {"measure": "cost", "group_by": "task", "range": "period", "compare": "no"}
_REFUSALS = 5
_PEOPLE = 5
_MOST_PEOPLE = 10_000
_DAY = timedelta(days=1)
_QUARTER = timedelta(minutes=15)


class OverviewPage(TenantPage):
    """How the tenant's quotas stand; asked for again every few seconds while somebody looks."""

    page = "overview"

    def get(self, request: HttpRequest) -> HttpResponse:
        viewer = self.viewer
        entitled = entitlements.of(viewer.tenant.id, viewer.now)
        month = periods.period(PeriodKind.MONTH, viewer.calendar, viewer.now)
        found = _cards(viewer, entitled)
        return self.show(
            "usage/overview.html",
            month=month,
            last_day=month.end and month.end - _DAY / 2,
            cards=found,
            running_out=[card for card in found if card.outlook and card.outlook.runs_out_at],
            today=_today(viewer),
            refusals=_refusals(viewer),
            people=_people(viewer, month),
            # What renews itself is all but the chart.
            **({} if HtmxDetails(request) else _chart(viewer)),
            is_empty=not UsageLog.objects.for_tenant(viewer.tenant.id).exists(),
            as_of=viewer.now,
        )


def _chart(viewer: Viewer) -> dict[str, Any]:
    """What Explore shows of the running period, task by task."""
    form = ExploreForm(_CHARTED, viewer)
    assert form.is_valid(), form.errors  # noqa: S101 - nobody typed it
    asked = form.asked()
    found = find(viewer, asked, slice(0))
    parts = times.named(found.starts, asked.step, viewer.calendar, viewer.zone)
    return {
        "asked": asked,
        "chart": None if found.is_empty else drawing.chart(viewer, found, parts),
        "caption": telling.caption(found, viewer.zone, viewer.now),
        "chart_query": urlencode(_CHARTED),
    }


def _cards(viewer: Viewer, entitled: Entitlements) -> list[Card]:
    user = viewer.sight.user or str(viewer.user.id)
    found = standings.of(entitled, standings.tasks_of(entitled), user)
    return cards(entitled, found, pace_of(viewer.sight.tenant, viewer.now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A figure of today beside what it was yesterday by this time, and in all of yesterday."""

    what: str
    today: int
    by_now: int
    yesterday: int
    is_money: bool = False

    @property
    def change(self) -> int | None:
        """In percent of yesterday by this time; None where that was nothing."""
        return round(100 * (self.today - self.by_now) / self.by_now) if self.by_now else None


def _today(viewer: Viewer) -> Sequence[Compared]:
    today = periods.period(PeriodKind.DAY, viewer.calendar, viewer.now).start
    yesterday = periods.period(PeriodKind.DAY, viewer.calendar, today - _QUARTER).start
    # The last hour of a day of 25 has none before it to go with.
    by_now = min(quarter_of(viewer.now - (today - yesterday)), today)
    bounds = (yesterday, viewer.now + _QUARTER, [yesterday, by_now, today], 4)
    used = {row["key"]: row for row in queries.usage_by(viewer.sight, "day", *bounds)}
    refused = {row["key"]: row for row in queries.denials_by(viewer.sight, "day", *bounds)}
    return [
        _compared("Calls", used, "operations"),
        _compared("Failed", used, "failed"),
        _compared("Tokens in", used, "input_tokens_sum"),
        _compared("Tokens out", used, "output_tokens_sum"),
        _compared("Cost in USD", used, "cost_sum", is_money=True),
        _compared("Refused", refused, "denials"),
    ]


def _compared(what: str, rows: Mapping[int, Any], name: str, *, is_money: bool = False) -> Compared:
    before, rest, today = (int((rows.get(part) or {}).get(name) or 0) for part in (1, 2, 3))
    return Compared(what=what, today=today, by_now=before, yesterday=before + rest, is_money=is_money)


def _refusals(viewer: Viewer) -> list[Denial]:
    rows: list[Denial] = list(queries.denials(viewer.sight).order_by("-id")[:_REFUSALS])
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody's part of this period: `name` None for calls that named nobody."""

    key: str | None
    name: str | None
    operations: int
    cost: int
    percent: float


def _people(viewer: Viewer, month: Period) -> list[Person]:
    """The five who cost most; nobody where the viewer sees only themselves."""
    if viewer.sight.user is not None:
        return []
    rows = queries.usage_by(viewer.sight, "user", month.start, viewer.now + _QUARTER, [], _MOST_PEOPLE)
    rows.sort(key=lambda row: (row["cost_sum"] or 0, row["operations"]), reverse=True)
    total = sum(int(row["cost_sum"] or 0) for row in rows)
    names = viewer.names([row["key"] for row in rows[:_PEOPLE] if row["key"]])
    return [
        Person(
            key=row["key"],
            name=names.get(row["key"], row["key"]),
            operations=row["operations"],
            cost=int(row["cost_sum"] or 0),
            percent=100 * int(row["cost_sum"] or 0) / total if total else 0,
        )
        for row in rows[:_PEOPLE]
    ]
