"""Tenants."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import display
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter

from tenants.admin.asking import Question, ask
from tenants.admin.base import Admin
from tenants.admin.figures import column
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled
from tenants.models import Tenant, TenantStatus, User

_STATUS_COLOURS = {TenantStatus.ACTIVE.label: "success", TenantStatus.SUSPENDED.label: "danger"}


@admin.register(Tenant)
class TenantAdmin(Admin):
    """A tenant's identity, standing and calendar; its plan is on its root token."""

    list_display = [
        "ati_id", "name", "shown_status", "plan_code", "enforcement_mode", column("people", "People"),
        "timezone", "created_at",
    ]  # fmt: skip
    list_filter = ["status", "enforcement_mode", ("current_plan__plan", RelatedDropdownFilter)]
    list_select_related = ["current_plan__plan"]
    search_fields = ["ati_id", "name"]
    date_hierarchy = "created_at"
    actions = ["suspend", "activate"]
    actions_detail = ["suspend", "activate"]
    readonly_fields = [
        "status", "plan_code", "plan_dates", "related_pages", "calendar_since", "next_timezone",
        "next_billing_anchor_day", "next_calendar_at", "created_at",
    ]  # fmt: skip
    add_fieldsets = [
        (None, {"fields": ["ati_id", "name"], "description": "Next, issue its root token: it carries the plan."}),
        ("Enforcement", {"fields": ["enforcement_mode"]}),
        (
            "Calendar",
            {
                "fields": ["timezone", "billing_anchor_day"],
                "description": "When its days and months begin. A later change takes effect at the end of a month.",
            },
        ),
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["ati_id", "name", "status", "created_at", "related_pages"]}),
        (
            "Plan",
            {
                "fields": ["plan_code", "plan_dates"],
                "description": "Read from its root token, which alone carries it.",
            },
        ),
        (
            "Enforcement",
            {"fields": ["enforcement_mode"], "description": "Whether its limits bind, or are only watched."},
        ),
        (
            "Calendar",
            {
                "fields": [
                    "timezone", "billing_anchor_day", "calendar_since", "next_timezone",
                    "next_billing_anchor_day", "next_calendar_at",
                ],
                "description": "A change takes effect at the end of the running month, so that no edit gives a "
                "second quota.",
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        people = User.objects.filter(tenant=OuterRef("pk")).order_by().values("tenant").annotate(n=Count("pk"))
        tenants: QuerySet[Tenant] = super().get_queryset(request)
        return tenants.annotate(people=Coalesce(Subquery(people.values("n")), 0))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        # Once it has its root token it has a history; it is suspended instead.
        is_new = getattr(obj, "root_token_id", None) is None
        return super().has_delete_permission(request, obj) and is_new

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> list[str]:
        fixed = ["ati_id", "timezone", "billing_anchor_day"] if obj else []
        return [*self.readonly_fields, *fixed]

    @labelled(description="Status", ordering="status", label=_STATUS_COLOURS)
    def shown_status(self, tenant: Tenant) -> str:
        return TenantStatus(tenant.status).label

    @display(description="Plan", empty_value="none in force")
    def plan_code(self, tenant: Tenant) -> str | None:
        current = getattr(tenant, "current_plan", None)
        return str(current.plan) if current else None

    @display(description="In force", empty_value="–")
    def plan_dates(self, tenant: Tenant) -> SafeString | None:
        root = tenant.root_token
        if root is None:
            url = reverse("admin:tenants_atitoken_add")
            return format_html(
                'It has no root token yet. <a class="text-link" href="{}?tenant={}">Issue it</a>', url, tenant.pk
            )
        current = getattr(tenant, "current_plan", None)
        until = f" to {current.until:%d %b %Y %H:%M} UTC" if current and current.until else ""
        since = f"since {current.since:%d %b %Y %H:%M} UTC{until} · " if current else "no plan is in force · "
        url = reverse("admin:tenants_atitoken_change", args=[root.pk])
        return format_html('{}<a class="text-link" href="{}">root token {}</a>', since, url, root)

    @display(description="See also")
    def related_pages(self, tenant: Tenant) -> SafeString:
        lists = [("People", "user"), ("ATI tokens", "atitoken"), ("Service keys", "servicekey")]
        return format_html_join(
            " · ",
            '<a class="text-link" href="{}?tenant__id__exact={}">{}</a>',
            ((reverse(f"admin:tenants_{model}_changelist"), tenant.pk, name) for name, model in lists),
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:  # noqa: ANN401 - as in Unfold
        tenant = self.get_object(request, str(object_id))
        hidden = "suspend" if tenant and tenant.status == TenantStatus.SUSPENDED else "activate"
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [one for one in offered if not one.action_name.endswith(f"_{hidden}")]

    @action(description="Suspend", permissions=["change"], icon="block")
    def suspend(
        self, request: HttpRequest, queryset: QuerySet[Tenant] | None = None, object_id: str | None = None
    ) -> HttpResponse | None:
        question = Question(
            deed="Suspend {}",
            consequence="Every new call is refused with TENANT_SUSPENDED from the next request on. Usage that has "
            "begun is still booked, and nothing is deleted.",
        )
        return self._set_status(request, queryset, object_id, TenantStatus.SUSPENDED, question)

    @action(description="Activate", permissions=["change"], icon="check_circle")
    def activate(
        self, request: HttpRequest, queryset: QuerySet[Tenant] | None = None, object_id: str | None = None
    ) -> HttpResponse | None:
        question = Question(
            deed="Activate {}",
            consequence="Its people and services may call again, within its plan.",
            is_destructive=False,
        )
        return self._set_status(request, queryset, object_id, TenantStatus.ACTIVE, question)

    def _set_status(
        self,
        request: HttpRequest,
        queryset: QuerySet[Tenant] | None,
        object_id: str | None,
        status: TenantStatus,
        question: Question,
    ) -> HttpResponse | None:
        chosen = self.chosen(request, queryset, object_id)
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        tenants = list(chosen.exclude(status=status))
        for tenant in tenants:
            tenant.status = status
            tenant.save(update_fields=["status"])
            self.log_change(request, tenant, f"{status.label}.")
        messages.success(
            request, f"{len(tenants):,} {'is' if len(tenants) == 1 else 'are'} {status.label.lower()} now."
        )
        return self.back_to(object_id)
