"""What can be metered: features, their tasks, and the classes of models that carry LLM tasks."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from tenants import versions
from tenants.models import EnforcementMode, kept, one_of

CODE_PATTERN = r"^[A-Z][A-Z0-9_]*$"
_code = RegexValidator(CODE_PATTERN, "Upper-case letters, digits and _ only, a letter first.")


class FeatureCode(models.TextChoices):
    """The features that code, seed and tests name; a migration makes their rows."""

    PATENT_DRAFTING = "PATENT_DRAFTING", "Patent drafting"
    PRIOR_ART_SEARCH = "PRIOR_ART_SEARCH", "Prior-art search"
    DIAGRAM_GENERATION = "DIAGRAM_GENERATION", "Diagram generation"
    EMBEDDINGS = "EMBEDDINGS", "Embeddings"
    RERANK = "RERANK", "Rerank"


class TaskCode(models.TextChoices):
    """The tasks that code, seed and tests name; a migration makes their rows."""

    LLM1_PRIOR_ART = "LLM1_PRIOR_ART", "Prior-art analysis"
    LLM2_DRAFT = "LLM2_DRAFT", "Draft"
    LLM3_DIAGRAM = "LLM3_DIAGRAM", "Diagram"
    LLM4_NOVELTY_SCREEN = "LLM4_NOVELTY_SCREEN", "Novelty screening"
    LLM5_NOVELTY_ASSESS = "LLM5_NOVELTY_ASSESS", "Novelty assessment"
    PATENT_OPEN = "PATENT_OPEN", "Open a patent"
    NPL_OPEN = "NPL_OPEN", "Open non-patent literature"
    WEB_META = "WEB_META", "Web page metadata"
    EMBED = "EMBED", "Embed"
    RERANK_CALL = "RERANK_CALL", "Rerank"


class ModelClassCode(models.TextChoices):
    """The model classes that code, seed and tests name; a migration makes their rows."""

    BASE_S = "BASE_S", "Base S"
    BASE_M = "BASE_M", "Base M"
    PRO_M = "PRO_M", "Pro M"
    PRO_L = "PRO_L", "Pro L"
    ADVANCED = "ADVANCED", "Advanced"


class Unit(models.TextChoices):
    REQUESTS = "REQUESTS", "requests"
    TOKENS = "TOKENS", "tokens"
    API_CALLS = "API_CALLS", "API calls"
    ITEMS = "ITEMS", "items"


class OnFailure(models.TextChoices):
    CLOSED = "CLOSED", "Closed: without an answer from here, do not call"
    OPEN = "OPEN", "Open: without an answer from here, call and report the usage later"


class TaskKind(models.TextChoices):
    LLM = "LLM", "LLM call"
    API = "API", "API call"


class Feature(models.Model):
    """Something a customer buys by the unit; quotas are promised on it."""

    code = models.CharField(
        primary_key=True,
        max_length=48,
        validators=[_code],
        help_text="The name services send. It cannot change later.",
    )
    name = models.CharField(max_length=100, help_text="How people read it.")
    unit = models.CharField(max_length=16, choices=Unit, help_text="What its quotas count. It cannot change later.")
    enforcement_mode = models.CharField(
        max_length=16,
        choices=EnforcementMode,
        default=EnforcementMode.ENFORCE,
        help_text="The mildest of tenant, feature and roll-out rule is what counts.",
    )
    on_failure = models.CharField(
        max_length=8,
        choices=OnFailure,
        default=OnFailure.CLOSED,
        help_text="What a client should do when it cannot reach this service.",
    )

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=CODE_PATTERN), name="plans_feature_code"),
            one_of("unit", Unit, "plans_feature_unit"),
            one_of("enforcement_mode", EnforcementMode, "plans_feature_enforcement_mode"),
            one_of("on_failure", OnFailure, "plans_feature_on_failure"),
        ]
        triggers = [
            kept("code", "unit", name="keep_meaning"),
            *versions.counted(versions.OF_CATALOGUE, key="code", columns=["name", "enforcement_mode", "on_failure"]),
        ]

    def __str__(self) -> str:
        return self.code


class Task(models.Model):
    """One kind of call that consumes a feature: an LLM task, or an API call with a price of its own."""

    code = models.CharField(
        primary_key=True,
        max_length=48,
        validators=[_code],
        help_text="The name services send. It cannot change later.",
    )
    name = models.CharField(max_length=100, help_text="How people read it.")
    feature = models.ForeignKey(
        Feature,
        on_delete=models.PROTECT,
        related_name="tasks",
        help_text="What it consumes. It cannot change later.",
    )
    kind = models.CharField(max_length=8, choices=TaskKind, help_text="Whether a model class is chosen for it.")
    price_per_unit_nano_usd = models.BigIntegerField(
        "price per unit",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="API tasks: nano-USD per unit of its feature; empty = unknown, which a budget refuses.",
    )

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=CODE_PATTERN), name="plans_task_code"),
            one_of("kind", TaskKind, "plans_task_kind"),
            models.CheckConstraint(
                condition=Q(price_per_unit_nano_usd__isnull=True)
                | Q(kind=TaskKind.API, price_per_unit_nano_usd__range=(0, 10**12)),
                name="plans_task_price_per_unit",
            ),
        ]
        triggers = [
            kept("code", "feature", "kind", name="keep_meaning"),
            *versions.counted(versions.OF_CATALOGUE, key="code", columns=["name", "price_per_unit_nano_usd"]),
        ]

    def __str__(self) -> str:
        return self.code


class ModelClass(models.Model):
    """A class of interchangeable models, ranked from cheap to dear: the only model name tenants see."""

    code = models.CharField(
        primary_key=True,
        max_length=48,
        validators=[_code],
        help_text="The name services send. It cannot change later.",
    )
    name = models.CharField(max_length=100, help_text="How people read it.")
    rank = models.PositiveSmallIntegerField(unique=True, help_text="Cheap to dear; a downgrade goes one lower.")
    is_fallback = models.BooleanField(
        default=False, help_text="Taken where a task has no default; exactly one class is."
    )

    class Meta:
        verbose_name_plural = "model classes"
        ordering = ["rank"]
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=CODE_PATTERN), name="plans_modelclass_code"),
            models.UniqueConstraint(
                fields=["is_fallback"], condition=Q(is_fallback=True), name="plans_modelclass_one_fallback"
            ),
        ]
        triggers = [
            kept("code", name="keep_meaning"),
            *versions.counted(versions.OF_CATALOGUE, key="code", columns=["name", "rank", "is_fallback"]),
        ]

    def __str__(self) -> str:
        return self.code
