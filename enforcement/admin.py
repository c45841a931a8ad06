"""Simulations in the console: asked for on one page, and their findings on another."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from enforcement.models import Simulation, SimulationStatus
from enforcement.simulation import jobs, trials
from enforcement.simulation.trials import NothingToTry
from plans.models import Plan, PlanStatus
from tenants.admin.base import ReadOnlyAdmin, WordedForm
from tenants.admin.figures import column
from tenants.admin.refusals import SENTENCES, Refusal
from tenants.admin.unfolded import display as labelled
from tenants.words import counted
from usage.admin.base import table

SENTENCES["enforcement_simulation_something_to_try"] = Refusal(
    "Choose a plan, or write changes: otherwise nothing would be different.", "plan"
)
SENTENCES["enforcement_simulation_days"] = Refusal("From 1 to 90 days.", "days")
_COLOURS = {"Waiting": "info", "Running": "info", "Done": "success", "Failed": "danger"}
_LISTED = 20


class SimulationForm(WordedForm):
    """What to try, and on whom."""

    days = forms.IntegerField(
        initial=30, min_value=1, max_value=90, widget=UnfoldAdminIntegerFieldWidget,
        help_text="How many days back, 1 to 90.",
    )  # fmt: skip
    changes = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget,
        help_text="Optional. One change a line, tried on top: PATENT_DRAFTING.daily_quota=10000, MAX_TOKENS_OUT=2000.",
    )

    class Meta:
        model = Simulation
        fields = ("plan", "tenant", "days", "changes")

    def clean_changes(self) -> list[str]:
        lines: str = self.cleaned_data["changes"]
        return [line.strip() for line in lines.splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                trials.require_something(found["plan"], found["changes"])
            except NothingToTry as refused:
                self.add_error(refused.field, str(refused))
        return found


@admin.register(Simulation)
class SimulationAdmin(ReadOnlyAdmin):
    """Plans tried on the calls that were made: who would newly be refused. Nothing of it is in force."""

    form = SimulationForm
    list_display = ["__str__", "shown_status", "shown_tenant", "refused_figure", "asked_by", "created_at"]
    list_filter = ["status"]
    list_select_related = ["plan", "tenant"]
    change_form_outer_before_template = "enforcement/admin/under_way.html"
    add_fieldsets = [
        (
            None,
            {
                "fields": ["plan", "tenant", "days", "changes"],
                "description": "The calls of the last days are decided again, under the terms of now and under those "
                "of the plan. Nothing is in force by it, and nothing is written to the ledger.",
            },
        )
    ]
    fieldsets = [
        ("What it found", {"fields": ["summary", "gates", "tenants", "shaped", "observed"]}),
        (
            "What was tried",
            {
                "fields": [
                    "plan", "tenant", "days", "shown_changes", "shown_status", column("operations", "Operations read"),
                    "asked_by", "created_at",
                    "finished_at",
                ]
            },
        ),
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.has_perm("enforcement.add_simulation"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ANN401 - as in Django
        if obj is None:
            return self.add_fieldsets
        return self.fieldsets if obj.result is not None else self.fieldsets[1:]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ANN401 - as in Django
        return [] if obj is None else [name for _, options in self.fieldsets for name in options["fields"]]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ANN401
        if db_field.name == "plan":
            kwargs["queryset"] = Plan.objects.exclude(status=PlanStatus.DEPRECATED).order_by("code", "-revision")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Simulation]:
        found: QuerySet[Simulation] = super().get_queryset(request)
        return found.select_related("plan", "tenant")

    def save_model(self, request: HttpRequest, obj: Simulation, form: Any, change: bool) -> None:  # noqa: ANN401
        made, _ = jobs.queue(
            plan=obj.plan, changes=obj.changes, tenant=obj.tenant_id, days=obj.days, asked_by=str(request.user)
        )
        obj.pk = made.pk

    def response_add(self, request: HttpRequest, obj: Simulation, post_url_continue: str | None = None) -> HttpResponse:
        return self.back_to(obj.pk)

    @labelled(description="Status", ordering="status", label=_COLOURS)
    def shown_status(self, row: Simulation) -> str:
        return SimulationStatus(row.status).label

    @admin.display(description="On", ordering="tenant")
    def shown_tenant(self, row: Simulation) -> str:
        if row.tenant is not None:
            return row.tenant.ati_id
        return "All tenants" if row.plan is None else f"All on {row.plan.code}"

    @admin.display(description="Newly refused")
    def refused_figure(self, row: Simulation) -> str:
        return "–" if row.result is None else f"{row.result['total']['newly_refused']['requests']:,}"

    @admin.display(description="Changes")
    def shown_changes(self, row: Simulation) -> str:
        return ", ".join(row.changes) or "none"

    @admin.display(description="In short")
    def summary(self, row: Simulation) -> str:
        total = row.result["total"]
        newly, hit = total["newly_refused"], counted(row.result["tenants_newly_refused"], "tenant")
        looked = f"{counted(total['requests'], 'call')} of {counted(row.result['tenants_simulated'], 'tenant')}"
        if not newly["requests"]:
            return f"None of {looked} would newly be refused."
        return (
            f"{newly['requests']:,} of {looked} would newly be refused, to {hit}, "
            f"the first on {_instant(newly['first_at'])} UTC. They cost USD {newly['cost']} of {total['cost']}."
        )

    @admin.display(description="Newly refused by")
    def gates(self, row: Simulation) -> SafeString | str:
        return _counted(row.result["total"]["newly_refused"]["by"], "code", "Gate")

    @admin.display(description="Who would be hit most")
    def tenants(self, row: Simulation) -> SafeString | str:
        rows: list[list[object]] = [
            [
                each["tenant"], f"{each['newly_refused']['requests']:,} of {each['requests']:,}",
                each["newly_refused"]["cost"], _instant(each["newly_refused"]["first_at"]),
                ", ".join(by["code"] for by in each["newly_refused"]["by"]),
            ]
            for each in row.result["tenants"][:_LISTED]
            if each["newly_refused"]["requests"]
        ]  # fmt: skip
        headers = ["Tenant", "Newly refused", "Cost (USD)", "First (UTC)", "By"]
        return table(headers, rows) if rows else "nobody"

    @admin.display(description="Permitted with less, or another class")
    def shaped(self, row: Simulation) -> SafeString | str:
        return _counted(row.result["total"]["shaped"], "param", "What")

    @admin.display(description="Only observed yet, and would refuse")
    def observed(self, row: Simulation) -> SafeString | str:
        return _counted(row.result["total"]["observed"], "code", "Gate")


def _counted(found: Sequence[Mapping[str, Any]], name: str, header: str) -> SafeString | str:
    rows: list[list[object]] = [
        [each[name], f"{each['requests']:,}", each["cost"], _instant(each["first_at"])] for each in found
    ]
    return table([header, "Calls", "Cost (USD)", "First (UTC)"], rows) if rows else "none"


def _instant(text: str | None) -> str:
    """A stored instant as people read it, to the minute."""
    return "–" if text is None else text.replace("T", " ")[:16]
