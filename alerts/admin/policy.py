"""At what quotas' people are told."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from alerts.models import AlertPolicy
from alerts.models.policy import MOST_AMOUNT, MOST_PERCENT
from tenants.admin.base import Admin
from tenants.admin.refusals import SENTENCES, Refusal

SENTENCES.update(
    {
        "alerts_alertpolicy_once": Refusal("There is one for just these already: change that one.", "feature"),
        "alerts_alertpolicy_amounts_have_a_unit": Refusal(
            "Amounts need a measure and a period: otherwise nobody knows what they count.", "amounts"
        ),
        "alerts_alertpolicy_percents": Refusal(f"From 1 to {MOST_PERCENT:,} each.", "percents"),
        "alerts_alertpolicy_amounts": Refusal(f"From 1 to {MOST_AMOUNT:,} each.", "amounts"),
    }
)


@admin.register(AlertPolicy)
class AlertPolicyAdmin(Admin):
    """The thresholds of quotas and budgets. The row that names a quota most closely holds, a tenant's own first."""

    list_display = ["__str__", "subject", "shown_percents", "amounts"]
    list_filter = [("tenant", AutocompleteSelectFilter), "measure", "period"]
    list_select_related = ["tenant", "feature"]
    search_fields = ["tenant__ati_id", "tenant__name", "feature__code"]
    autocomplete_fields = ["tenant", "feature"]
    fieldsets = [
        (
            "Which quotas",
            {
                "fields": ["tenant", "feature", "measure", "period"],
                "description": "The row that names a quota most closely holds for it, and takes the place of the "
                "others altogether; a tenant's own comes before everybody's. Too many calls at once are told apart.",
            },
        ),
        ("At what to tell", {"fields": ["percents", "amounts"]}),
    ]  # fmt: skip

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ANN401 - as in Django
        """The row that is about everything stays: empty it to tell nothing."""
        is_default = isinstance(obj, AlertPolicy) and obj.is_default
        return super().has_delete_permission(request, obj) and not is_default

    @display(description="For", ordering="tenant__ati_id")
    def subject(self, policy: AlertPolicy) -> str:
        return str(policy.tenant) if policy.tenant else "everybody"

    @display(description="Percent")
    def shown_percents(self, policy: AlertPolicy) -> str:
        return ", ".join(str(percent) for percent in policy.percents) or "not told"
