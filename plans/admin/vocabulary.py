"""Features, tasks and model classes. What a code means never changes, so codes are fixed once made."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse

from plans.models import Feature, FeatureCode, LLMModel, ModelClass, ModelClassCode, Task, TaskCode
from tenants.admin.asking import Question, ask
from tenants.admin.base import Admin, WordedForm
from tenants.admin.figures import column, text, usd
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled

MODE_COLOURS = {"Enforce": "success", "Observe": "warning", "Off": "danger"}


class _Vocabulary(Admin):
    """A page of codes: those that the programs name can be renamed for people, not deleted."""

    named: frozenset[str] = frozenset()
    fixed: tuple[str, ...] = ("code",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ANN401
        return [*self.readonly_fields, *(self.fixed if obj else ())]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return super().has_delete_permission(request, obj) and getattr(obj, "code", None) not in self.named


@admin.register(Feature)
class FeatureAdmin(_Vocabulary):
    """What customers buy by the unit."""

    named = frozenset(FeatureCode.values)
    fixed = ("code", "unit")
    list_display = ["code", "name", "unit", "shown_mode", "on_failure", column("task_count", "Tasks")]
    list_filter = ["unit", "enforcement_mode", "on_failure"]
    search_fields = ["code", "name"]
    fieldsets = [
        (
            None,
            {
                "fields": ["code", "name", "unit"],
                "description": "Code and unit are fixed for ever: quotas and the log are counted in them.",
            },
        ),
        (
            "Enforcement",
            {
                "fields": ["enforcement_mode", "on_failure"],
                "description": "Whether its limits bind, and what clients do while this service cannot be reached.",
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feature]:
        found: QuerySet[Feature] = super().get_queryset(request)
        return found.annotate(task_count=Count("tasks"))

    @labelled(description="Mode", ordering="enforcement_mode", label=MODE_COLOURS)
    def shown_mode(self, feature: Feature) -> str:
        return feature.enforcement_mode.capitalize()


class TaskForm(WordedForm):
    """A task; money is entered in USD."""

    class Meta:
        model = Task
        fields = ("code", "name", "feature", "kind", "price_per_unit_nano_usd")
        labels = {"price_per_unit_nano_usd": "Price per unit (USD)"}
        help_texts = {
            "price_per_unit_nano_usd": "API tasks only: what a unit of the feature costs; empty = unknown, which is "
            "refused where a budget applies."
        }


@admin.register(Task)
class TaskAdmin(_Vocabulary):
    """The calls that consume a feature."""

    form = TaskForm
    named = frozenset(TaskCode.values)
    fixed = ("code", "feature", "kind")
    usd_fields = ("price_per_unit_nano_usd",)
    list_display = [
        "code",
        "name",
        text("feature_id", "Feature"),
        "kind",
        column("price_per_unit_nano_usd", "Price/unit (USD)", usd),
    ]
    list_filter = ["kind", "feature"]
    search_fields = ["code", "name"]
    autocomplete_fields = ["feature"]
    fieldsets = [
        (
            None,
            {
                "fields": ["code", "name", "feature", "kind"],
                "description": "Code, feature and kind are fixed for ever: the log refers to them.",
            },
        ),
        ("Price", {"fields": ["price_per_unit_nano_usd"], "description": "LLM tasks are priced by their model."}),
    ]  # fmt: skip


@admin.register(ModelClass)
class ModelClassAdmin(_Vocabulary):
    """Classes of interchangeable models, cheap to dear: the only model names that tenants see."""

    named = frozenset(ModelClassCode.values)
    list_display = ["code", "name", column("rank", "Rank"), "shown_fallback", column("active_models", "Active models")]
    search_fields = ["code", "name"]
    readonly_fields = ["is_fallback"]
    actions_detail = ["make_fallback"]
    fieldsets = [
        (
            None,
            {
                "fields": ["code", "name", "rank", "is_fallback"],
                "description": "Where little is left, a plan may allow the next class of a lower rank. The fallback is "
                "taken where a task has no default class.",
            },
        )
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelClass]:
        active = LLMModel.objects.active().filter(model_class=OuterRef("pk")).order_by().values("model_class")
        found: QuerySet[ModelClass] = super().get_queryset(request)
        return found.annotate(active_models=Coalesce(Subquery(active.annotate(n=Count("pk")).values("n")), 0))

    @labelled(description="Fallback", ordering="is_fallback", label=True)
    def shown_fallback(self, model_class: ModelClass) -> str | None:
        return "Fallback" if model_class.is_fallback else None

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:  # noqa: ANN401 - as in Unfold
        model_class = self.get_object(request, str(object_id))
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [] if model_class is None or model_class.is_fallback else offered

    @action(description="Make it the fallback", permissions=["change"], icon="low_priority")
    def make_fallback(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self.chosen(request, None, object_id)
        question = Question(
            deed="Make {} the fallback",
            consequence="Calls of tasks without a default class get this one from the next request on, in place of the "
            "present fallback.",
            is_destructive=False,
        )
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        with transaction.atomic():
            for before in ModelClass.objects.select_for_update(no_key=True).filter(is_fallback=True):
                before.is_fallback = False
                before.save(update_fields=["is_fallback"])
            model_class = chosen.get()
            model_class.is_fallback = True
            model_class.save(update_fields=["is_fallback"])
        self.log_change(request, model_class, "Made the fallback.")
        messages.success(request, f"{model_class} is the fallback now.")
        return self.back_to(object_id)
