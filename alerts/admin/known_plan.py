"""What plan each tenant was last seen to have."""

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from alerts.models import KnownPlan
from tenants.admin.base import ReadOnlyAdmin


@admin.register(KnownPlan)
class KnownPlanAdmin(ReadOnlyAdmin):
    """What a change of plan is seen by."""

    list_display = ["tenant", "plan_id", "previous_id", "changes"]
    list_filter = [("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    search_fields = ["tenant__ati_id", "tenant__name"]
