"""Messages, and whether they arrived."""

from django.contrib import admin
from django.contrib.admin import display
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from alerts.models import Delivery
from usage.admin.base import LedgerAdmin, WhenFilter


@admin.register(Delivery)
class DeliveryAdmin(LedgerAdmin):
    """Each message to each channel, and how far it is."""

    list_display = ["created_at", "channel", "what", "state", "attempts", "next_attempt_at", "sent_at", "last_error"]
    list_filter = [("tenant", AutocompleteSelectFilter), WhenFilter, "state"]
    list_select_related = ["channel", "alert"]
    search_fields = ["channel__name"]

    @display(description="About")
    def what(self, delivery: Delivery) -> str:
        return str(delivery.alert or delivery.event)
