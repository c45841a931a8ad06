"""The models behind each class and what they cost. Provider model ids are for super admins alone."""

from datetime import datetime
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q

from plans.models.vocabulary import CODE_PATTERN, ModelClass
from tenants import versions
from tenants.ids import uuid7
from tenants.models import one_of

MAX_PRICE = 10**12
MAX_CALL_PRICE = 10**15


class PriceUnit(models.TextChoices):
    INPUT = "INPUT", "Input tokens"
    CACHED_INPUT = "CACHED_INPUT", "Input tokens read from the cache"
    CACHE_WRITE = "CACHE_WRITE", "Input tokens written to the cache"
    CACHE_WRITE_1H = "CACHE_WRITE_1H", "Input tokens written to the cache for an hour"
    OUTPUT = "OUTPUT", "Output tokens"
    REASONING = "REASONING", "Output tokens of reasoning"
    CALL = "CALL", "Calls"
    WEB_SEARCH = "WEB_SEARCH", "Web searches"


NOT_TOKENS = (PriceUnit.CALL, PriceUnit.WEB_SEARCH)


class Provider(models.Model):
    """A vendor of models; its code is what a commit sends as “api_code”."""

    code = models.CharField(
        primary_key=True,
        max_length=48,
        validators=[RegexValidator(CODE_PATTERN, "Upper-case letters, digits and _ only.")],
        help_text="What a commit sends as “api_code”.",
    )
    name = models.CharField(max_length=100, help_text="How people read it.")

    class Meta:
        ordering = ["code"]
        constraints = [models.CheckConstraint(condition=Q(code__regex=CODE_PATTERN), name="plans_provider_code")]

    def __str__(self) -> str:
        return self.code


class LLMModelQuerySet(models.QuerySet["LLMModel"]):
    def active(self) -> Self:
        return self.filter(is_active=True)

    def unpriced(self, now: datetime) -> Self:
        """Models that lack the price of a token in or out at `now`: what they cost is not known."""
        begun = ModelPrice.objects.valid_at(now).filter(model=OuterRef("pk"), is_batch=False, above_input_tokens=0)
        return self.exclude(Exists(begun.filter(unit=PriceUnit.INPUT)), Exists(begun.filter(unit=PriceUnit.OUTPUT)))


class LLMModel(models.Model):
    """One provider's model, in the class it serves."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="models")
    model_id = models.CharField(max_length=128, help_text="The provider's own name; never shown to tenants.")
    model_class = models.ForeignKey(ModelClass, on_delete=models.PROTECT, related_name="models")
    priority = models.PositiveSmallIntegerField(default=10, help_text="Lower is tried first within a class.")
    is_active = models.BooleanField(default=True, help_text="A retired model stays priced for late commits.")

    objects = LLMModelQuerySet.as_manager()

    class Meta:
        verbose_name = "LLM model"
        ordering = ["model_class", "priority", "model_id"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "model_id"], name="plans_llmmodel_provider_model_id")
        ]
        triggers = versions.counted(
            versions.OF_CATALOGUE,
            columns=["provider_id", "model_id", "model_class_id", "priority", "is_active"],
        )

    def __str__(self) -> str:
        return self.model_id


class ModelPriceQuerySet(models.QuerySet["ModelPrice"]):
    def valid_at(self, now: datetime) -> Self:
        """Prices that had begun by `now`; the latest per model, unit, batch and tier is the one in force."""
        return self.filter(valid_from__lte=now)


class ModelPrice(models.Model):
    """What a million of something that calls are billed for costs from an instant on."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    model = models.ForeignKey(LLMModel, on_delete=models.CASCADE, related_name="prices")
    unit = models.CharField(
        max_length=16,
        choices=PriceUnit,
        help_text="What it is the price of. Without a price of its own, what is cached costs as input and reasoning as "
        "output; calls are free, and searches of unknown price.",
    )
    is_batch = models.BooleanField(
        "of batched calls",
        default=False,
        help_text="The price holds for batched calls alone. Where there is none, they cost what any other call does.",
    )
    above_input_tokens = models.PositiveIntegerField(
        default=0, help_text="The price holds for calls with more input tokens than this; 0 = the base price."
    )
    nano_usd_per_million = models.BigIntegerField(
        validators=[MinValueValidator(0), MaxValueValidator(MAX_CALL_PRICE)],
        help_text="Nano-USD for a million of them: USD 3 is 3,000,000,000.",
    )
    valid_from = models.DateTimeField(help_text="From when; the latest start that has passed is what counts.")

    objects = ModelPriceQuerySet.as_manager()

    class Meta:
        ordering = ["model", "unit", "is_batch", "above_input_tokens", "-valid_from"]
        constraints = [
            one_of("unit", PriceUnit, "plans_modelprice_unit"),
            models.CheckConstraint(
                condition=Q(nano_usd_per_million__range=(0, MAX_PRICE))
                | Q(nano_usd_per_million__range=(0, MAX_CALL_PRICE), unit__in=NOT_TOKENS),
                name="plans_modelprice_price",
            ),
            models.UniqueConstraint(
                fields=["model", "unit", "is_batch", "above_input_tokens", "valid_from"], name="plans_modelprice_once"
            ),
        ]
        triggers = versions.counted(
            versions.OF_CATALOGUE,
            columns=["model_id", "unit", "is_batch", "above_input_tokens", "nano_usd_per_million", "valid_from"],
        )

    def __str__(self) -> str:
        return f"{self.model_id} {self.unit}"
