"""Beyond a quota: overage ALLOW lets through what BLOCK refuses, and both count and cost the same."""

from datetime import UTC, datetime
from typing import Any

import pytest

from plans import promises
from plans.models import Overage, Plan, PlanStatus
from tenants import tokens
from tests.cast import Company, plan
from tests.enforcement.api import Api
from tests.enforcement.rules import limit
from usage.models import UsageLog

DRAFTING = "PATENT_DRAFTING"


def promise(acme: Company, overage: Overage, **limits: int) -> None:
    """Put the tenant on PRO with other limits, and another overage, on drafting."""
    pro = promises.of(plan("PRO"))
    drafting = next(each for each in pro.features if each.feature == DRAFTING)
    free = dict.fromkeys(("daily_quota", "monthly_quota", "daily_token_limit", "monthly_token_limit"))
    loose = drafting._replace(overage=overage, **(free | limits))  # type: ignore[arg-type]  # the names are of limits
    draft = Plan.objects.create(code="LOOSE", name="Loose")
    promises.write(
        draft,
        promises.Promises(
            max_seats=None,
            monthly_budget_nano_usd=pro.monthly_budget_nano_usd,
            features=pro.features - {drafting} | {loose},
            tasks=pro.tasks,
            rules=pro.rules,
        ),
    )
    draft.status = PlanStatus.ACTIVE
    draft.save(update_fields=["status"])
    tokens.change_plan(acme.root, draft, now=datetime.now(UTC))


def draft(api: Api, **fields: Any) -> dict[str, Any]:
    """Ask for a draft of 100 tokens."""
    return api.enforce("ACME", "LLM2_DRAFT", tokens_in=60, tokens_out=40, **fields)


LIMITS = [
    ("daily_quota", "DAILY_QUOTA_EXCEEDED", "UNITS", "DAY"),
    ("monthly_quota", "MONTHLY_QUOTA_EXCEEDED", "UNITS", "MONTH"),
    ("daily_token_limit", "TOKEN_LIMIT_EXCEEDED", "TOKENS", "DAY"),
    ("monthly_token_limit", "TOKEN_LIMIT_EXCEEDED", "TOKENS", "MONTH"),
]


@pytest.mark.parametrize(("name", "code", "measure", "period"), LIMITS)
def test_block_refuses_beyond_the_limit(
    api: Api, acme: Company, name: str, code: str, measure: str, period: str
) -> None:
    promise(acme, Overage.BLOCK, **{name: 100})
    assert draft(api)["allowed"] is True
    refused = draft(api)
    assert (refused["allowed"], refused["code"]) == (False, code)
    assert (refused["binding"]["measure"], refused["binding"]["period"]) == (measure, period)


@pytest.mark.parametrize(("name", "code", "measure", "period"), LIMITS)
def test_allow_permits_beyond_the_limit_shows_it_as_over_and_prices_it(
    api: Api, acme: Company, name: str, code: str, measure: str, period: str
) -> None:
    promise(acme, Overage.ALLOW, **{name: 100})
    within = draft(api)
    assert within["would_deny"] is None
    beyond = draft(api)
    assert (beyond["allowed"], beyond["code"], beyond["mode"]) == (True, "OK", "ENFORCE")
    (over,) = beyond["would_deny"]
    assert (over["code"], over["binding"]["measure"], over["binding"]["period"]) == (code, measure, period)
    shown = next(each for each in beyond["quotas"] if (each["measure"], each["period"]) == (measure, period))
    assert (shown["limit"], shown["reserved"], shown["remaining"]) == (100, 200, 0)

    answer = api.commit(beyond["reservation_id"], usage={"input_tokens": 60, "output_tokens": 40}, model="gpt-4o")
    assert float(answer.json()["cost"]) == (60 * 2_500 + 40 * 10_000) / 10**9
    assert UsageLog.objects.get(reservation_id=beyond["reservation_id"]).units == 100


def test_allow_frees_neither_the_budget_nor_a_users_quota_nor_a_tasks(api: Api, acme: Company) -> None:
    promise(acme, Overage.ALLOW, daily_quota=0, daily_token_limit=0)
    assert draft(api)["allowed"] is True
    for key, value, fields, code in (
        ("USER_DAILY_QUOTA", 99, {"feature_id": DRAFTING}, "USER_QUOTA_EXCEEDED"),
        ("DAILY_QUOTA", 99, {"task_id": "LLM2_DRAFT"}, "DAILY_QUOTA_EXCEEDED"),
        ("DAILY_BUDGET", 99, {}, "BUDGET_EXCEEDED"),
        ("MONTHLY_BUDGET", 99, {}, "BUDGET_EXCEEDED"),
        ("MONTHLY_BUDGET", 99, {"feature_id": DRAFTING}, "BUDGET_EXCEEDED"),
    ):
        rule = limit(acme.tenant, key, value, **fields)
        refused = draft(api, user="u-1")
        assert (refused["allowed"], refused["code"]) == (False, code), key
        rule.delete()
    assert draft(api, user="u-1")["allowed"] is True


def test_a_tenants_own_limit_on_the_feature_is_freed_with_the_plans(api: Api, acme: Company) -> None:
    """It is the same meter: overage says what happens beyond its limit, whoever set that."""
    promise(acme, Overage.ALLOW, daily_quota=1_000)
    limit(acme.tenant, "DAILY_QUOTA", 50, feature_id=DRAFTING)
    beyond = draft(api)
    assert [each["binding"]["limit"] for each in beyond["would_deny"]] == [50]


def test_a_check_says_what_overage_would_permit(api: Api, acme: Company) -> None:
    promise(acme, Overage.ALLOW, daily_quota=50)
    answer = api.check("ACME", "LLM2_DRAFT", tokens_in=60, tokens_out=40)
    assert (answer["allowed"], [each["code"] for each in answer["would_deny"]]) == (True, ["DAILY_QUOTA_EXCEEDED"])
