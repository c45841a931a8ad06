"""Ways to people, of everybody."""

from django.contrib import admin
from django.contrib.admin import display
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from alerts.models import Channel
from tenants.admin.base import ReadOnlyAdmin


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin):
    """Who is told, by which way, of what."""

    list_display = ["name", "told", "kind", "is_active", "failures", "disabled_reason"]
    list_filter = [("tenant", AutocompleteSelectFilter), "kind", "is_active"]
    list_select_related = ["tenant"]
    search_fields = ["name", "tenant__ati_id", "tenant__name"]

    @display(description="Whose", ordering="tenant__ati_id")
    def told(self, channel: Channel) -> str:
        return str(channel.tenant) if channel.tenant else "super admins"
