"""The precedence table: which rule supplies a number, value 0 and NULL included."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plans import charges, entitlements, policies
from plans.charges import Charge
from plans.models import Plan, PlanFeature, PlanLLMAccess, PolicyRule, RuleKey
from plans.permits import NOTHING, Hold
from plans.terms import Entitlements
from tenants import tokens, versions
from tenants.models import EnforcementMode
from tests.cast import Company

NOW = datetime.now(UTC)
TASK = "LLM2_DRAFT"
FEATURE = "PATENT_DRAFTING"
# from the least to the most specific
LEVELS = [
    ("GLOBAL", None), ("GLOBAL", TASK), ("PLAN", None), ("PLAN", TASK), ("TENANT", None), ("TENANT", TASK),
    ("USER", None), ("USER", TASK),
]  # fmt: skip
LITTLE = replace(NOTHING, hold=Hold(input_tokens=7, output_tokens=5, units=12, cost=3))
"""A permit that holds something of everything."""


@pytest.fixture
def draft(acme: Company) -> Plan:
    """A plan of the test's own, still a draft; `launch` puts ACME on it."""
    made = Plan.objects.create(code="OWN", name="Own")
    PlanFeature.objects.create(plan=made, feature_id=FEATURE, daily_quota=1000, monthly_quota=0)
    PlanLLMAccess.objects.create(plan=made, task_id=TASK)
    return made


def launch(company: Company, draft: Plan) -> Entitlements:
    draft.status = "ACTIVE"
    draft.save(update_fields=["status"])
    tokens.change_plan(company.root, draft, now=NOW - timedelta(seconds=1))
    versions.clear_all()
    return entitlements.of(company.tenant.id, NOW)


def rule(
    scope: str, task: str | None, key: str, value: int | None, company: Company, draft: Plan, **fields: Any
) -> None:
    PolicyRule.objects.update_or_create(
        scope=scope, key=key, task_id=task,
        plan=draft if scope == "PLAN" else None,
        tenant=company.tenant if scope in ("TENANT", "USER") else None,
        user_key="u" if scope == "USER" else None,
        feature_id=fields.pop("feature_id", None),
        set_by_tenant=fields.pop("set_by_tenant", False),
        defaults={"value": value, "reason": "a test" if scope in ("TENANT", "USER") else ""} | fields,
    )  # fmt: skip


@pytest.mark.parametrize("level", range(len(LEVELS)))
@pytest.mark.parametrize("value", [0, None, 77])
def test_the_most_specific_cap_wins_whatever_its_value(
    acme: Company, draft: Plan, level: int, value: int | None
) -> None:
    """Defect 6: the task's rule does not hide the general one's level, 0 does not fall through, NULL is unlimited."""
    for number, (scope, task) in enumerate(LEVELS[: level + 1]):
        rule(scope, task, "MAX_TOKENS_OUT", value if number == level else 1000 + number, acme, draft)
    entitled = launch(acme, draft)
    assert policies.cap(entitled, RuleKey.MAX_TOKENS_OUT, entitled.catalogue.tasks[TASK], "u").value == value


def test_anothers_rule_and_an_ended_one_do_not_count(acme: Company, rival: Company, draft: Plan) -> None:
    rule("TENANT", None, "MAX_TOKENS_OUT", 1, rival, draft)
    rule("USER", None, "MAX_TOKENS_OUT", 2, acme, draft)
    rule("TENANT", TASK, "MAX_TOKENS_OUT", 3, acme, draft, ends_at=NOW)
    rule("TENANT", None, "MAX_TOKENS_OUT", 4, acme, draft, ends_at=NOW + timedelta(microseconds=1))
    entitled = launch(acme, draft)
    task = entitled.catalogue.tasks[TASK]
    assert policies.cap(entitled, RuleKey.MAX_TOKENS_OUT, task, None).value == 4
    assert policies.cap(entitled, RuleKey.MAX_TOKENS_OUT, task, "someone else").value == 4
    assert policies.cap(entitled, RuleKey.MAX_TOKENS_OUT, task, "u").value == 2


def meters(entitled: Entitlements, user: str | None = None) -> dict[tuple[str | None, ...], Charge]:
    task = entitled.catalogue.tasks[TASK]
    return {
        (each.user, each.feature, each.task, each.measure.value, each.period.value): each
        for each in charges.filled(charges.of(entitled, task, user, EnforcementMode.ENFORCE), LITTLE)
    }


