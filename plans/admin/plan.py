"""Plans: a draft is edited on one page with all it promises; what is live can only be looked at."""

from typing import Any

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse

from plans.admin.policy import PlanRuleInline
from plans.admin.promise import PlanFeatureInline, PlanTaskInline, why_frozen
from plans.models import Plan, PlanStatus
from tenants.admin.asking import Question, ask
from tenants.admin.base import Admin, WordedForm
from tenants.admin.figures import budget, column, limit
from tenants.admin.refusals import refusal_of
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled
from tenants.models import TenantPlan

_STATUS_COLOURS = {"Draft": "info", "Active": "success", "Deprecated": "warning"}


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
    actions_detail = ["publish"]
    readonly_fields = ["revision", "status", "based_on", "created_at"]
    inlines = [PlanFeatureInline, PlanTaskInline, PlanRuleInline]
    fieldsets = [
        (
            None,
            {
                "fields": ["code", "revision", "name", "status", "based_on", "created_at"],
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
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered if plan is not None and plan.status == PlanStatus.DRAFT else []

    @action(description="Publish", permissions=["change"], icon="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self.chosen(request, None, object_id)
        plan: Plan = chosen.get()
        if plan.status != PlanStatus.DRAFT:
            messages.error(request, f"{plan} is published already.")
            return self.back_to(object_id)
        question = Question(
            deed="Publish {}",
            consequence="Tenants can be put on it from now on, and what it promises can never change again.",
        )
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        plan.status = PlanStatus.ACTIVE
        try:
            with transaction.atomic():
                plan.save(update_fields=["status"])
        except IntegrityError as error:
            refusal = refusal_of(error)
            messages.error(request, refusal.sentence if refusal else str(error))
        else:
            self.log_change(request, plan, "Published.")
            messages.success(request, f"{plan} is active now.")
        return self.back_to(object_id)
