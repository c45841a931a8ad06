"""The roll-ups: sums of the log, as pages and summaries read them."""

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from tenants.admin.figures import column, text, usd
from usage.admin.base import LedgerAdmin
from usage.models import (
    DayRollup,
    DenialRollup,
    RollupState,
    TenantDayRollup,
    TenantRollup,
    UsageRollup,
    UserDayRollup,
)
from usage.models.rollup import Sums

_COUNTS = (
    "bookings", "unpriced", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "api_calls", "items", "units", "latencies", "latency_ms", "held_tokens", "held_tokens_used",
)  # fmt: skip
_MONEY = ("cost", "held_cost", "held_cost_used")
_NO_KEYS = {"id", "slot", "latency_histogram", *_COUNTS, *_MONEY}
_DESCRIPTION = "Sums of the log. manage.py rollups rebuild computes them anew; nothing is billed or granted by them."


def _header(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _admin_of(model: type[Sums]) -> type[LedgerAdmin]:
    """The pages of one level; those who call are told apart on some, what they call on others."""
    keys = [field for field in model._meta.fields if field.name not in _NO_KEYS]
    names = [field.name if field.name == "tenant" else text(field.attname, _header(field.name)) for field in keys]
    counts = [column(name, _header(name)) for name in _COUNTS]
    money = [column(name, f"{_header(name)}, USD", usd) for name in _MONEY]

    class SumsAdmin(LedgerAdmin):
        list_display = ["slot", *names, column("bookings", "Bookings"), column("cost", "USD", usd)]
        list_filter = [("tenant", AutocompleteSelectFilter)]
        list_select_related = ["tenant"]
        search_fields = ["tenant__ati_id"]
        search_help_text = "Tenant"
        ordering = ["-slot"]
        fieldsets = [(None, {"fields": ["slot", *names, *counts, *money], "description": _DESCRIPTION})]

    return SumsAdmin


for _level in (UsageRollup, TenantRollup, DayRollup, TenantDayRollup, UserDayRollup):
    admin.site.register(_level, _admin_of(_level))


@admin.register(DenialRollup)
class DenialRollupAdmin(LedgerAdmin):
    """Refusals by 15 minutes; they stay when the refusals themselves are pruned."""

    list_display = ["slot", "tenant", text("task_id", "Task"), "code", column("count", "Times")]
    list_filter = [("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    search_fields = ["tenant__ati_id"]
    search_help_text = "Tenant"
    ordering = ["-slot"]
    fieldsets = [
        (None, {"fields": ["slot", "tenant", "user_key", "feature", "task", "code", column("count", "Times")]}),
    ]


@admin.register(RollupState)
class RollupStateAdmin(LedgerAdmin):
    """How far the roll-ups are, and whether a time is being computed anew."""

    list_display = ["__str__", "as_of", "rebuild_from", "rebuild_until"]
