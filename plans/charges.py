"""Charges: what a permit takes from which kind of meter. Pure; the ledger binds them to rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from django.db import models

from plans import modes
from plans.models import FEATURE_QUOTAS, Overage, RolloutGate, RuleKey, RuleScope, Unit
from plans.permits import Shape
from plans.policies import SCOPE_RANKS
from plans.terms import Entitlements, TaskTerms
from tenants.models import EnforcementMode


class Measure(models.TextChoices):
    """What a meter counts."""

    UNITS = "UNITS", "Units of the feature"
    REQUESTS = "REQUESTS", "Requests"
    TOKENS = "TOKENS", "Tokens"
    COST = "COST", "Nano-USD"
    SLOTS = "SLOTS", "Open at once"


class PeriodKind(models.TextChoices):
    """How long a meter counts before it starts again at zero; OPEN never does."""

    MINUTE = "MINUTE", "Minute"
    DAY = "DAY", "Day"
    MONTH = "MONTH", "Month"
    OPEN = "OPEN", "For ever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """An amount on a meter, named by its scope; None in feature, task and user = the whole tenant.

    `amount` is in the measure's unit (money in nano-USD); `limit` None = unlimited. Where `enforced` is false
    the charge is made all the same and the answer says that it would have bound. `rule` is what supplied the
    limit, for the explanation. Beyond `degrade_above` a cheaper class is to be chosen; None = never. `is_overage`: it
    is not enforced because the plan lets usage pass it, whatever is rolled out.
    """

    gate: RolloutGate
    measure: Measure
    period: PeriodKind
    amount: int
    limit: int | None
    enforced: bool
    feature: str | None = None
    task: str | None = None
    user: str | None = None
    unit: Unit | None = None
    rule: str | None = None
    degrade_above: int | None = None
    is_overage: bool = False

    def __post_init__(self) -> None:
        if self.amount < 0 or (self.limit is not None and self.limit < 0):
            raise ValueError("amounts and limits are not negative")


_DEGRADING = frozenset(
    {
        RolloutGate.DAILY_QUOTA, RolloutGate.MONTHLY_QUOTA, RolloutGate.TOKEN_LIMITS, RolloutGate.USER_QUOTA,
        RolloutGate.BUDGET,
    }
)  # fmt: skip

_SHARED = (
    (RolloutGate.CONCURRENCY, Measure.SLOTS, PeriodKind.OPEN, RuleKey.CONCURRENCY_LIMIT),
    (RolloutGate.RATES, Measure.REQUESTS, PeriodKind.MINUTE, RuleKey.REQUESTS_PER_MINUTE),
    (RolloutGate.RATES, Measure.TOKENS, PeriodKind.MINUTE, RuleKey.TOKENS_PER_MINUTE),
    (RolloutGate.BUDGET, Measure.COST, PeriodKind.DAY, RuleKey.DAILY_BUDGET),
    (RolloutGate.BUDGET, Measure.COST, PeriodKind.MONTH, RuleKey.MONTHLY_BUDGET),
)
"""What a tenant's features share, unless one has a limit of its own beside."""

_QUOTAS = (
    (RolloutGate.DAILY_QUOTA, Measure.UNITS, PeriodKind.DAY, RuleKey.DAILY_QUOTA),
    (RolloutGate.MONTHLY_QUOTA, Measure.UNITS, PeriodKind.MONTH, RuleKey.MONTHLY_QUOTA),
    (RolloutGate.TOKEN_LIMITS, Measure.TOKENS, PeriodKind.DAY, RuleKey.DAILY_TOKEN_LIMIT),
    (RolloutGate.TOKEN_LIMITS, Measure.TOKENS, PeriodKind.MONTH, RuleKey.MONTHLY_TOKEN_LIMIT),
)
"""What a feature or task has for itself. A plan promises the feature's under the keys' names."""


def of(entitled: Entitlements, task: TaskTerms, user: str | None, mode: EnforcementMode) -> tuple[Charge, ...]:
    """Every charge of a task, of nothing yet: the meters that always count, and those that a limit brings in."""
    return tuple(_Charging(entitled, task, user, mode).all())


def filled(charged: Iterable[Charge], permit: Shape, *, degrade_at: int | None = None) -> tuple[Charge, ...]:
    """The charges with the amounts that a permit holds; `degrade_at` is a percentage of each quota and budget."""
    return tuple(
        replace(charge, amount=amount_of(charge.measure, permit), degrade_above=_level(charge, degrade_at))
        for charge in charged
    )


def amount_of(measure: Measure, permit: Shape) -> int:
    """What a permit holds on a meter of this measure; of an unknown cost nothing."""
    match measure:
        case Measure.UNITS:
            return permit.hold.units
        case Measure.TOKENS:
            return permit.hold.input_tokens + permit.hold.output_tokens
        case Measure.COST:
            return permit.hold.cost or 0
        case _:
            return 1


def _level(charge: Charge, degrade_at: int | None) -> int | None:
    if degrade_at is None or charge.limit is None or not charge.enforced or charge.gate not in _DEGRADING:
        return None
    return charge.limit * degrade_at // 100


