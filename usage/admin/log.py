"""The log of all usage."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

from tenants.admin.figures import UNKNOWN, column, number, text, usd
from tenants.admin.unfolded import display as labelled
from usage.admin.base import LedgerAdmin, WhenFilter, amount, as_uuid, link, measured, table, why_link
from usage.models import Certainty, LogStatus, UsageLog, UsageMeter, UsageReservation

_COLOURS = {
    LogStatus.COMPLETED.label: "success", LogStatus.FAILED.label: "danger", LogStatus.EXPIRED.label: "warning",
    LogStatus.REPORT.label: "info", LogStatus.CORRECTION.label: "primary",
}  # fmt: skip
_TOKENS = [
    column("input_tokens", "Input tokens"),
    column("cached_input_tokens", "of them cached"),
    column("cache_write_tokens", "of them written to the cache"),
    column("output_tokens", "Output tokens"),
    column("reasoning_tokens", "of them reasoning"),
]
_UNITS = column("units", "Units")
_COST = column("cost", "Cost (USD)", usd)


class LimitsFilter(admin.SimpleListFilter):
    """By whether a limit was passed that is only observed, or that the plan lets usage pass."""

    title = "limits"
    parameter_name = "limits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("beyond", "Let through beyond one")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        # In the words of the index that holds just these.
        beyond = Q(decision__has_key="over") | Q(decision__has_key="would_deny")
        return queryset.filter(beyond) if self.value() == "beyond" else queryset


@admin.register(UsageLog)
class UsageLogAdmin(LedgerAdmin):
    """Every booking there ever was."""

    list_display = [
        "recorded_at", "tenant", text("task_id", "Task"), "shown_status", text("model_class_id", "Class"),
        "tokens_figure", "units_figure", _COST, "remarks",
    ]  # fmt: skip
    list_filter = [
        ("tenant", AutocompleteSelectFilter), WhenFilter, LimitsFilter, "status", "certainty", "late",
        ("feature", RelatedDropdownFilter), ("task", RelatedDropdownFilter), ("model_class", RelatedDropdownFilter),
    ]  # fmt: skip
    list_select_related = ["tenant"]
    sortable_by = ()
    search_fields = ["correlation_id"]
    search_help_text = "Log or reservation id, or exact user key or correlation id"
    fieldsets = [
        (
            None,
            {
                "fields": ["id", "tenant", "user_key", "feature", "task", "model_class", "model", "api_code", "plan"],
                "description": "The log is append-only: a mistake is put right by a correction, which is another row.",
            },
        ),
        (
            "Usage",
            {"fields": [*_TOKENS, column("api_calls", "API calls"), column("items", "Items"), _UNITS, "unit"]},
        ),
        ("Money", {"fields": [_COST, "price", "certainty"]}),
        ("Booked on", {"fields": ["booked"], "description": "What it added to each meter; a correction may take."}),
        (
            "Story",
            {
                "fields": [
                    "status", "reservation", "why", "attempt", "remarks", "error", "refers_to",
                    column("latency_ms", "Latency (ms)"), "occurred_at", "recorded_at", "correlation_id", "metadata",
                ]
            },
        ),
        ("Asked and answered", {"fields": ["ask", "decision"]}),
    ]  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(user_key=term) | Q(correlation_id=term)
        row = as_uuid(term)
        return queryset.filter(found | Q(pk=row) | Q(reservation_id=row, pk__gte=row) if row else found), False

    @labelled(description="Status", ordering="status", label=_COLOURS)
    def shown_status(self, log: UsageLog) -> str:
        return LogStatus(log.status).label

    @display(description="Tokens in / out")
    def tokens_figure(self, log: UsageLog) -> str:
        return f"{number(log.input_tokens)} / {number(log.output_tokens)}"

    @display(description="Units")
    def units_figure(self, log: UsageLog) -> str:
        return f"{number(log.units)} {log.get_unit_display()}"

    @display(description="Remarks", empty_value="–")
    def remarks(self, log: UsageLog) -> str | None:
        late = ["Late"] if log.late else []
        doubts = [Certainty(log.certainty).label] if log.certainty != Certainty.FINAL else []
        return ", ".join(late + doubts) or None

    @display(description="Reservation")
    def reservation(self, log: UsageLog) -> SafeString | str:
        if log.reservation_id is None:
            return "without one"
        return link(UsageReservation, log.reservation_id, log.reservation_id)

    @display(description="Meters")
    def booked(self, log: UsageLog) -> SafeString | str:
        lines = zip(log.meters, log.measures, log.charges, log.overruns, log.helds, strict=True)
        rows: list[list[object]] = [
            [
                link(UsageMeter, meter, measured(measure)),
                amount(measure, charge),
                amount(measure, overrun),
                amount(measure, held),
            ]
            for meter, measure, charge, overrun, held in lines
        ]
        return table(["Meter", "Used", "Overrun", "Had been held"], rows) if rows else UNKNOWN

    @display(description="Why")
    def why(self, log: UsageLog) -> SafeString | str:
        if log.reservation_id is None:
            return "nothing was decided about it"
        return why_link(log, log.reservation_id)
