"""Refusals."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

from plans.codes import Code
from tenants.admin.figures import column
from usage.admin.base import LedgerAdmin, WhenFilter, as_uuid, link, why_link
from usage.models import Denial, UsageMeter


class CodeFilter(admin.SimpleListFilter):
    """By the code that callers got."""

    title = "code"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [(code.value, code.value) for code in Code if code is not Code.OK]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Denial]) -> QuerySet[Denial]:
        return queryset.filter(code=self.value()) if self.value() else queryset


@admin.register(Denial)
class DenialAdmin(LedgerAdmin):
    """What was refused, why, and how often."""

    list_display = ["code", "tenant", "about", "user_key", column("count", "Times"), "message", "last_at"]
    list_filter = [
        ("tenant", AutocompleteSelectFilter), WhenFilter, CodeFilter, ("feature", RelatedDropdownFilter),
        ("task", RelatedDropdownFilter),
    ]  # fmt: skip
    list_select_related = ["tenant"]
    search_fields = ["code"]
    search_help_text = "Decision id, or exact code or user key"
    fieldsets = [
        (
            None,
            {
                "fields": ["id", "tenant", "user_key", "feature", "task"],
                "description": "Alike refusals of a minute share a row. Kept 90 days.",
            },
        ),
        (
            "Refusal",
            {
                "fields": [
                    "code", "message", "why", column("count", "Times"), "minute", "last_at", "binding_meter", "binding",
                ]
            },
        ),
        ("Answered", {"fields": ["decision"]}),
    ]  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(code=term.upper()) | Q(user_key=term)
        decision = as_uuid(term)
        return queryset.filter(found | Q(pk=decision) if decision else found), False

    @display(description="On")
    def about(self, denial: Denial) -> str:
        return denial.task_id or denial.feature_id or "–"

    @display(description="Meter that was full")
    def binding_meter(self, denial: Denial) -> SafeString | str:
        return link(UsageMeter, denial.meter, denial.meter) if denial.meter else "none"

    @display(description="Why")
    def why(self, denial: Denial) -> SafeString:
        return why_link(denial, denial.id)
