"""Hold estimates."""

from django.contrib import admin
from django.contrib.admin import display
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

from tenants.admin.figures import number
from usage.admin.base import LedgerAdmin, table
from usage.models import HoldEstimate

_SHOWN = (1, 5, 25, 50, 75, 90, 95, 99, 100)


@admin.register(HoldEstimate)
class HoldEstimateAdmin(LedgerAdmin):
    """What the calls of each tenant's task really use, for holds of less than the maximum."""

    list_display = ["tenant", "task", "operations", "half", "most_of_them", "computed_at"]
    list_filter = [("tenant", AutocompleteSelectFilter), ("task", RelatedDropdownFilter)]
    list_select_related = ["tenant", "task"]
    search_fields = ["tenant__ati_id"]
    search_help_text = "Tenant"
    ordering = ["tenant_id", "task_id"]
    fieldsets = [
        (
            None,
            {
                "fields": ["tenant", "task", "operations", "computed_at", "percentiles"],
                "description": "Computed every day from the operations of the last 30 days (manage.py estimate_holds); "
                "not used when older than 3 days. The policy rule HOLD_PERCENTILE says which line is held.",
            },
        )
    ]
    readonly_fields = ["operations", "half", "most_of_them", "percentiles"]

    @display(description="Operations", ordering="samples")
    def operations(self, estimate: HoldEstimate) -> str:
        return number(estimate.samples)

    @display(description="Half use at most, in / out")
    def half(self, estimate: HoldEstimate) -> str:
        return _tokens(estimate, 50)

    @display(description="95% use at most, in / out")
    def most_of_them(self, estimate: HoldEstimate) -> str:
        return _tokens(estimate, 95)

    @display(description="Percentiles")
    def percentiles(self, estimate: HoldEstimate) -> SafeString:
        return table(
            ["So many of the operations", "used at most input tokens", "and output tokens"],
            [
                [f"{each}%", number(estimate.input_tokens[each - 1]), number(estimate.output_tokens[each - 1])]
                for each in _SHOWN
            ],
        )


def _tokens(estimate: HoldEstimate, percentile: int) -> str:
    return f"{number(estimate.input_tokens[percentile - 1])} / {number(estimate.output_tokens[percentile - 1])}"
