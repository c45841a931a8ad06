"""Plans and what they promise. A revision is a plan row; only a draft's promises can be edited."""

from typing import Self

import pgtrigger
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from plans.models.vocabulary import CODE_PATTERN, Feature, ModelClass, Task
from tenants import versions
from tenants.ids import uuid7
from tenants.models import one_of

MAX_LIMIT = 10**18


class PlanStatus(models.TextChoices):
    DRAFT = "DRAFT", "Draft"
    ACTIVE = "ACTIVE", "Active"
    DEPRECATED = "DEPRECATED", "Deprecated: kept by its holders, not given anew"


class Overage(models.TextChoices):
    BLOCK = "BLOCK", "Block: refuse beyond the quota"
    ALLOW = "ALLOW", "Allow: count and say so, refuse nothing"


def frozen(plan_of_row: str) -> pgtrigger.Trigger:
    """Refuses writes to a plan's promises once it is not a draft. `plan_of_row` is SQL over a row `r`.

    What was simulated of a draft is another draft after such a write. That is forgotten before the row is locked
    in share mode: of two writers who both held it, neither could.
    """
    status = """
        UPDATE plans_plan SET simulated_at = NULL
         WHERE id = ({plan}) AND status = 'DRAFT' AND simulated_at IS NOT NULL;
        SELECT status INTO plan_status FROM plans_plan WHERE id = ({plan}) FOR SHARE;
    """
    refuse = """
        IF plan_status <> 'DRAFT' THEN
            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';
        END IF;
    """

    def guard(row: str) -> str:
        return status.format(plan=plan_of_row.replace("r.", f"{row}.")) + refuse

    return pgtrigger.Trigger(
        name="freeze_once_live",
        level=pgtrigger.Row,
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        declare=[("plan_status", "text")],
        func=f"""
            IF TG_OP <> 'INSERT' THEN {guard("OLD")} END IF;
            IF TG_OP <> 'DELETE' THEN {guard("NEW")} RETURN NEW; END IF;
            RETURN OLD;
        """,
    )


class PlanQuerySet(models.QuerySet["Plan"]):
    def live(self) -> Self:
        """Plans that tokens may hold: active ones and those kept by their holders."""
        return self.exclude(status=PlanStatus.DRAFT)

    def with_promises(self) -> Self:
        """A plan and all it promises, in a fixed number of queries."""
        return self.prefetch_related("features__feature", "accesses__task", "accesses__classes", "policy_rules")


class Plan(models.Model):
    """One revision of what a tenant is sold: seats, budget, quotas and model classes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.CharField(
        max_length=48,
        validators=[RegexValidator(CODE_PATTERN, "Upper-case letters, digits and _ only.")],
        help_text="The plan's tier, the same for all its revisions.",
    )
    revision = models.PositiveIntegerField(default=1, editable=False)
    name = models.CharField(max_length=100, help_text="How customers read it.")
    status = models.CharField(max_length=16, choices=PlanStatus, default=PlanStatus.DRAFT)
    based_on = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="revisions"
    )
    max_seats = models.PositiveIntegerField(
        null=True, blank=True, help_text="How many people a tenant may have; empty = unlimited."
    )
    monthly_budget_nano_usd = models.BigIntegerField(
        "monthly budget",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Money a tenant may spend a month, in nano-USD; empty = unlimited, 0 = nothing.",
    )
    simulated_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When it was last tried on recorded traffic; empty = not since it was last edited.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["code", "-revision"]
        constraints = [
            models.UniqueConstraint(fields=["code", "revision"], name="plans_plan_code_revision"),
            models.UniqueConstraint(
                fields=["code"], condition=Q(status=PlanStatus.ACTIVE), name="plans_plan_one_active_per_code"
            ),
            models.CheckConstraint(condition=Q(code__regex=CODE_PATTERN), name="plans_plan_code"),
            one_of("status", PlanStatus, "plans_plan_status"),
            models.CheckConstraint(
                condition=Q(monthly_budget_nano_usd__isnull=True) | Q(monthly_budget_nano_usd__range=(0, MAX_LIMIT)),
                name="plans_plan_monthly_budget",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="freeze_once_live",
                level=pgtrigger.Row,
                when=pgtrigger.After,  # why: see kept()
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.status <> 'DRAFT' AND (NEW.status = 'DRAFT' OR (OLD.code, OLD.revision, OLD.max_seats, "
                    "OLD.monthly_budget_nano_usd) IS DISTINCT FROM (NEW.code, NEW.revision, NEW.max_seats, "
                    "NEW.monthly_budget_nano_usd))"
                ),
                func="""
                    RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';
                """,
            ),
            pgtrigger.Trigger(
                name="forget_simulation",
                level=pgtrigger.Row,
                when=pgtrigger.After,  # as above
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "NEW.status = 'DRAFT' AND NEW.simulated_at IS NOT NULL AND (OLD.code, OLD.name, OLD.based_on_id, "
                    "OLD.max_seats, OLD.monthly_budget_nano_usd) IS DISTINCT FROM (NEW.code, NEW.name, "
                    "NEW.based_on_id, NEW.max_seats, NEW.monthly_budget_nano_usd)"
                ),
                func="UPDATE plans_plan SET simulated_at = NULL WHERE id = NEW.id; RETURN NULL;",
            ),
            *versions.counted(
                versions.OF_CATALOGUE,
                columns=["code", "name", "status", "max_seats", "monthly_budget_nano_usd"],
                where="r.status <> 'DRAFT'",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} r{self.revision}"

    @property
    def predecessor(self) -> "Plan | None":
        """The revision whose place this one takes, or took; None for the first of its code."""
        before = self.based_on
        return before if before is not None and before.code == self.code else None


def _limit(help_text: str) -> "models.BigIntegerField[int | None, int | None]":
    return models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)], help_text=help_text)


_LIMITS = ("daily_quota", "monthly_quota", "daily_token_limit", "monthly_token_limit")


class PlanFeature(models.Model):
    """One entitlement: a plan's promise of one feature."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="features")
    feature = models.ForeignKey(Feature, on_delete=models.PROTECT, related_name="plan_features")
    enabled = models.BooleanField(default=True, help_text="Off: the feature is listed but refused.")
    daily_quota = _limit("Units a day; empty = unlimited, 0 = nothing.")
    monthly_quota = _limit("Units a month; empty = unlimited, 0 = nothing.")
    daily_token_limit = _limit("Tokens a day; empty = unlimited, 0 = nothing.")
    monthly_token_limit = _limit("Tokens a month; empty = unlimited, 0 = nothing.")
    overage = models.CharField(
        max_length=8, choices=Overage, default=Overage.BLOCK, help_text="What happens beyond these numbers."
    )

    class Meta:
        ordering = ["plan", "feature"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "feature"], name="plans_planfeature_plan_feature"),
            one_of("overage", Overage, "plans_planfeature_overage"),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{limit}__isnull": True}) | Q(**{f"{limit}__range": (0, MAX_LIMIT)}),
                    name=f"plans_planfeature_{limit}",
                )
                for limit in _LIMITS
            ),
        ]
        triggers = [frozen("r.plan_id")]

    def __str__(self) -> str:
        return f"{self.plan_id}: {self.feature_id}"