def money_limits(charged: Iterable[Charge]) -> tuple[Charge, ...]:
    """The charges on which an unknown price cannot be let through."""
    return tuple(charge for charge in charged if charge.measure == Measure.COST and charge.limit is not None)


@dataclass(frozen=True, slots=True)
class _Charging:
    entitled: Entitlements
    task: TaskTerms
    user: str | None
    mode: EnforcementMode

    def all(self) -> Iterator[Charge]:
        yield from self._tenant_wide()
        yield from self._feature()
        if self.user is not None:
            yield from self._user()
        yield from self._own_gates()

    def _tenant_wide(self) -> Iterator[Charge]:
        plan = self.entitled.plan
        budget = (plan.monthly_budget, f"plan {plan.code}") if plan else None
        for gate, measure, period, key in _SHARED:
            promised = budget if key == RuleKey.MONTHLY_BUDGET else None
            yield from self._meter(gate, measure, period, key, promised=promised, always=gate != RolloutGate.RATES)

    def _feature(self) -> Iterator[Charge]:
        """The feature's own meters. Overage ALLOW frees them, and nothing else."""
        feature = self.task.feature
        plan = self.entitled.plan
        promise = plan.features.get(feature) if plan else None
        frees = promise is not None and promise.overage == Overage.ALLOW
        for gate, measure, period, key in _QUOTAS:
            promised = (getattr(promise, key.lower()), f"plan {plan.code}") if plan and promise else None
            yield from self._meter(
                gate, measure, period, key,
                feature=feature, frees=frees, promised=promised, always=measure == Measure.UNITS,
            )  # fmt: skip

    def _user(self) -> Iterator[Charge]:
        for period, key in (
            (PeriodKind.DAY, RuleKey.USER_DAILY_QUOTA),
            (PeriodKind.MONTH, RuleKey.USER_MONTHLY_QUOTA),
        ):
            gate, measure, user = RolloutGate.USER_QUOTA, Measure.UNITS, self.user
            yield from self._meter(gate, measure, period, key, user=user, feature=self.task.feature)
            yield from self._meter(gate, measure, period, key, user=user, task=self.task.code)

    def _own_gates(self) -> Iterator[Charge]:
        """A task's gate is a meter beside the task-less one, and so is a feature's tenant-wide gate."""
        for gate, measure, period, key in _SHARED:
            yield from self._meter(gate, measure, period, key, feature=self.task.feature)
            yield from self._meter(gate, measure, period, key, task=self.task.code)
        for gate, measure, period, key in _QUOTAS:
            yield from self._meter(gate, measure, period, key, task=self.task.code)

    def _meter(
        self,
        gate: RolloutGate,
        measure: Measure,
        period: PeriodKind,
        key: RuleKey,
        *,
        feature: str | None = None,
        task: str | None = None,
        user: str | None = None,
        frees: bool = False,
        promised: tuple[int | None, str] | None = None,
        always: bool = False,
    ) -> Iterator[Charge]:
        """The charge on one meter: where it has a limit, or `always` counts."""
        limit, rule = _limit(self.entitled, key, feature=feature, task=task, user=user, promised=promised)
        if limit is None and not always:
            return
        yield Charge(
            gate=gate,
            measure=measure,
            period=period,
            amount=0,
            limit=limit,
            enforced=not frees and modes.is_enforced(self.entitled, self.mode, gate),
            feature=feature,
            task=task,
            user=user,
            unit=self.entitled.catalogue.features[self.task.feature].unit if measure == Measure.UNITS else None,
            rule=rule,
            is_overage=frees,
        )


def _limit(
    entitled: Entitlements,
    key: RuleKey,
    *,
    feature: str | None,
    task: str | None,
    user: str | None,
    promised: tuple[int | None, str] | None,
) -> tuple[int | None, str | None]:
    """The limit of one meter: the most specific rule about exactly it, `promised` standing at the plan's level.

    From the least specific level up each rule takes the place of the ones before; a tenant's own only where it is
    smaller. Everybody's rule without a target speaks for every feature.
    """
    said = [(2 * SCOPE_RANKS[RuleScope.PLAN], False, *promised)] if promised is not None else []
    for rule in entitled.rules(key):
        is_general = rule.task is None and rule.feature is None
        for_every_feature = (
            is_general and feature is not None and rule.scope == RuleScope.GLOBAL and key in FEATURE_QUOTAS
        )
        is_about_it = (rule.task, rule.feature) == (task, feature) or for_every_feature
        if is_about_it and rule.user in (None, user):
            rank = 2 * SCOPE_RANKS[rule.scope] + (0 if for_every_feature else 1)
            said.append((rank, rule.set_by_tenant, rule.value, str(rule)))
    limit: int | None = None
    source: str | None = None
    for _, is_own, value, name in sorted(said, key=lambda each: each[:2]):
        if not is_own or (value is not None and (limit is None or value < limit)):
            limit, source = value, name
    return limit, source
