"""What a plan promises, as values that can be compared and written under another draft."""

from dataclasses import dataclass
from typing import NamedTuple

from plans.models import (
    Overage,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanLLMAccessClass,
    PolicyRule,
    RuleKey,
    RuleScope,
)


class FeaturePromise(NamedTuple):
    """A PlanFeature without its plan."""

    feature: str
    enabled: bool = True
    daily_quota: int | None = None
    monthly_quota: int | None = None
    daily_token_limit: int | None = None
    monthly_token_limit: int | None = None
    overage: Overage = Overage.BLOCK


class TaskPromise(NamedTuple):
    """A PlanLLMAccess without its plan, with its classes; an API task has none."""

    task: str
    default_class: str | None = None
    allow_downgrade: bool = True
    classes: frozenset[str] = frozenset()


class RulePromise(NamedTuple):
    """A policy rule of a plan, without the plan."""

    key: RuleKey
    value: int | None
    task: str | None = None
    feature: str | None = None
    includes_money: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """All that is frozen once a plan is live. Money in nano-USD, None = unlimited."""

    max_seats: int | None
    monthly_budget_nano_usd: int | None
    features: frozenset[FeaturePromise]
    tasks: frozenset[TaskPromise]
    rules: frozenset[RulePromise]


def of(plan: Plan) -> Promises:
    """What a stored plan promises."""
    features = frozenset(
        FeaturePromise(
            row.feature_id, row.enabled, row.daily_quota, row.monthly_quota, row.daily_token_limit,
            row.monthly_token_limit, Overage(row.overage),
        )
        for row in plan.features.all()
    )  # fmt: skip
    tasks = frozenset(
        TaskPromise(
            row.task_id,
            row.default_class_id,
            row.allow_downgrade,
            frozenset(allowed.model_class_id for allowed in row.classes.all()),
        )
        for row in plan.accesses.prefetch_related("classes")
    )
    rules = frozenset(
        RulePromise(RuleKey(row.key), row.value, row.task_id, row.feature_id, row.includes_money)
        for row in plan.policy_rules.all()
    )
    return Promises(
        max_seats=plan.max_seats,
        monthly_budget_nano_usd=plan.monthly_budget_nano_usd,
        features=features,
        tasks=tasks,
        rules=rules,
    )


def write(draft: Plan, promises: Promises) -> None:
    """Store promises under a draft that has none yet."""
    draft.max_seats, draft.monthly_budget_nano_usd = promises.max_seats, promises.monthly_budget_nano_usd
    draft.save(update_fields=["max_seats", "monthly_budget_nano_usd"])
    for feature in sorted(promises.features):
        values = feature._asdict()
        PlanFeature.objects.create(plan=draft, feature_id=values.pop("feature"), **values)
    for task in sorted(promises.tasks, key=lambda promise: promise.task):
        access = PlanLLMAccess.objects.create(
            plan=draft,
            task_id=task.task,
            default_class_id=task.default_class,
            allow_downgrade=task.allow_downgrade,
        )
        for model_class in sorted(task.classes):
            PlanLLMAccessClass.objects.create(access=access, model_class_id=model_class)
    for rule in promises.rules:
        PolicyRule.objects.create(
            scope=RuleScope.PLAN,
            plan=draft,
            task_id=rule.task,
            feature_id=rule.feature,
            key=rule.key,
            value=rule.value,
            includes_money=rule.includes_money,
        )
