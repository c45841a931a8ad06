"""What became of old usage: months that are kept in files, and users who were erased."""

from django.contrib import admin
from django.contrib.admin import display
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from tenants.admin.figures import number
from usage.admin.base import LedgerAdmin
from usage.models import Erasure, LogArchive


@admin.register(LogArchive)
class LogArchiveAdmin(LedgerAdmin):
    """Months of the log that are kept in files; their calls are no longer in the console."""

    list_display = ["__str__", "bookings", "archived_at"]
    fieldsets = [
        (
            None,
            {
                "fields": ["month", "bookings", "first_id", "last_id", "archived_at"],
                "description": "Made by manage.py archive_usage: Parquet files in the folder of the month, with a "
                "manifest of what they hold. Meters and roll-ups of that time are still here.",
            },
        )
    ]
    readonly_fields = ["bookings"]

    @display(description="Rows of the log", ordering="rows")
    def bookings(self, archive: LogArchive) -> str:
        return number(archive.rows)


@admin.register(Erasure)
class ErasureAdmin(LedgerAdmin):
    """Users who were made pseudonyms; who they were is kept nowhere."""

    list_display = ["pseudonym", "tenant", "started_at", "finished_at"]
    list_filter = [("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    search_fields = ["pseudonym"]
    search_help_text = "Pseudonym"
    fieldsets = [
        (
            None,
            {
                "fields": ["tenant", "pseudonym", "started_at", "finished_at"],
                "description": "Made by manage.py erase_user. One that is not finished was stopped: run it again, it "
                "goes on with the same pseudonym.",
            },
        )
    ]