def test_the_meters_that_always_count_and_no_others(acme: Company, draft: Plan) -> None:
    found = meters(launch(acme, draft))
    assert set(found) == {
        (None, FEATURE, None, "UNITS", "DAY"), (None, FEATURE, None, "UNITS", "MONTH"),
        (None, None, None, "COST", "DAY"), (None, None, None, "COST", "MONTH"), (None, None, None, "SLOTS", "OPEN"),
    }  # fmt: skip
    assert found[None, FEATURE, None, "UNITS", "DAY"].limit == 1000
    assert found[None, FEATURE, None, "UNITS", "MONTH"].limit == 0
    assert found[None, None, None, "COST", "MONTH"].limit is None
    assert [found[key].amount for key in sorted(found, key=str)] == [12, 12, 3, 3, 1]


@pytest.mark.parametrize(("scope", "expected"), [("GLOBAL", 1000), ("PLAN", 50), ("TENANT", 50)])
def test_a_quota_rule_on_the_feature_replaces_the_plans_number(
    acme: Company, draft: Plan, scope: str, expected: int
) -> None:
    rule(scope, None, "DAILY_QUOTA", 50, acme, draft, feature_id=FEATURE)
    found = meters(launch(acme, draft))
    assert found[None, FEATURE, None, "UNITS", "DAY"].limit == expected
    assert (None, None, TASK, "UNITS", "DAY") not in found


def test_a_tasks_gate_is_a_meter_beside_the_task_less_one(acme: Company, draft: Plan) -> None:
    rule("TENANT", TASK, "DAILY_QUOTA", 5, acme, draft)
    rule("TENANT", TASK, "REQUESTS_PER_MINUTE", 6, acme, draft)
    rule("PLAN", None, "REQUESTS_PER_MINUTE", 7, acme, draft)
    rule("PLAN", TASK, "MONTHLY_BUDGET", 8, acme, draft)
    found = meters(launch(acme, draft))
    assert found[None, FEATURE, None, "UNITS", "DAY"].limit == 1000
    assert found[None, None, TASK, "UNITS", "DAY"].limit == 5
    assert found[None, None, TASK, "REQUESTS", "MINUTE"].limit == 6
    assert found[None, None, None, "REQUESTS", "MINUTE"].limit == 7
    assert found[None, None, TASK, "COST", "MONTH"].limit == 8


@pytest.mark.parametrize("plan_budget", [None, 0, 9])
@pytest.mark.parametrize("rule_value", ["none", None, 0, 7])
def test_a_budget_rule_replaces_the_plans_budget(
    acme: Company, draft: Plan, plan_budget: int | None, rule_value: int | str | None
) -> None:
    draft.monthly_budget_nano_usd = plan_budget
    draft.save(update_fields=["monthly_budget_nano_usd"])
    if not isinstance(rule_value, str):
        rule("TENANT", None, "MONTHLY_BUDGET", rule_value, acme, draft)
    found = meters(launch(acme, draft))[None, None, None, "COST", "MONTH"]
    assert found.limit == (plan_budget if rule_value == "none" else rule_value)


@pytest.mark.parametrize(
    ("own", "above", "expected"),
    [(5, None, 5), (5, 9, 5), (9, 5, 5), (0, 5, 0), (None, 5, 5)],
)
def test_a_tenants_own_rule_only_lowers_what_is_above_it(
    acme: Company, draft: Plan, own: int | None, above: int | None, expected: int
) -> None:
    if own is not None:
        rule("USER", None, "USER_DAILY_QUOTA", own, acme, draft, feature_id=FEATURE, set_by_tenant=True)
    rule("PLAN", None, "USER_DAILY_QUOTA", above, acme, draft, feature_id=FEATURE)
    found = meters(launch(acme, draft), "u")
    assert found["u", FEATURE, None, "UNITS", "DAY"].limit == expected


def test_user_meters_need_a_user_and_a_limit(acme: Company, draft: Plan) -> None:
    rule("PLAN", None, "USER_DAILY_QUOTA", 3, acme, draft, feature_id=FEATURE)
    entitled = launch(acme, draft)
    assert not [key for key in meters(entitled) if key[0]]
    assert [key for key in meters(entitled, "v") if key[0]] == [("v", FEATURE, None, "UNITS", "DAY")]


def test_a_general_user_quota_for_everybody_speaks_for_each_feature(acme: Company, draft: Plan) -> None:
    rule("GLOBAL", None, "USER_MONTHLY_QUOTA", 11, acme, draft)
    found = meters(launch(acme, draft), "u")
    assert found["u", FEATURE, None, "UNITS", "MONTH"].limit == 11
