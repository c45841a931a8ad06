"""What a plan promises: features with their quotas, and tasks with their model classes.

They are edited on their draft's page, and listed here across plans.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from plans.models import (
    ModelClass,
    Overage,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanLLMAccessClass,
    PlanStatus,
    Task,
    TaskKind,
)
from tenants.admin.base import Admin, Inline, ReadOnlyAdmin, WordedForm
from tenants.admin.figures import column, limit, text

QUOTAS = ("daily_quota", "monthly_quota", "daily_token_limit", "monthly_token_limit")
_SORTED_QUOTAS = [
    column("daily_quota", "Units/day", limit),
    column("monthly_quota", "Units/month", limit),
    column("daily_token_limit", "Tokens/day", limit),
    column("monthly_token_limit", "Tokens/month", limit),
]


def why_frozen(plan: Plan) -> str | None:
    """Why a plan's promises cannot be changed; None for a draft."""
    if plan.status == PlanStatus.DRAFT:
        return None
    return (
        f"{plan} is {plan.get_status_display().split(':')[0].lower()}: what it promises cannot change under those who "
        "have it. Only a draft can be edited."
    )


class FeatureForm(WordedForm):
    """A feature of a plan, its limits in few words."""

    class Meta:
        model = PlanFeature
        fields = ("plan", "feature", "enabled", *QUOTAS, "overage")
        labels = {
            "daily_quota": "Units/day", "monthly_quota": "Units/month", "daily_token_limit": "Tokens/day",
            "monthly_token_limit": "Tokens/month",
        }  # fmt: skip


