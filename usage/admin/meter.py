"""Meters."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter, display
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

from plans.charges import Measure
from tenants.admin.figures import UNKNOWN, number, usd
from usage.admin.base import LedgerAdmin, as_uuid
from usage.models import UsageMeter

_UNITS = {
    Measure.REQUESTS: "requests", Measure.TOKENS: "tokens", Measure.COST: "USD", Measure.SLOTS: "open at once",
}  # fmt: skip


def _figure(meter: UsageMeter, value: int) -> str:
    return usd(value) if meter.measure == Measure.COST else number(value)


class RunningFilter(SimpleListFilter):
    """Meters of periods that run, or of those that ended."""

    title = "period"
    parameter_name = "running"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("yes", "Running now"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageMeter]) -> QuerySet[UsageMeter]:
        now = datetime.now(UTC)
        if self.value() == "yes":
            return queryset.filter(Q(period_end__isnull=True) | Q(period_end__gt=now))
        return queryset.filter(period_end__lte=now) if self.value() == "no" else queryset


@admin.register(UsageMeter)
class UsageMeterAdmin(LedgerAdmin):
    """What each tenant used and holds, by measure and period."""

    list_display = [
        "tenant", "about", "unit", "period", "period_start", "used_figure", "reserved_figure", "overrun_figure",
        "limit_figure",
    ]  # fmt: skip
    list_filter = [
        ("tenant", AutocompleteSelectFilter), RunningFilter, "measure", "period",
        ("feature", RelatedDropdownFilter), ("task", RelatedDropdownFilter),
    ]  # fmt: skip
    list_select_related = ["tenant", "feature"]
    search_fields = ["tenant__ati_id"]
    search_help_text = "Tenant, user key or meter id"
    fieldsets = [
        (
            "What it counts",
            {
                "fields": ["tenant", "feature", "task", "user_key", "measure", "unit"],
                "description": "Nothing here can be edited: what a meter holds is the sum of the log.",
            },
        ),
        ("Period", {"fields": ["period", "period_start", "period_end"]}),
        (
            "Amounts",
            {
                "fields": [
                    "used_figure", "reserved_figure", "overrun_figure", "limit_figure", "archived_figure",
                    "verified_at",
                ],
                "description": "Held is promised to open reservations; overrun is usage that no hold covered. The "
                "limit is the one last enforced; the one in force now is in the tenant's plan.",
            },
        ),
    ]  # fmt: skip
    readonly_fields = [
        "unit", "used_figure", "reserved_figure", "overrun_figure", "limit_figure", "archived_figure",
    ]  # fmt: skip

    ordering = ["id"]

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        # There is an index for a tenant's meters by time; over all tenants the order of the key is the cheap one.
        one_tenant = "tenant__id__exact" in request.GET
        return ["-period_start", "feature", "measure"] if one_tenant else ["id"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        meter = as_uuid(search_term)
        if meter is not None:
            return queryset.filter(Q(pk=meter) | Q(user_key=search_term.strip())), False
        if search_term:
            exact = Q(tenant__ati_id=search_term.strip().upper()) | Q(user_key=search_term.strip())
            return queryset.filter(exact), False
        return queryset, False

    @display(description="Of")
    def about(self, meter: UsageMeter) -> str:
        what = meter.task_id or meter.feature_id or "All features"
        return f"{what} · {meter.user_key}" if meter.user_key else what

    @display(description="Unit", ordering="measure")
    def unit(self, meter: UsageMeter) -> str:
        if meter.measure == Measure.UNITS:
            return meter.feature.get_unit_display() if meter.feature else UNKNOWN
        return _UNITS[Measure(meter.measure)]

    @display(description="Used", ordering="used")
    def used_figure(self, meter: UsageMeter) -> str:
        return _figure(meter, meter.used)

    @display(description="Held", ordering="reserved")
    def reserved_figure(self, meter: UsageMeter) -> str:
        return _figure(meter, meter.reserved)

    @display(description="Overrun", ordering="overrun")
    def overrun_figure(self, meter: UsageMeter) -> str:
        return _figure(meter, meter.overrun)

    @display(description="Limit", ordering="limit_amount")
    def limit_figure(self, meter: UsageMeter) -> str:
        return "none" if meter.limit_amount is None else _figure(meter, meter.limit_amount)

    @display(description="Of this, archived")
    def archived_figure(self, meter: UsageMeter) -> str:
        return _figure(meter, meter.archived)
