"""The catalogue's own cast: a draft, and a world in which every relation has a row."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from plans import promises
from plans.models import FeatureCode, Plan, PolicyRule, RolloutGate, RolloutRule, RuleKey, RuleScope, TaskCode
from tenants import tokens
from tenants.models import EnforcementMode, Scope, ServiceKey
from tests import cast

NEXT_YEAR = datetime(2050, 1, 1, tzinfo=UTC)


@pytest.fixture
def draft(_database: None) -> Plan:
    """The next revision of PRO, a draft with all that PRO promises."""
    live = cast.plan("PRO")
    plan = Plan.objects.create(code="PRO", revision=live.revision + 1, name="Pro", based_on=live)
    promises.write(plan, promises.of(live))
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    acme: cast.Company
    rival: cast.Company
    draft: Plan
    tenant_rule: PolicyRule
    user_rule: PolicyRule
    rollout: RolloutRule
    key: ServiceKey


@pytest.fixture
def world(acme: cast.Company, rival: cast.Company, draft: Plan) -> World:
    """ACME and RIVAL with a next plan, exceptions, a roll-out rule and a key that was rotated."""
    now = datetime.now(UTC)
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=now, at=NEXT_YEAR)
    old = tokens.issue_key("worker", [Scope.ENFORCE], tenant=acme.tenant).record
    return World(
        acme=acme,
        rival=rival,
        draft=draft,
        tenant_rule=PolicyRule.objects.create(
            scope=RuleScope.TENANT,
            tenant=acme.tenant,
            task_id=TaskCode.LLM2_DRAFT,
            key=RuleKey.MAX_TOKENS_OUT,
            value=9_000,
            reason="Long claims",
        ),
        user_rule=PolicyRule.objects.create(
            scope=RuleScope.USER,
            tenant=acme.tenant,
            user_key="u-17",
            feature_id=FeatureCode.PATENT_DRAFTING,
            key=RuleKey.USER_DAILY_QUOTA,
            value=50_000,
            reason="Trainee",
        ),
        rollout=RolloutRule.objects.create(
            tenant=acme.tenant, gate=RolloutGate.DAILY_QUOTA, mode=EnforcementMode.OBSERVE, starts_at=NEXT_YEAR
        ),
        key=tokens.rotate_key(old, now=now, grace=timedelta(days=1)).record,
    )
