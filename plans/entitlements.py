"""What a tenant may do now, from immutable snapshots of the catalogue and of each tenant's exceptions.

A snapshot is as current as its number (tenants.versions). What changes at a date is decided at use, with the
instant passed in, and every such date is in `instants`, so that an answer knows how long it holds.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

from plans import price_lists
from plans.models import (
    Feature,
    LLMModel,
    ModelClass,
    Overage,
    Plan,
    PlanLLMAccess,
    PolicyRule,
    RolloutGate,
    RolloutRule,
    RuleKey,
    RuleScope,
    Task,
    TaskKind,
    Unit,
)
from plans.terms import (
    Catalogue,
    ClassTerms,
    Entitlements,
    FeaturePromise,
    FeatureTerms,
    ModelTerms,
    PlanTerms,
    Rollout,
    Rule,
    RulesByKey,
    TaskPromise,
    TaskTerms,
    TenantTerms,
)
from tenants import facts, versions
from tenants.models import EnforcementMode

EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
K = TypeVar("K")
V = TypeVar("V")


def _by(rows: Iterable[V], key: Callable[[V], K]) -> dict[K, tuple[V, ...]]:
    grouped: defaultdict[K, list[V]] = defaultdict(list)
    for row in rows:
        grouped[key(row)].append(row)
    return {name: tuple(group) for name, group in grouped.items()}


def rules_by_key(rows: Iterable[PolicyRule]) -> RulesByKey:
    """Stored rules as terms."""
    rules = (
        Rule(
            id=row.id, scope=RuleScope(row.scope), user=row.user_key, task=row.task_id, feature=row.feature_id,
            key=RuleKey(row.key), value=row.value, set_by_tenant=row.set_by_tenant, ends_at=row.ends_at,
            includes_money=row.includes_money,
        )
        for row in rows
    )  # fmt: skip
    return MappingProxyType(_by(rules, lambda rule: rule.key))


def _rollouts(rows: Iterable[RolloutRule]) -> tuple[Rollout, ...]:
    return tuple(
        Rollout(
            gate=RolloutGate(row.gate), mode=EnforcementMode(row.mode), starts_at=row.starts_at, ends_at=row.ends_at
        )
        for row in rows
    )


def _plan(plan: Plan, ranks: Mapping[str, int]) -> PlanTerms:
    return PlanTerms(
        id=plan.id,
        code=plan.code,
        name=plan.name,
        monthly_budget=plan.monthly_budget_nano_usd,
        features={
            row.feature_id: FeaturePromise(
                enabled=row.enabled, daily_quota=row.daily_quota, monthly_quota=row.monthly_quota,
                daily_token_limit=row.daily_token_limit, monthly_token_limit=row.monthly_token_limit,
                overage=Overage(row.overage),
            )
            for row in plan.features.all()
        },
        tasks={row.task_id: _task_promise(row, ranks) for row in plan.accesses.all()},
        rules=rules_by_key(plan.policy_rules.all()),
    )  # fmt: skip


def _task_promise(row: PlanLLMAccess, ranks: Mapping[str, int]) -> TaskPromise:
    allowed = sorted((each.model_class_id for each in row.classes.all()), key=lambda code: ranks[code])
    return TaskPromise(allowed=tuple(allowed), default=row.default_class_id, allow_downgrade=row.allow_downgrade)


def _load_catalogue(subject: UUID) -> Catalogue:
    with versions.one_instant():
        number = versions.number_of(subject)
        models = [
            ModelTerms(
                provider=row.provider_id, model_id=row.model_id, model_class=row.model_class_id,
                is_active=row.is_active, prices=price_lists.history(row.prices.all()),
            )
            for row in LLMModel.objects.order_by("priority", "model_id").prefetch_related("prices")
        ]  # fmt: skip
        by_class = _by(models, lambda model: model.model_class)
        classes = {
            row.code: ClassTerms(
                code=row.code, name=row.name, rank=row.rank, is_fallback=row.is_fallback,
                models=by_class.get(row.code, ()),
            )
            for row in ModelClass.objects.order_by("rank")
        }  # fmt: skip
        ranks = {code: terms.rank for code, terms in classes.items()}
        rollouts = _rollouts(RolloutRule.objects.filter(tenant__isnull=True))
        return Catalogue(
            number=number,
            features={
                row.code: FeatureTerms(
                    code=row.code, name=row.name, unit=Unit(row.unit), mode=EnforcementMode(row.enforcement_mode),
                    on_failure=row.on_failure,
                )
                for row in Feature.objects.all()
            },
            tasks={
                row.code: TaskTerms(
                    code=row.code, name=row.name, feature=row.feature_id, kind=TaskKind(row.kind),
                    price_per_unit=row.price_per_unit_nano_usd,
                )
                for row in Task.objects.all()
            },
            classes=classes,
            models=_by(models, lambda model: model.model_id),
            plans={row.id: _plan(row, ranks) for row in Plan.objects.live().with_promises()},
            rules=rules_by_key(PolicyRule.objects.filter(scope=RuleScope.GLOBAL)),
            rollouts=rollouts,
            instants=tuple(
                sorted(
                    {instant for rollout in rollouts for instant in rollout.changes()}
                    | {starts_at for model in models for starts_at, _ in model.prices}
                )
            ),
        )  # fmt: skip


def _load_tenant(tenant_id: UUID) -> TenantTerms:
    with versions.one_instant():
        tenant = facts.read_tenant(tenant_id)
        rules = rules_by_key(PolicyRule.objects.filter(tenant=tenant_id))
        rollouts = _rollouts(RolloutRule.objects.filter(tenant=tenant_id))
    instants = {instant for rollout in rollouts for instant in rollout.changes()}
    instants |= {rule.ends_at for group in rules.values() for rule in group if rule.ends_at is not None}
    if tenant.root is not None:
        instants |= set(tenant.root.changes())
    if tenant.next_calendar is not None:
        instants.add(tenant.next_calendar[2])
    return TenantTerms(
        number=tenant.number, facts=tenant, rules=rules, rollouts=rollouts, instants=tuple(sorted(instants))
    )


CATALOGUE: versions.Shelf[Catalogue] = versions.Shelf(_load_catalogue, capacity=1)
TENANTS: versions.Shelf[TenantTerms] = versions.Shelf(_load_tenant, capacity=20_000)


def catalogue() -> Catalogue:
    """The catalogue, as this process knows it."""
    return CATALOGUE.get(versions.CATALOGUE)


def of(tenant_id: UUID, now: datetime) -> Entitlements:
    """What a tenant may do at `now`. Raises facts.TenantUnknown."""
    common = catalogue()
    terms = TENANTS.get(tenant_id)
    root = terms.facts.root
    plan_id = root.in_force(now) if root is not None else None
    since, until = between((common.instants, terms.instants), now)
    return Entitlements(
        now=now,
        catalogue=common,
        tenant=terms,
        plan=common.plans.get(plan_id) if plan_id is not None else None,
        valid_from=since,
        valid_until=until,
    )


def between(groups: Iterable[tuple[datetime, ...]], now: datetime) -> tuple[datetime, datetime]:
    """The widest [from, until) around `now` with none of the sorted instants inside it."""
    since, until = EVER
    for instants in groups:
        place = bisect_right(instants, now)
        if place:
            since = max(since, instants[place - 1])
        if place < len(instants):
            until = min(until, instants[place])
    return since, until
