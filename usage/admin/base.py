"""Lists over tables that only grow: bounded in time and in counting, so that no page is a long statement."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin import ShowFacets, SimpleListFilter
from django.core.paginator import Paginator
from django.db.models import JSONField, Model, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from plans.charges import Measure
from tenants.admin.base import ReadOnlyAdmin
from tenants.admin.figures import number, usd
from tenants.admin.refusals import SENTENCES, Refusal
from usage.queries import first_id_at

_COUNTED = 10_000
_SPANS = {
    "1h": ("Last hour", timedelta(hours=1)),
    "1d": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "35d": ("Last 35 days", timedelta(days=35)),
}


SENTENCES.update(
    {
        f"ledger_keep_{table}": Refusal("There is usage of it, and the ledger refers to it for ever: it stays.")
        for table in ("tenants_tenant", "plans_feature", "plans_task", "plans_modelclass")
    }
)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # the stubs' Paginator is generic, Django's is not
    """Pages over the first rows alone: counting a whole log would read it all. Filters reach the others."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # what the console pages through
        return rows[:_COUNTED].count()


class WhenFilter(SimpleListFilter):
    """The newest rows, by the time inside their id; the last day unless asked otherwise."""

    title = "when"
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [*((key, label) for key, (label, _) in _SPANS.items()), ("any", "Any time")]

    def value(self) -> str:
        return super().value() or "1d"

    def choices(self, changelist: Any) -> Any:  # noqa: ANN401 - as in Django
        _all, *offered = super().choices(changelist)
        return offered

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = _SPANS.get(self.value())
        # An id is found by its index however old it is.
        if span is None or as_uuid(request.GET.get("q", "")) is not None:
            return queryset
        return queryset.filter(pk__gte=first_id_at(datetime.now(UTC) - span[1]))


class LedgerAdmin(ReadOnlyAdmin):
    """Rows of the ledger."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a count for each choice of each filter

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:  # noqa: ANN401 - as in Django
        """All that its sections show."""
        if self.fieldsets is None:
            return list(super().get_readonly_fields(request, obj))
        return [name for _, options in self.fieldsets for name in options["fields"]]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:  # noqa: ANN401 - as in Django
        """Without the lines of JSON that this row does not have."""
        absent = {
            field.name
            for field in self.opts.fields
            if isinstance(field, JSONField) and getattr(obj, field.name, None) is None
        }
        shown = [
            (title, {**options, "fields": [name for name in options["fields"] if name not in absent]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [(title, options) for title, options in shown if options["fields"]]


def as_uuid(text: str) -> UUID | None:
    """The UUID that was typed, or None."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def amount(measure: str, value: int | None) -> str:
    """An amount in its measure's unit: money in USD, everything else as a count."""
    return f"USD {usd(value)}" if measure == Measure.COST and value is not None else number(value)


def measured(measure: str) -> str:
    """What a meter counts, in words."""
    return "Money" if measure == Measure.COST else Measure(measure).label


def link(model: type[Model], pk: object, text: object) -> SafeString:
    """A link to a row's page."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return format_html('<a class="text-link" href="{}">{}</a>', reverse(name, args=[pk]), text)


def why_link(row: Any, decision: UUID) -> SafeString:  # noqa: ANN401 - a row with its tenant
    """A link to the explanation of a decision of the row's tenant."""
    address = reverse("decision-why", args=[row.tenant.ati_id, decision])
    return format_html('<a class="text-link" href="{}">Gate by gate</a>', address)


def table(headers: list[str], rows: list[list[object]]) -> SafeString:
    """A small table inside a page; its first column is text, the others are figures."""
    return render_to_string("usage/admin/figures.html", {"headers": headers, "rows": rows})
