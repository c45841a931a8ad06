"""What was noticed, of everybody."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter, display
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from alerts.models import QuotaAlert
from tenants.admin.unfolded import display as labelled
from usage.admin.base import LedgerAdmin, WhenFilter

_COLOURS = {"Info": "info", "Warning": "warning", "Critical": "danger"}


class OpenFilter(SimpleListFilter):
    """Those that still hold, or are over."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("open", "Still holds"), ("over", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[QuotaAlert]) -> QuerySet[QuotaAlert]:
        if self.value() is None:
            return queryset
        return queryset.filter(resolved_at__isnull=self.value() == "open")


class ToldFilter(SimpleListFilter):
    """Those told to super admins, or to tenants."""

    title = "told to"
    parameter_name = "told"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("operators", "Super admins"), ("tenants", "Tenants")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[QuotaAlert]) -> QuerySet[QuotaAlert]:
        if self.value() is None:
            return queryset
        return queryset.filter(tenant__isnull=self.value() == "operators")


@admin.register(QuotaAlert)
class QuotaAlertAdmin(LedgerAdmin):
    """What was noticed, once each, and until when it held."""

    list_display = ["created_at", "shown_severity", "kind", "told", "subject", "threshold", "resolved_at"]
    list_filter = [("tenant", AutocompleteSelectFilter), WhenFilter, OpenFilter, ToldFilter, "severity", "kind"]
    list_select_related = ["tenant"]
    search_fields = ["subject"]
    search_help_text = "Part of what it is about"
    fieldsets = [
        (None, {"fields": ["told", "kind", "shown_severity", "subject", "user_key", "threshold"]}),
        ("When", {"fields": ["created_at", "resolved_at", "episode"]}),
        ("Figures", {"fields": ["numbers"], "description": "As they were then. Money is in nano-USD."}),
    ]  # fmt: skip

    @display(description="Told to", ordering="tenant__ati_id")
    def told(self, alert: QuotaAlert) -> str:
        return str(alert.tenant) if alert.tenant else "super admins"

    @labelled(description="Severity", ordering="severity", label=_COLOURS)
    def shown_severity(self, alert: QuotaAlert) -> str:
        return str(alert.get_severity_display())
