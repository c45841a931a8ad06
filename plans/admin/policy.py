"""Policy rules: numbers that cap a call or limit a meter."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import SimpleListFilter, display
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from plans.admin.promise import OfPlanAdmin, OfPlanInline
from plans.models import MAX_LIMIT, PolicyRule, RuleKey, RuleScope
from tenants.admin.base import WordedForm
from tenants.admin.figures import UNLIMITED, UsdField, budget, limit
from tenants.admin.unfolded import display as labelled

BUDGETS = frozenset({RuleKey.DAILY_BUDGET, RuleKey.MONTHLY_BUDGET})
KEYS = [(key.value, key.label.replace("Nano-USD", "Money")) for key in RuleKey]
_SCOPE_COLOURS = {RuleScope.PLAN.label: "info", RuleScope.TENANT.label: "warning", RuleScope.USER.label: "warning"}
_usd = UsdField()
_whole = forms.IntegerField(min_value=0, max_value=MAX_LIMIT)


def shown_value(rule: PolicyRule) -> str:
    """The number with its separators; a budget in USD."""
    if rule.key == RuleKey.DEGRADE_AT_PERCENT and rule.value is None:
        return "never"
    return f"USD {budget(rule.value)}" if rule.key in BUDGETS and rule.value is not None else limit(rule.value)


class RuleForm(WordedForm):
    """A rule, whose number is entered in USD where it is a budget."""

    value = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": UNLIMITED, "inputmode": "decimal"}),
        help_text="A whole number, or USD for a budget. Empty = unlimited, 0 = nothing.",
    )

    class Meta:
        model = PolicyRule
        fields = (
            "scope", "plan", "tenant", "user_key", "key", "task", "feature", "value", "includes_money", "reason",
            "ends_at",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        key = self.fields.get("key")
        if isinstance(key, forms.ChoiceField):
            key.choices = KEYS
        stored = self.instance.value
        if stored is not None:
            # As text, which is what comes back: an untouched row has not changed.
            self.initial["value"] = _usd.prepare_value(stored) if self.instance.key in BUDGETS else str(stored)

    def clean_value(self) -> int | None:
        typed = self.cleaned_data["value"].replace(",", "")
        key = self.cleaned_data.get("key") or self.instance.key
        value: int | None = (_usd if key in BUDGETS else _whole).clean(typed) if typed else None
        return value

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("ends_at") and "ends_at" in self.changed_data and cleaned["ends_at"] <= datetime.now(UTC):
            self.add_error("ends_at", "This end has passed already.")
        return cleaned


class PlanRuleForm(RuleForm):
    """A rule on its plan's page: its scope is the plan."""

    class Meta:
        model = PolicyRule
        fields = ("key", "feature", "task", "value", "includes_money")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        self.instance.scope = RuleScope.PLAN


