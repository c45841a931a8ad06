"""Plans: a draft is edited on one page with all it promises; what is live can only be looked at."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanWidget

from plans import publishing
from plans.admin.policy import PlanRuleInline
from plans.admin.promise import PlanFeatureInline, PlanTaskInline, why_frozen
from plans.models import Plan, PlanStatus
from plans.publishing import Move, PublishingError, When
from tenants.admin.asking import Question, ask
from tenants.admin.base import Admin, WordedForm
from tenants.admin.figures import budget, column, limit
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled
from tenants.models import TenantPlan

_STATUS_COLOURS = {"Draft": "info", "Active": "success", "Deprecated": "warning"}
_OFFERED = {PlanStatus.DRAFT: ("publish", "simulate"), PlanStatus.ACTIVE: ("make_draft", "roll_back")}


class PublishForm(forms.Form):
    """When those who hold the revision before move to it."""

    at = forms.ChoiceField(
        label="They move",
        choices=[(When.NOW, "Now"), (When.NEXT_PERIOD, "Each at the end of its running month")],
        widget=UnfoldAdminSelectWidget,
    )


class UnsimulatedForm(PublishForm):
    """The same for a draft that was not tried on recorded traffic since its last edit."""

    unsimulated = forms.BooleanField(
        label="Publish it although it was not simulated since its last edit",
        widget=UnfoldBooleanWidget,
        error_messages={"required": "Simulate the draft first, or tick this."},
    )


class PlanForm(WordedForm):
    """A plan; its budget is entered in USD."""

    class Meta:
        model = Plan
        fields = ("code", "name", "max_seats", "monthly_budget_nano_usd")
        labels = {"monthly_budget_nano_usd": "Monthly budget (USD)"}
        help_texts = {
            "monthly_budget_nano_usd": "Money a tenant may spend a month; empty = unlimited, 0 = nothing.",
        }


@admin.register(Plan)
class PlanAdmin(Admin):
    """What tenants are sold."""

    form = PlanForm
    usd_fields = ("monthly_budget_nano_usd",)
    limit_fields = ("max_seats", "monthly_budget_nano_usd")
    list_display = [
        "__str__", "name", "shown_status", column("max_seats", "Seats", limit),
        column("monthly_budget_nano_usd", "Budget/month (USD)", budget), column("tenant_count", "Tenants now"),
        "created_at",
    ]  # fmt: skip
    list_filter = ["status"]
    search_fields = ["code", "name"]
    date_hierarchy = "created_at"
    actions_detail = ["publish", "simulate", "make_draft", "roll_back"]
    readonly_fields = ["revision", "status", "based_on", "simulated_at", "created_at"]
    inlines = [PlanFeatureInline, PlanTaskInline, PlanRuleInline]
    fieldsets = [
        (
            None,
            {
                "fields": ["code", "revision", "name", "status", "based_on", "simulated_at", "created_at"],
                "description": "A revision is a plan of its own. All of this page can change while it is a draft.",
            },
        ),
        (
            "For the whole tenant",
            {
                "fields": ["max_seats", "monthly_budget_nano_usd"],
                "description": "Seats count people. The budget is shared by all features.",
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        on_it = TenantPlan.objects.filter(plan=OuterRef("pk")).order_by().values("plan")
        found: QuerySet[Plan] = super().get_queryset(request)
        return found.annotate(tenant_count=Coalesce(Subquery(on_it.annotate(n=Count("pk")).values("n")), 0))

    def why_read_only(self, row: Plan) -> str | None:
        return why_frozen(row)

    @labelled(description="Status", ordering="status", label=_STATUS_COLOURS)
    def shown_status(self, plan: Plan) -> str:
        return plan.status.capitalize()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:  # noqa: ANN401 - as in Unfold
        plan = self.get_object(request, str(object_id))
        if plan is None:
            return []
        names = {f"plans_plan_{name}" for name in _OFFERED.get(plan.status, ())}
        if plan.predecessor is None:
            names.discard("plans_plan_roll_back")
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [one for one in offered if one.action_name in names]

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:  # noqa: ANN401
        """What was not touched is not written: it may have changed since, as `simulated_at` does."""
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name in form.fields])
        else:
            super().save_model(request, obj, form, change)

    @action(description="Publish", permissions=["change"], icon="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen, now = self.chosen(request, None, object_id), datetime.now(UTC)
        plan: Plan = chosen.get()
        if plan.status != PlanStatus.DRAFT:
            messages.error(request, f"{plan} is published already.")
            return self.back_to(object_id)
        found = publishing.contradictions(plan, now=now)
        errors = [each for each in found if each.is_error]
        if errors:
            for each in errors:
                messages.error(request, each.text)
            return self.back_to(object_id)
        affected = publishing.affected(plan, now=now)
        later = publishing.affected(plan, now=now, at=When.NEXT_PERIOD)
        question = Question(
            deed="Publish {}",
            consequence="Tenants can be put on it from now on, and what it promises can never change again."
            + (f" Those on {plan.predecessor} are moved to it." if affected else " No tenant is affected."),
            details=(
                ("What changes", tuple(str(each) for each in publishing.diff(plan))),
                ("Please note", tuple(each.text for each in found)),
                (_who(affected), tuple(str(group) for group in publishing.grouped(affected))),
                ("At their next period", tuple(str(group) for group in publishing.grouped(later))),
            ),
        )
        is_tried = plan.simulated_at is not None or not affected
        answer = ask(self, request, chosen, question, PublishForm if is_tried else UnsimulatedForm)
        if isinstance(answer, HttpResponse):
            return answer
        at = When(answer.cleaned_data["at"])
        try:
            done = publishing.publish(plan, now=now, at=at, unsimulated=not is_tried, by=str(request.user))
        except PublishingError as refusal:
            messages.error(request, str(refusal))
        else:
            how = f"{at}{'' if is_tried else ', not simulated'}"
            self.log_change(request, plan, f"Published ({how}): {done.counted}.")
            messages.success(request, f"{plan} is active now. {done.counted}.")
            for group in publishing.grouped(done.moves):
                if group.is_left:
                    messages.warning(request, str(group))
        return self.back_to(object_id)

    @action(description="Simulate", permissions=["change"], icon="query_stats")
    def simulate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Simulations are above plans: their page is known by its name alone."""
        return HttpResponseRedirect(f"{reverse('admin:enforcement_simulation_add')}?plan={object_id}")

    @action(description="Make a draft", permissions=["change"], icon="edit_document")
    def make_draft(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self.chosen(request, None, object_id)
        plan: Plan = chosen.get()
        drafts = Plan.objects.filter(code=plan.code, status=PlanStatus.DRAFT)
        question = Question(
            deed="Make a draft of {}",
            consequence="The draft is the plan's next revision and promises the same, until you edit it. Nothing is in "
            "force before you publish it.",
            is_destructive=False,
            details=(("There is a draft already", tuple(str(draft) for draft in drafts)),),
        )
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        try:
            made = publishing.draft(plan.code)
        except PublishingError as refusal:
            messages.error(request, str(refusal))
            return self.back_to(object_id)
        self.log_change(request, made, f"Drafted from {made.based_on}.")
        messages.success(request, f"{made} is a draft: edit it here, then publish it.")
        return self.back_to(made.pk)

    @action(description="Roll back", permissions=["change"], icon="undo")
    def roll_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen, now = self.chosen(request, None, object_id), datetime.now(UTC)
        plan: Plan = chosen.get()
        try:
            affected = publishing.affected_by_rollback(plan, now=now)
        except PublishingError as refusal:
            messages.error(request, str(refusal))
            return self.back_to(object_id)
        question = Question(
            deed="Roll back {}",
            consequence=f"{plan.predecessor} is active again, and all who hold {plan} are put back on it, now.",
            details=((_who(affected), tuple(str(group) for group in publishing.grouped(affected))),),
        )
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        try:
            done = publishing.rollback(plan, now=now, by=str(request.user))
        except PublishingError as refusal:
            messages.error(request, str(refusal))
            return self.back_to(object_id)
        self.log_change(request, plan, f"Rolled back to {done.plan}: {done.counted}.")
        messages.success(request, f"{done.plan} is active again. {done.counted}.")
        return self.back_to(done.plan.pk)


def _who(affected: tuple[Move, ...]) -> str:
    return f"Who is affected: {len(affected):,} {'tenant' if len(affected) == 1 else 'tenants'}"
