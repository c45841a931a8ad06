"""What a tenant may do now and how much of it is left: entitlements and running meters as quota objects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from enforcement import settlement
from enforcement.answers import Quota
from enforcement.decisions import MeterState, meter_states
from plans import entitlements, policies
from plans.charges import Measure, PeriodKind
from plans.models import RolloutGate, RuleKey, TaskKind
from plans.terms import Catalogue, Entitlements, FeatureTerms, TaskTerms
from tenants.facts import TenantFacts
from usage import standings
from usage.answers import Instant
from usage.entries import Reading
from usage.models import UsageMeter

# The permit's parameter that each cap bounds.
_CAPS = {
    "max_tokens_in": RuleKey.MAX_TOKENS_IN,
    "max_tokens_out": RuleKey.MAX_TOKENS_OUT,
    "max_steps": RuleKey.AGENT_MAX_STEPS,
    "top_k": RuleKey.RETRIEVAL_TOP_K,
    "max_files": RuleKey.FILES_PER_REQUEST,
    "ttl_seconds": RuleKey.RESERVATION_TTL_SECONDS,
}
_UNLIMITED = (RolloutGate.ALL, None, False, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInForce:
    """The plan in force now."""

    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureEntitlement:
    """A feature, whether the plan has it, and its quotas: its own, those of its tasks, and the user's."""

    code: str
    name: str
    unit: str
    enabled: bool
    on_failure: str
    quotas: list[Quota]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntitlement:
    """A task that the plan has. `caps` bound one call, null = no cap; an API task has no model classes."""

    code: str
    feature: str
    kind: TaskKind
    allowed_model_classes: list[str]
    default_model_class: str | None
    caps: Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementsNow:
    """What a tenant, and where one is named a user of it, may do now. `quotas` are those of no single feature."""

    tenant: str
    user: str | None
    active: bool
    plan: PlanInForce | None
    features: list[FeatureEntitlement]
    tasks: list[TaskEntitlement]
    quotas: list[Quota]
    as_of: Instant


def entitled_to(tenant: TenantFacts, user: str | None, now: datetime) -> EntitlementsNow:
    """The entitlements of a tenant with those of one of its users, by one query."""
    entitled = entitlements.of(tenant.id, now)
    plan, catalogue = entitled.plan, entitled.catalogue
    tasks = standings.tasks_of(entitled)
    enabled = {code for code, promise in plan.features.items() if promise.enabled} if plan else set()
    states = _states(entitled, tasks, user)
    return EntitlementsNow(
        tenant=tenant.ati_id,
        user=user,
        active=tenant.is_active,
        plan=PlanInForce(code=plan.code, name=plan.name) if plan else None,
        features=[
            FeatureEntitlement(
                code=feature.code,
                name=feature.name,
                unit=feature.unit,
                enabled=feature.code in enabled,
                on_failure=feature.on_failure,
                quotas=[_quota(state) for state in states if _feature_of(catalogue, state) == feature],
            )
            for feature in catalogue.features.values()
        ],
        tasks=[_task(entitled, task, user) for task in tasks],
        quotas=[_quota(state) for state in states if _feature_of(catalogue, state) is None],
        as_of=now.replace(microsecond=0),
    )


def _quota(state: MeterState) -> Quota:
    return cast("Quota", state.quota())


def _feature_of(catalogue: Catalogue, meter: MeterState) -> FeatureTerms | None:
    code = catalogue.tasks[meter.task].feature if meter.task else meter.feature
    return catalogue.features[code] if code else None


def _task(entitled: Entitlements, task: TaskTerms, user: str | None) -> TaskEntitlement:
    promise = entitled.plan.tasks[task.code] if entitled.plan else None
    default = None
    if task.kind == TaskKind.LLM:
        default, _ = policies.choose_class(entitled, promise, None, enforced=True)
    return TaskEntitlement(
        code=task.code,
        feature=task.feature,
        kind=task.kind,
        allowed_model_classes=list(promise.allowed) if promise else [],
        default_model_class=default,
        caps={name: policies.cap(entitled, key, task, user).value for name, key in _CAPS.items()},
    )


def _states(entitled: Entitlements, tasks: Iterable[TaskTerms], user: str | None) -> tuple[MeterState, ...]:
    """Every meter of these tasks, once, as it reads now."""
    found = standings.of(entitled, tasks, user)
    return meter_states(
        [each.bound.scope() for each in found],
        [[each.charge.gate, each.charge.limit, each.charge.enforced, each.charge.rule] for each in found],
        [0] * len(found),
        [each.reading for each in found],
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Shows meters as quota objects, with the limits that are in force at `now`."""

    tenant: UUID
    now: datetime
    _found: dict[tuple[str, str | None], Mapping[tuple[str | None, ...], tuple[Any, ...]]] = field(default_factory=dict)

    def quota(self, row: UsageMeter) -> Quota:
        """A meter of the tenant as a quota object."""
        catalogue = entitlements.catalogue()
        feature = catalogue.tasks[row.task_id].feature if row.task_id else row.feature_id
        # The meters of the whole tenant are among the charges of every task.
        task = row.task_id or next(iter(catalogue.tasks_of(feature) if feature else catalogue.tasks))
        gate, limit, is_enforced, rule = self._limit(task, row)
        measure = Measure(row.measure)
        unit = {Measure.COST: "USD", Measure.UNITS: catalogue.features[feature].unit if feature else None}
        state = MeterState(
            user=row.user_key,
            feature=row.feature_id,
            task=row.task_id,
            measure=measure,
            period=PeriodKind(row.period),
            resets_at=row.period_end,
            unit=unit.get(measure) or measure.value,
            gate=gate,
            rule=rule,
            limit=limit,
            enforced=is_enforced,
            amount=0,
            reading=Reading(row.used, row.reserved, row.overrun),
        )
        return _quota(state)

    def _limit(self, task: str, row: UsageMeter) -> tuple[Any, ...]:
        if (task, row.user_key) not in self._found:
            self._found[task, row.user_key] = settlement.limits_now(self.tenant, task, row.user_key, self.now)
        scope = (row.user_key, row.feature_id, row.task_id, row.measure, row.period)
        return self._found[task, row.user_key].get(scope, _UNLIMITED)
