"""What a tenant is promised, built by hand: one LLM task, classes with one model each, every cap and no database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from plans.entitlements import EVER
from plans.models import Overage, RuleKey, RuleScope, TaskKind, Unit
from plans.rates import PriceList, Rates
from plans.terms import (
    Catalogue,
    ClassTerms,
    Entitlements,
    FeaturePromise,
    FeatureTerms,
    ModelTerms,
    PlanTerms,
    Rule,
    TaskPromise,
    TaskTerms,
    TenantTerms,
)
from tenants.facts import TenantFacts
from tenants.models import EnforcementMode

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FEATURE, TASK = "PATENT_DRAFTING", "LLM2_DRAFT"
CLASSES = ("BASE_S", "BASE_M", "PRO_M", "PRO_L")
"""Cheap to dear."""
_DEFAULTS: dict[RuleKey, int | None] = {
    **dict.fromkeys(RuleKey),
    RuleKey.MIN_TOKENS_OUT: 256,
    RuleKey.HOLD_PERCENTILE: 100,
    RuleKey.RESERVATION_TTL_SECONDS: 300,
}


def entitled(
    *,
    rates: Sequence[tuple[int, int]] = ((1, 4), (2, 8), (4, 16), (8, 32)),
    rules: Mapping[RuleKey, int | None] | None = None,
    quotas: Mapping[str, int | None] | None = None,
    budget: int | None = None,
    unit: Unit = Unit.TOKENS,
    allow_downgrade: bool = True,
    includes_money: bool = False,
    allowed: Sequence[str] = CLASSES,
) -> Entitlements:
    """A tenant whose plan has one task. `rates` are nano-USD an input and an output token of each class.

    `rules` are those for everybody, `quotas` those of the feature, `budget` the plan's monthly one.
    """
    numbers = _DEFAULTS | dict(rules or {})
    promised = {"daily_quota": None, "monthly_quota": None, "daily_token_limit": None, "monthly_token_limit": None}
    plan = PlanTerms(
        id=UUID(int=1), code="OWN", name="Own", monthly_budget=budget,
        features={FEATURE: FeaturePromise(enabled=True, overage=Overage.BLOCK, **(promised | dict(quotas or {})))},
        tasks={TASK: TaskPromise(allowed=tuple(allowed), default=allowed[-1], allow_downgrade=allow_downgrade)},
        rules={},
    )  # fmt: skip
    return Entitlements(
        now=NOW,
        catalogue=_catalogue(rates, numbers, unit, includes_money),
        tenant=TenantTerms(number=1, facts=_facts(), rules={}, rollouts=(), instants=()),
        plan=plan,
        valid_from=EVER[0],
        valid_until=EVER[1],
    )


def _catalogue(
    rates: Sequence[tuple[int, int]], numbers: Mapping[RuleKey, int | None], unit: Unit, includes_money: bool
) -> Catalogue:
    return Catalogue(
        number=1,
        features={
            FEATURE: FeatureTerms(
                code=FEATURE, name="Drafting", unit=unit, mode=EnforcementMode.ENFORCE, on_failure="OPEN"
            )
        },
        tasks={TASK: TaskTerms(code=TASK, name="Draft", feature=FEATURE, kind=TaskKind.LLM, price_per_unit=None)},
        classes={
            code: ClassTerms(code=code, name=code, rank=rank, is_fallback=rank == 0, models=(_model(code, *price),))
            for rank, (code, price) in enumerate(zip(CLASSES, rates, strict=True))
        },
        models={},
        plans={},
        rules={key: (_rule(key, value, includes_money),) for key, value in numbers.items()},
        rollouts=(),
        instants=(),
    )


def _model(code: str, rate_in: int, rate_out: int) -> ModelTerms:
    prices = PriceList(Rates(input=rate_in * 10**6, output=rate_out * 10**6))
    return ModelTerms(provider="P", model_id=code, model_class=code, is_active=True, prices=((EVER[0], prices),))


def _rule(key: RuleKey, value: int | None, includes_money: bool) -> Rule:
    return Rule(
        id=UUID(int=2), scope=RuleScope.GLOBAL, user=None, task=None, feature=None, key=key, value=value,
        set_by_tenant=False, ends_at=None, includes_money=includes_money and key == RuleKey.HOLD_PERCENTILE,
    )  # fmt: skip


def _facts() -> TenantFacts:
    return TenantFacts(
        number=1, id=UUID(int=3), ati_id="T", is_active=True, mode=EnforcementMode.ENFORCE, timezone="UTC",
        anchor_day=1, calendar_since=None, next_calendar=None, meter_secret=b"", root=None, tokens={},
    )  # fmt: skip
