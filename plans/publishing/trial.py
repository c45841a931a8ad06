"""A plan as if it were in force: the terms of what is not live yet, and what they would entitle a tenant to."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from plans.entitlements import EVER
from plans.models import Plan, RuleKey, RuleScope
from plans.promises import Promises, RulePromise
from plans.terms import (
    Catalogue,
    Entitlements,
    FeaturePromise,
    PlanTerms,
    Rule,
    RulesByKey,
    TaskPromise,
    TenantTerms,
)
from tenants.facts import TenantFacts
from tenants.ids import uuid7
from tenants.models import EnforcementMode

NOBODY = TenantTerms(
    number=0,
    facts=TenantFacts(
        number=0, id=UUID(int=0), ati_id="", is_active=True, mode=EnforcementMode.ENFORCE, timezone="UTC",
        anchor_day=1, calendar_since=None, next_calendar=None, meter_secret=b"", root=None, tokens={},
    ),
    rules={},
    rollouts=(),
    instants=(),
)  # fmt: skip
"""A tenant without any exception."""


def plan_terms(plan: Plan, promised: Promises, catalogue: Catalogue) -> PlanTerms:
    """The terms of a plan that promises this, as a snapshot of the catalogue would have them."""
    return PlanTerms(
        id=plan.id,
        code=plan.code,
        name=plan.name,
        monthly_budget=promised.monthly_budget_nano_usd,
        features={
            each.feature: FeaturePromise(
                enabled=each.enabled, daily_quota=each.daily_quota, monthly_quota=each.monthly_quota,
                daily_token_limit=each.daily_token_limit, monthly_token_limit=each.monthly_token_limit,
                overage=each.overage,
            )
            for each in promised.features
        },
        tasks={
            each.task: TaskPromise(
                allowed=tuple(sorted(each.classes, key=lambda code: catalogue.classes[code].rank)),
                default=each.default_class,
                allow_downgrade=each.allow_downgrade,
            )
            for each in promised.tasks
        },
        rules=_by_key(promised.rules),
    )  # fmt: skip


def _by_key(promised: Iterable[RulePromise]) -> RulesByKey:
    grouped: defaultdict[RuleKey, list[Rule]] = defaultdict(list)
    for each in promised:
        rule = Rule(
            id=uuid7(), scope=RuleScope.PLAN, user=None, task=each.task, feature=each.feature, key=each.key,
            value=each.value, set_by_tenant=False, ends_at=None, includes_money=each.includes_money,
        )  # fmt: skip
        grouped[each.key].append(rule)
    return MappingProxyType({key: tuple(rules) for key, rules in grouped.items()})


def entitled(catalogue: Catalogue, plan: PlanTerms, now: datetime, tenant: TenantTerms = NOBODY) -> Entitlements:
    """What a tenant could do at `now` under a plan, every gate enforced: what is only observed yet counts too."""
    return Entitlements(
        now=now,
        catalogue=replace(catalogue, rollouts=()),
        tenant=replace(tenant, rollouts=()),
        plan=plan,
        valid_from=EVER[0],
        valid_until=EVER[1],
    )
