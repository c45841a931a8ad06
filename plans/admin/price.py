"""The models behind each class, and what they cost."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

from plans.models import LLMModel, ModelPrice, Provider
from tenants.admin.base import Admin, Inline, WordedForm
from tenants.admin.figures import column, text, usd


class PriceForm(WordedForm):
    """A price; entered in USD per million tokens."""

    class Meta:
        model = ModelPrice
        fields = ("model", "unit", "is_batch", "above_input_tokens", "nano_usd_per_million", "valid_from")
        labels = {"nano_usd_per_million": "USD per million", "valid_from": "Valid from (UTC)"}
        help_texts = {
            "nano_usd_per_million": "What a million of these tokens cost, such as 3 or 0.075; of searches or calls at "
            "USD 10 a thousand it is 10000."
        }


class PriceInline(Inline):
    """A model's prices, the latest first."""

    model = ModelPrice
    form = PriceForm
    usd_fields = ("nano_usd_per_million",)
    ordering = ["unit", "is_batch", "above_input_tokens", "-valid_from"]
    verbose_name_plural = "prices"


@admin.register(Provider)
class ProviderAdmin(Admin):
    """Vendors of models."""

    list_display = ["code", "name", column("model_count", "Models")]
    search_fields = ["code", "name"]
    fieldsets = [(None, {"fields": ["code", "name"], "description": "The code is fixed: commits send it."})]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        found: QuerySet[Provider] = super().get_queryset(request)
        return found.annotate(model_count=Count("models"))

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> list[str]:
        return ["code"] if obj else []


class PricedFilter(SimpleListFilter):
    """Models with, or without, a price of tokens in and out now."""

    title = "price"
    parameter_name = "priced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - as in Django
        return [("yes", "Priced"), ("no", "Without a price")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LLMModel]) -> QuerySet[LLMModel]:
        unpriced = LLMModel.objects.unpriced(timezone.now())
        match self.value():
            case "yes":
                return queryset.exclude(pk__in=unpriced)
            case "no":
                return queryset.filter(pk__in=unpriced)
        return queryset


@admin.register(LLMModel)
class LLMModelAdmin(Admin):
    """Providers' models in the classes they serve. Tenants never see these names."""

    list_display = [
        "model_id", text("provider_id", "Provider"), text("model_class_id", "Class"), column("priority", "Priority"),
        "is_active", column("price_count", "Prices"),
    ]  # fmt: skip
    list_filter = [
        "is_active",
        PricedFilter,
        ("provider", RelatedDropdownFilter),
        ("model_class", RelatedDropdownFilter),
    ]
    search_fields = ["model_id", "provider__code", "model_class__code"]
    autocomplete_fields = ["provider", "model_class"]
    inlines = [PriceInline]
    fieldsets = [
        (None, {"fields": ["provider", "model_id"]}),
        (
            "Use",
            {
                "fields": ["model_class", "priority", "is_active"],
                "description": "Within a class, the active model of the lowest priority number is tried first.",
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[LLMModel]:
        found: QuerySet[LLMModel] = super().get_queryset(request)
        return found.annotate(price_count=Count("prices"))

    def get_readonly_fields(self, request: HttpRequest, obj: LLMModel | None = None) -> list[str]:
        # The log and its prices name the model by these two.
        return ["provider", "model_id"] if obj else []


@admin.register(ModelPrice)
class ModelPriceAdmin(Admin):
    """Prices over time; the latest start that has passed is what counts."""

    form = PriceForm
    usd_fields = ("nano_usd_per_million",)
    list_display = [
        "model", "unit", "is_batch", column("nano_usd_per_million", "USD per million", usd),
        column("above_input_tokens", "Above input tokens"), "valid_from",
    ]  # fmt: skip
    list_filter = [
        "unit",
        "is_batch",
        ("model", AutocompleteSelectFilter),
        ("model__model_class", RelatedDropdownFilter),
    ]
    list_select_related = ["model"]
    search_fields = ["model__model_id", "model__provider__code"]
    autocomplete_fields = ["model"]
    date_hierarchy = "valid_from"
    fieldsets = [
        (None, {"fields": ["model", "unit", "is_batch", "above_input_tokens"]}),
        (
            "Price",
            {
                "fields": ["nano_usd_per_million", "valid_from"],
                "description": "A new price is a new row with its start, so that late usage is priced as of its time.",
            },
        ),
    ]  # fmt: skip
