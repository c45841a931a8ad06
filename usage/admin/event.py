"""Usage events that were booked."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from usage.admin.base import LedgerAdmin, WhenFilter, link
from usage.models import UsageEvent, UsageLog


@admin.register(UsageEvent)
class UsageEventAdmin(LedgerAdmin):
    """Events that senders reported and may repeat; each is booked once."""

    list_display = ["recorded_at", "tenant", "source", "event_id", "booked_as"]
    list_filter = [("tenant", AutocompleteSelectFilter), WhenFilter]
    list_select_related = ["tenant"]
    search_fields = ["event_id"]
    search_help_text = "Exact event id or source"
    fieldsets = [
        (
            None,
            {
                "fields": ["tenant", "source", "event_id", "booked_as", "recorded_at"],
                "description": "Kept 35 days, so that a repeated event is known as a duplicate.",
            },
        )
    ]  # fmt: skip
    readonly_fields = ["booked_as"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(Q(event_id=term) | Q(source=term)) if term else queryset), False

    @display(description="Booked as", empty_value="nothing")
    def booked_as(self, event: UsageEvent) -> SafeString | None:
        return link(UsageLog, event.log_id, event.log_id) if event.log_id else None