class OfPlanAdmin(Admin):
    """Rows of a plan: open while it is a draft; made for drafts only."""

    def why_read_only(self, row: Any) -> str | None:  # noqa: ANN401 - a row with a plan, or without
        return why_frozen(row.plan) if row.plan is not None else None

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ANN401
        if db_field.name == "plan":
            kwargs["queryset"] = Plan.objects.filter(status=PlanStatus.DRAFT)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class OfPlanInline(Inline):
    """Rows on their plan's page: open while it is a draft."""

    related: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        return found.select_related(*self.related)

    def _is_open(self, plan: Plan | None) -> bool:
        return plan is None or plan.status == PlanStatus.DRAFT

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return super().has_add_permission(request, obj) and self._is_open(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return super().has_change_permission(request, obj) and self._is_open(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return super().has_delete_permission(request, obj) and self._is_open(obj)

    def formfield_for_foreignkey(
        self,
        db_field: ForeignKey[Any],
        request: HttpRequest,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - as in Django
        """Choices read once for all rows, and no links to make another code from here."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if isinstance(field, forms.ModelChoiceField):
            field.choices = list(field.choices)  # type: ignore[arg-type]  # it is iterable
        return field

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ANN401
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        for link in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
            if field is not None and hasattr(field.widget, link):
                setattr(field.widget, link, False)
        return field


class TaskForm(WordedForm):
    """A task of a plan with the classes allowed for it, ticked."""

    model_classes = forms.ModelMultipleChoiceField(
        ModelClass.objects.all(),
        label="Allowed classes",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = PlanLLMAccess
        fields = ("plan", "task", "default_class", "allow_downgrade")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.initial["model_classes"] = [row.model_class_id for row in self.instance.classes.all()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        task: Task | None = cleaned.get("task") or getattr(self.instance, "task", None)
        allowed, default = cleaned.get("model_classes"), cleaned.get("default_class")
        if task is None or allowed is None:
            return cleaned
        if task.kind == TaskKind.API:
            if allowed or default is not None:
                raise ValidationError(f"{task} is an API task, which has no model classes.")
        elif not allowed:
            self.add_error("model_classes", f"{task} calls a model: allow at least one class.")
        elif default is not None and default not in allowed:
            self.add_error("default_class", "The default must be one of the allowed classes.")
        return cleaned

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]  # the stubs lack it
        wanted = {model_class.pk for model_class in self.cleaned_data["model_classes"]}
        for row in list(self.instance.classes.all()):
            if row.model_class_id in wanted:
                wanted.remove(row.model_class_id)
            else:
                row.delete()
        for code in sorted(wanted):
            PlanLLMAccessClass.objects.create(access=self.instance, model_class_id=code)


class PlanFeatureInline(OfPlanInline):
    """The features of a plan."""

    model = PlanFeature
    form = FeatureForm
    related = ("feature",)
    limit_fields = QUOTAS
    fields = ["feature", "enabled", *QUOTAS, "overage"]
    verbose_name = "feature"
    verbose_name_plural = "features"

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ANN401
        if db_field.name == "overage":  # a word each: the column is narrow
            kwargs["choices"] = [(one.value, one.value.capitalize()) for one in Overage]
        return super().formfield_for_choice_field(db_field, request, **kwargs)


class PlanTaskInline(OfPlanInline):
    """The tasks of a plan."""

    model = PlanLLMAccess
    form = TaskForm
    related = ("task", "default_class")
    fields = ["task", "model_classes", "default_class", "allow_downgrade"]
    verbose_name = "task"
    verbose_name_plural = "tasks"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanLLMAccess]:
        return super().get_queryset(request).prefetch_related("classes")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401 - as in Django
        formset = super().get_formset(request, obj, **kwargs)
        field = formset.form.base_fields.get("model_classes")
        if isinstance(field, forms.ModelMultipleChoiceField):
            field.choices = list(field.choices)  # type: ignore[arg-type]  # it is iterable
        return formset

    @display(description="Allowed classes", empty_value="–")
    def model_classes(self, access: PlanLLMAccess) -> str:
        return ", ".join(row.model_class_id for row in access.classes.all()) or "–"


@admin.register(PlanFeature)
class PlanFeatureAdmin(OfPlanAdmin):
    """The promise of each feature in each plan."""

    form = FeatureForm
    limit_fields = QUOTAS
    list_display = [text("feature_id", "Feature"), "plan", "enabled", *_SORTED_QUOTAS, "overage"]
    list_filter = [("plan", RelatedDropdownFilter), ("feature", RelatedDropdownFilter), "enabled", "overage"]
    list_select_related = ["plan"]
    search_fields = ["feature__code", "feature__name", "plan__code", "plan__name"]
    autocomplete_fields = ["feature"]
    fieldsets = [
        (None, {"fields": ["plan", "feature", "enabled"]}),
        (
            "Quotas",
            {
                "fields": [*QUOTAS, "overage"],
                "description": "Units are those of the feature. Days and months are each tenant's own.",
            },
        ),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: PlanFeature | None = None) -> list[str]:
        return ["plan", "feature"] if obj else []


@admin.register(PlanLLMAccess)
class PlanTaskAdmin(OfPlanAdmin):
    """The tasks of each plan, with the classes allowed for them."""

    form = TaskForm
    list_display = [
        text("task_id", "Task"),
        "plan",
        "model_classes",
        text("default_class_id", "Default"),
        "allow_downgrade",
    ]
    list_filter = [
        ("plan", RelatedDropdownFilter), ("task", RelatedDropdownFilter), ("allowed_classes", RelatedDropdownFilter),
    ]  # fmt: skip
    list_select_related = ["plan"]
    search_fields = ["task__code", "task__name", "plan__code", "plan__name"]
    autocomplete_fields = ["task", "default_class"]
    fieldsets = [
        (None, {"fields": ["plan", "task"]}),
        (
            "Model classes",
            {
                "fields": ["model_classes", "default_class", "allow_downgrade"],
                "description": "For an LLM task: the default is used where a call names none. An API task has none.",
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanLLMAccess]:
        found: QuerySet[PlanLLMAccess] = super().get_queryset(request)
        return found.prefetch_related("classes")

    def get_readonly_fields(self, request: HttpRequest, obj: PlanLLMAccess | None = None) -> list[str]:
        return ["plan", "task"] if obj else []

    @display(description="Allowed classes")
    def model_classes(self, access: PlanLLMAccess) -> str:
        return ", ".join(row.model_class_id for row in access.classes.all()) or "–"


@admin.register(PlanLLMAccessClass)
class PlanTaskClassAdmin(ReadOnlyAdmin):
    """Which plan allows which class for which task; ticked on the plan's page."""

    list_display = [text("model_class_id", "Class"), "plan", "task"]
    list_filter = [
        ("model_class", RelatedDropdownFilter), ("access__plan", RelatedDropdownFilter),
        ("access__task", RelatedDropdownFilter),
    ]  # fmt: skip
    list_select_related = ["access__plan"]
    search_fields = ["model_class__code", "access__plan__code", "access__task__code"]
    fieldsets = [
        (
            None,
            {"fields": ["plan", "task", "model_class"], "description": "Ticked at the task, on the plan's page."},
        )
    ]  # fmt: skip
    readonly_fields = ["plan", "task"]

    @display(description="Plan", ordering="access__plan__code")
    def plan(self, row: PlanLLMAccessClass) -> str:
        return str(row.access.plan)

    @display(description="Task", ordering="access__task")
    def task(self, row: PlanLLMAccessClass) -> str:
        return row.access.task_id
