"""One booking: its tokens, cost and charges, its times, and what else was booked for the same call."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from plans import entitlements
from plans.charges import Measure, PeriodKind
from plans.models import Unit
from plans.terms import Catalogue
from tenants.ids import instant_of
from usage import queries
from usage.models import UsageLog, UsageMeter
from usage.pages.cards import PERIODS, UNITS
from usage.pages.viewer import TenantPage

_HIDDEN = ("model", "price", "error", "ask", "decision", "metadata")
_MOST_SIBLINGS = 50
_MEASURES = {Measure.REQUESTS: "requests", Measure.TOKENS: "tokens", Measure.COST: "USD"}


class OperationPage(TenantPage):
    """A booking with all that its tenant may know of it; a part of the activity page where htmx asks."""

    page = "activity"

    def get(self, request: HttpRequest, log_id: UUID) -> HttpResponse:
        sight = self.viewer.sight
        rows = queries.seen(UsageLog.objects.for_tenant(sight.tenant.id), sight).defer(*_HIDDEN)
        row: UsageLog | None = rows.filter(id=log_id).first()
        if row is None:
            raise Http404
        return self.show(
            "usage/operation.html",
            row=row,
            who=self.viewer.names([row.user_key or ""]).get(row.user_key or "", row.user_key),
            reserved_at=instant_of(row.reservation_id) if row.reservation_id else None,
            charges=list(_charges(row, entitlements.catalogue())),
            siblings=_siblings(rows, row),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """What was booked on a meter, of what was held there; `over` is the part beyond every grant."""

    what: str
    unit: str
    amount: int
    held: int
    over: int

    @property
    def is_money(self) -> bool:
        """Whether the amounts are nano-USD."""
        return self.unit == "USD"


def _charges(row: UsageLog, catalogue: Catalogue) -> Iterator[ChargeLine]:
    meters: Mapping[UUID, UsageMeter] = {
        meter.id: meter for meter in UsageMeter.objects.for_tenant(row.tenant_id).filter(id__in=row.meters)
    }
    parts = zip(row.meters, row.measures, row.charges, row.helds, row.overruns, strict=True)
    for meter_id, measure, amount, held, over in parts:
        if measure == Measure.SLOTS:
            continue
        meter = meters.get(meter_id)
        unit = UNITS[Unit(row.unit)] if measure == Measure.UNITS else _MEASURES[Measure(measure)]
        what = _named(meter, catalogue) if meter else "A meter that is gone"
        yield ChargeLine(what=what, unit=unit, amount=amount, held=held, over=over)


def _named(meter: UsageMeter, catalogue: Catalogue) -> str:
    """The quota in words: “Patent drafting, today”."""
    if meter.task_id:
        what = catalogue.tasks[meter.task_id].name
    elif meter.feature_id:
        what = catalogue.features[meter.feature_id].name
    else:
        what = "The whole organisation"
    period = {PeriodKind.DAY: "the day", PeriodKind.MONTH: "the period"}.get(PeriodKind(meter.period))
    of_user = ", this user" if meter.user_key is not None else ""
    return f"{what}{of_user}, {period or PERIODS[PeriodKind(meter.period)]}"


def _siblings(rows: QuerySet[UsageLog], row: UsageLog) -> list[UsageLog]:
    """The other bookings of the same call: reports on the way, what came late, corrections."""
    if row.reservation_id is None:
        return list(rows.filter(refers_to=row.id).order_by("id")[:_MOST_SIBLINGS])
    return list(rows.filter(reservation_id=row.reservation_id).exclude(id=row.id).order_by("id")[:_MOST_SIBLINGS])
