"""Snapshots of what is promised: frozen, complete, and each knows its number.

What changes at a date is decided at use, with the instant passed in.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from plans.models import Overage, RolloutGate, RuleKey, RuleScope, TaskKind, Unit
from plans.rates import PriceList
from tenants.facts import TenantFacts
from tenants.models import EnforcementMode


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTerms:
    """A feature of the catalogue."""

    code: str
    name: str
    unit: Unit
    mode: EnforcementMode
    on_failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTerms:
    """A task of the catalogue; `price_per_unit` in nano-USD, None = unknown (or an LLM task)."""

    code: str
    name: str
    feature: str
    kind: TaskKind
    price_per_unit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTerms:
    """A provider's model with the history of its prices, oldest first."""

    provider: str
    model_id: str
    model_class: str
    is_active: bool
    prices: tuple[tuple[datetime, PriceList], ...]

    def dated_price_at(self, now: datetime) -> tuple[datetime, PriceList] | None:
        """The price list in force at `now` with its start; None before the first."""
        place = bisect_right(self.prices, now, key=lambda entry: entry[0])
        return self.prices[place - 1] if place else None

    def price_at(self, now: datetime) -> PriceList | None:
        """The price list in force at `now`; None before the first."""
        found = self.dated_price_at(now)
        return found[1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTerms:
    """A model class and the models behind it, first choice first."""

    code: str
    name: str
    rank: int
    is_fallback: bool
    models: tuple[ModelTerms, ...]

    @property
    def active_models(self) -> tuple[ModelTerms, ...]:
        """The models that calls may be sent to."""
        return tuple(model for model in self.models if model.is_active)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturePromise:
    """A plan's promise of one feature; limits None = unlimited."""

    enabled: bool
    daily_quota: int | None
    monthly_quota: int | None
    daily_token_limit: int | None
    monthly_token_limit: int | None
    overage: Overage


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPromise:
    """A task in a plan; `allowed` classes cheap to dear, empty for an API task."""

    allowed: tuple[str, ...]
    default: str | None
    allow_downgrade: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy rule; `ends_at` None = for good. `includes_money` is HOLD_PERCENTILE's alone."""

    id: UUID
    scope: RuleScope
    user: str | None
    task: str | None
    feature: str | None
    key: RuleKey
    value: int | None
    set_by_tenant: bool
    ends_at: datetime | None
    includes_money: bool = False
    name: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        target = self.task or self.feature
        name = f"{self.scope}{'+' + target if target else ''} {self.key} {self.id}"
        object.__setattr__(self, "name", name)  # once, for it is in every answer

    def holds(self, now: datetime) -> bool:
        """Whether its end has not come."""
        return self.ends_at is None or now < self.ends_at

    def __str__(self) -> str:
        return self.name


RulesByKey = Mapping[RuleKey, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """From when, and until when (None = for good), a gate is in a mode."""

    gate: RolloutGate
    mode: EnforcementMode
    starts_at: datetime
    ends_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it has begun and not ended."""
        return self.starts_at <= now and (self.ends_at is None or now < self.ends_at)

    def changes(self) -> tuple[datetime, ...]:
        """The instants at which `holds` changes."""
        return (self.starts_at,) if self.ends_at is None else (self.starts_at, self.ends_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """One plan revision with all it promises."""

    id: UUID
    code: str
    name: str
    monthly_budget: int | None
    features: Mapping[str, FeaturePromise]
    tasks: Mapping[str, TaskPromise]
    rules: RulesByKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything that is the same for all tenants."""

    number: int
    features: Mapping[str, FeatureTerms]
    tasks: Mapping[str, TaskTerms]
    classes: Mapping[str, ClassTerms]
    models: Mapping[str, tuple[ModelTerms, ...]]
    plans: Mapping[UUID, PlanTerms]
    rules: RulesByKey
    rollouts: tuple[Rollout, ...]
    instants: tuple[datetime, ...]

    def tasks_of(self, feature: str) -> tuple[str, ...]:
        """The codes of a feature's tasks."""
        return tuple(task.code for task in self.tasks.values() if task.feature == feature)

    def model(self, model_id: str, provider: str | None, model_class: str | None) -> ModelTerms | None:
        """The model a commit names: of that provider where one is named, of that class where several are."""
        found = [
            model for model in self.models.get(model_id, ()) if provider is None or model.provider == provider.upper()
        ]
        return max(found, key=lambda model: model.model_class == model_class, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantTerms:
    """A tenant's facts with its own rules and roll-out; it holds no catalogue content."""

    number: int
    facts: TenantFacts
    rules: RulesByKey
    rollouts: tuple[Rollout, ...]
    instants: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlements:
    """What one tenant may do at `now`, by the plan then in force (None: none is).

    It holds in [valid_from, valid_until): no date on which something changes lies inside.
    """

    now: datetime
    catalogue: Catalogue
    tenant: TenantTerms
    plan: PlanTerms | None
    valid_from: datetime
    valid_until: datetime

    def rules(self, key: RuleKey) -> Iterable[Rule]:
        """All rules for a key that hold now: the tenant's, the plan's, everybody's."""
        for rule in self.tenant.rules.get(key, ()):
            if rule.holds(self.now):
                yield rule
        if self.plan is not None:
            yield from self.plan.rules.get(key, ())
        yield from self.catalogue.rules.get(key, ())