class PlanRuleInline(OfPlanInline):
    """Caps and gates of a plan."""

    model = PolicyRule
    form = PlanRuleForm
    related = ("feature", "task")
    ordering = ["key"]
    verbose_name = "cap or gate"
    verbose_name_plural = "caps and gates"

    readonly_fields = ["shown_key", "value_figure"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:  # noqa: ANN401 - a plan
        is_open = self.has_change_permission(request, obj)
        shown = ["key", "feature", "task", "value"] if is_open else ["shown_key", "feature", "task", "value_figure"]
        return [*shown, "includes_money"]

    @display(description="Key")
    def shown_key(self, rule: PolicyRule) -> str:
        return dict(KEYS)[rule.key]

    @display(description="Value")
    def value_figure(self, rule: PolicyRule) -> str:
        return shown_value(rule)


class EndFilter(SimpleListFilter):
    """Exceptions that bind, or that are over."""

    title = "end"
    parameter_name = "end"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("binding", "Binds now"), ("over", "Is over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PolicyRule]) -> QuerySet[PolicyRule]:
        now = datetime.now(UTC)
        if self.value() == "over":
            return queryset.filter(ends_at__lte=now)
        return queryset.exclude(ends_at__lte=now) if self.value() == "binding" else queryset


@admin.register(PolicyRule)
class PolicyRuleAdmin(OfPlanAdmin):
    """Caps and gates: the most specific wins. The defaults for everybody can be changed, not deleted."""

    form = RuleForm
    list_display = ["shown_key", "shown_scope", "subject", "target", "value_figure", "ends_at", "reason"]
    list_filter = [
        "scope", ("key", ChoicesDropdownFilter), EndFilter, "set_by_tenant", ("plan", RelatedDropdownFilter),
        ("tenant", AutocompleteSelectFilter), ("feature", RelatedDropdownFilter), ("task", RelatedDropdownFilter),
    ]  # fmt: skip
    list_select_related = ["plan", "tenant"]
    search_fields = ["key", "user_key", "reason", "tenant__ati_id", "tenant__name", "plan__code"]
    date_hierarchy = "created_at"
    autocomplete_fields = ["tenant", "task", "feature"]
    readonly_fields = ["set_by", "created_at"]
    add_fieldsets = [
        (
            "For whom",
            {
                "fields": ["scope", "plan", "tenant", "user_key"],
                "description": "Everybody; a draft plan; a tenant; or one user of a tenant. The most specific wins: "
                "user, tenant, plan, everybody, each with a task before without.",
            },
        ),
        (
            "What",
            {
                "fields": ["key", "value", "feature", "task", "includes_money"],
                "description": "A cap shapes each call, a gate limits a meter. A quota needs what it counts.",
            },
        ),
        (
            "Exception",
            {"fields": ["reason", "ends_at"], "description": "For a tenant or a user: why, and until when."},
        ),
    ]  # fmt: skip
    fieldsets = [
        (
            None,
            {
                "fields": ["shown_key", "shown_scope", "subject", "target"],
                "description": "What a rule is about stays; make another rule for something else.",
            },
        ),
        (
            "Value",
            {
                "fields": ["value", "includes_money", "reason", "ends_at"],
                "description": "Binds with the next request.",
            },
        ),
        ("History", {"fields": ["set_by", "created_at"]}),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: PolicyRule | None = None) -> list[str]:
        return [*self.readonly_fields, "shown_key", "shown_scope", "subject", "target", "value_figure"]

    def get_fieldsets(self, request: HttpRequest, obj: PolicyRule | None = None) -> Any:  # noqa: ANN401 - as in Unfold
        if obj is None or self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        return [self.fieldsets[0], ("Value", {"fields": ["value_figure"]}), self.fieldsets[2]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyRule]:
        found: QuerySet[PolicyRule] = super().get_queryset(request)
        return found.select_related("plan", "tenant")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return super().has_delete_permission(request, obj) and not (
            isinstance(obj, PolicyRule) and obj.scope == RuleScope.GLOBAL and not (obj.task_id or obj.feature_id)
        )

    @display(description="Key", ordering="key")
    def shown_key(self, rule: PolicyRule) -> str:
        return dict(KEYS)[rule.key]

    @labelled(description="Scope", ordering="scope", label=_SCOPE_COLOURS)
    def shown_scope(self, rule: PolicyRule) -> str:
        return RuleScope(rule.scope).label

    @display(description="Of", empty_value="–")
    def subject(self, rule: PolicyRule) -> str | None:
        if rule.plan is not None:
            return str(rule.plan)
        if rule.tenant is None:
            return None
        return f"{rule.tenant} · {rule.user_key}" if rule.user_key else str(rule.tenant)

    @display(description="On")
    def target(self, rule: PolicyRule) -> str:
        return rule.task_id or rule.feature_id or "every call"

    @display(description="Set by")
    def set_by(self, rule: PolicyRule) -> str:
        return "The tenant's own admin" if rule.set_by_tenant else "A super admin"

    @display(description="Value", ordering="value")
    def value_figure(self, rule: PolicyRule) -> str:
        return shown_value(rule)
