"""What the database keeps by itself: each tenant's plan of the moment, and the numbers of the configuration."""

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter

from tenants import versions
from tenants.admin.base import ReadOnlyAdmin
from tenants.admin.figures import column
from tenants.models import ConfigVersion, Tenant, TenantPlan


@admin.register(TenantPlan)
class TenantPlanAdmin(ReadOnlyAdmin):
    """The plan each tenant is on now, read from its root token."""

    list_display = ["tenant", "plan", "root_token", "since", "until"]
    list_filter = [("plan", RelatedDropdownFilter)]
    list_select_related = ["tenant", "plan", "root_token"]
    search_fields = ["tenant__ati_id", "tenant__name"]
    ordering = ["tenant__ati_id"]
    fieldsets = [
        (
            None,
            {
                "fields": ["tenant", "plan", "root_token", "since", "until"],
                "description": "A view over the root token, where the plan is changed.",
            },
        )
    ]  # fmt: skip


@admin.register(ConfigVersion)
class ConfigVersionAdmin(ReadOnlyAdmin):
    """How often each part of the configuration changed; answers that relied on an older number are made again."""

    list_display = ["about", "subject", column("number", "Changes")]
    search_fields = ["=subject"]
    ordering = ["subject"]
    fieldsets = [
        (
            None,
            {
                "fields": ["about", "subject", "number"],
                "description": "Triggers of the database count it with every change.",
            },
        )
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConfigVersion]:
        found: QuerySet[ConfigVersion] = super().get_queryset(request)
        return found.annotate(ati_id=Subquery(Tenant.objects.filter(pk=OuterRef("subject")).values("ati_id")))

    @display(description="Of")
    def about(self, version: ConfigVersion) -> str:
        fixed = {versions.CATALOGUE: "The catalogue", versions.KEYS: "The service keys"}
        return fixed.get(version.subject) or f"Tenant {getattr(version, 'ati_id', None) or 'that is gone'}"