class PlanLLMAccess(models.Model):
    """A task that a plan includes; for an LLM task, with the model classes it may use."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="accesses")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="plan_accesses")
    default_class = models.ForeignKey(
        ModelClass,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="default_in",
        help_text="Used where a call names no class; must be one of the allowed ones.",
    )
    allow_downgrade = models.BooleanField(
        default=True, help_text="Whether a cheaper allowed class may be given when little is left."
    )
    allowed_classes = models.ManyToManyField(ModelClass, through="PlanLLMAccessClass", related_name="allowed_in")

    class Meta:
        verbose_name = "plan task"
        ordering = ["plan", "task"]
        constraints = [models.UniqueConstraint(fields=["plan", "task"], name="plans_planllmaccess_plan_task")]
        triggers = [
            frozen("r.plan_id"),
            pgtrigger.Trigger(
                name="no_classes_for_api_tasks",
                level=pgtrigger.Row,
                when=pgtrigger.After,
                operation=pgtrigger.UpdateOf("task_id"),
                timing=pgtrigger.Deferred,  # a form changes the task first and its classes then
                func="""
                    IF EXISTS (SELECT FROM plans_planllmaccess a JOIN plans_task t ON t.code = a.task_id
                                 JOIN plans_planllmaccessclass c ON c.access_id = a.id
                                WHERE a.id = NEW.id AND t.kind <> 'LLM') THEN
                        RAISE EXCEPTION 'An API task has no model classes.'
                            USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_planllmaccessclass_llm_only';
                    END IF;
                    RETURN NULL;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id}: {self.task_id}"


class PlanLLMAccessClass(models.Model):
    """One model class that a plan allows for one LLM task."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    access = models.ForeignKey(PlanLLMAccess, on_delete=models.CASCADE, related_name="classes")
    model_class = models.ForeignKey(ModelClass, on_delete=models.PROTECT, related_name="accesses")

    class Meta:
        verbose_name = "allowed model class"
        verbose_name_plural = "allowed model classes"
        ordering = ["access", "model_class"]
        constraints = [
            models.UniqueConstraint(
                fields=["access", "model_class"], name="plans_planllmaccessclass_access_model_class"
            )
        ]
        triggers = [
            frozen("SELECT a.plan_id FROM plans_planllmaccess a WHERE a.id = r.access_id"),
            pgtrigger.Trigger(
                name="only_for_llm_tasks",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func="""
                    IF (SELECT t.kind FROM plans_planllmaccess a JOIN plans_task t ON t.code = a.task_id
                         WHERE a.id = NEW.access_id) <> 'LLM' THEN
                        RAISE EXCEPTION 'An API task has no model classes.'
                            USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_planllmaccessclass_llm_only';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.access_id}: {self.model_class_id}"
