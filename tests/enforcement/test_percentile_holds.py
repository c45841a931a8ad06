"""Holds of less than the maximum: the permit stays whole, and what passes the hold is booked and counted."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from plans.money import nano_usd
from tenants import versions
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit
from tests.usage.rows import make_estimate
from usage.audit import audit
from usage.estimates import LEAST_SAMPLES, USABLE_FOR
from usage.models import HoldEstimate, UsageMeter

TASK, FEATURE = "LLM2_DRAFT", "PATENT_DRAFTING"
ASK: dict[str, Any] = {"tokens_in": 1000, "tokens_out": 4000}


@pytest.fixture
def learnt(acme: Company) -> HoldEstimate:
    """ACME's drafts have used 1 to 100 tokens in and 10 to 1,000 out."""
    return make_estimate(acme.tenant)


def meter(company: Company, measure: str) -> UsageMeter:
    found: UsageMeter = UsageMeter.objects.for_tenant(company.tenant).get(measure=measure, period="DAY")
    return found


def commit(api: Api, answer: dict[str, Any], tokens_out: int) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": tokens_out}
    booked: dict[str, Any] = api.commit(answer["reservation_id"], usage=usage).json()
    return booked


def units_overrun(booked: dict[str, Any]) -> list[int]:
    """Of the day and the month."""
    return [each["overrun"] for each in booked["charged"] if each["measure"] == "UNITS"]


def test_the_percentile_is_held_and_the_permit_stays_whole(api: Api, acme: Company, learnt: HoldEstimate) -> None:
    limit(acme.tenant, "HOLD_PERCENTILE", 95)
    answer = api.enforce("ACME", TASK, **ASK)
    assert (answer["params"]["max_tokens_in"], answer["params"]["max_tokens_out"], answer["shaped"]) == (1000, 4000, [])
    hold = answer["hold"]
    assert (hold["percentile"], hold["samples"]) == (95, 1234)
    assert (hold["input_tokens"], hold["output_tokens"], hold["overshoot_tokens"]) == (1000, 950, 3050)
    assert meter(acme, "UNITS").reserved == 1950
    assert api.check("ACME", TASK, **ASK)["hold"] == hold


def test_what_is_not_said_is_held_by_the_percentile_too(api: Api, acme: Company, learnt: HoldEstimate) -> None:
    limit(acme.tenant, "HOLD_PERCENTILE", 50)
    answer = api.enforce("ACME", TASK)
    assert (answer["params"]["max_tokens_in"], answer["params"]["max_tokens_out"]) == (32_000, 8_000)
    assert (answer["hold"]["input_tokens"], answer["hold"]["output_tokens"]) == (50, 500)


def test_budgets_hold_the_maximum_unless_the_rule_includes_money(api: Api, acme: Company, learnt: HoldEstimate) -> None:
    rule = limit(acme.tenant, "HOLD_PERCENTILE", 95)
    whole = api.enforce("ACME", TASK, **ASK)
    held = meter(acme, "COST").reserved
    assert (nano_usd(whole["estimated_cost"]), nano_usd(whole["hold"]["cost"])) == (held, held)
    assert nano_usd(whole["hold"]["overshoot_cost"]) == 0
    rule.includes_money = True
    rule.save(update_fields=["includes_money"])
    less = api.enforce("ACME", TASK, **ASK)
    assert less["estimated_cost"] == whole["estimated_cost"]
    assert meter(acme, "COST").reserved - held == nano_usd(less["hold"]["cost"]) < held
    assert nano_usd(less["hold"]["cost"]) + nano_usd(less["hold"]["overshoot_cost"]) == held


def test_a_quota_takes_more_calls_than_their_maximum(api: Api, acme: Company, learnt: HoldEstimate) -> None:
    """Defect 44: worst-case holds that fill a quota at no real use."""
    limit(acme.tenant, "CONCURRENCY_LIMIT", None)
    limit(acme.tenant, "MIN_TOKENS_OUT", 4000)
    limit(acme.tenant, "DAILY_QUOTA", 10_000, feature_id=FEATURE)
    at_most = [api.enforce("ACME", TASK, **ASK) for _ in range(3)]
    assert [answer["allowed"] for answer in at_most] == [True, True, False]
    for answer in at_most[:2]:
        commit(api, answer, 100)
    limit(acme.tenant, "HOLD_PERCENTILE", 95)
    allowed = [api.enforce("ACME", TASK, **ASK)["allowed"] for _ in range(5)]
    assert allowed == [True, True, True, True, False]  # 7,800 left, 1,950 held of each


def test_what_passes_the_hold_is_booked_whole_and_counted(api: Api, acme: Company, learnt: HoldEstimate) -> None:
    limit(acme.tenant, "HOLD_PERCENTILE", 95, includes_money=True)
    answers = [api.enforce("ACME", TASK, **ASK) for _ in range(2)]
    within, beyond = commit(api, answers[0], 950), commit(api, answers[1], 4000)
    units = [
        [each["overrun"] for each in booked["charged"] if each["measure"] == "UNITS"] for booked in (within, beyond)
    ]
    assert units == [[0, 0], [3050, 3050]]
    found = meter(acme, "UNITS")
    assert (found.used, found.reserved, found.overrun) == (6950, 0, 3050)
    assert found.overrun <= sum(answer["hold"]["overshoot_tokens"] for answer in answers)
    assert audit([acme.tenant.id], full=True).breaches == ()


def test_no_more_is_held_than_permitted(api: Api, acme: Company, learnt: HoldEstimate) -> None:
    limit(acme.tenant, "HOLD_PERCENTILE", 95)
    answer = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=900)
    assert answer["hold"] is None
    assert meter(acme, "UNITS").reserved == 1900


@pytest.mark.parametrize("why", ["100", "no estimate", "an old one", "another's", "another task's"])
def test_the_maximum_is_held(api: Api, acme: Company, rival: Company, why: str) -> None:
    """Where no rule asks for less, and where nothing reliable is known."""
    limit(acme.tenant, "HOLD_PERCENTILE", 100 if why == "100" else 95)
    if why in ("100", "an old one"):
        estimate = make_estimate(acme.tenant)
        if why == "an old one":
            estimate.computed_at = timezone.now() - USABLE_FOR
            estimate.save(update_fields=["computed_at"])
    elif why == "another's":
        make_estimate(rival.tenant)
    elif why == "another task's":
        make_estimate(acme.tenant, task="LLM1_PRIOR_ART")
    assert api.enforce("ACME", TASK, **ASK)["hold"] is None
    assert meter(acme, "UNITS").reserved == 5000


def test_a_percentile_costs_no_query_more(
    api: Api, acme: Company, rival: Company, learnt: HoldEstimate, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    limit(acme.tenant, "HOLD_PERCENTILE", 95)
    for name in ("ACME", "RIVAL"):
        api.enforce(name, TASK, **ASK)
    with django_assert_num_queries(2):
        assert api.enforce("ACME", TASK, **ASK)["hold"]
        assert api.enforce("RIVAL", TASK, **ASK)["hold"] is None


def test_a_replay_tells_the_first_hold(api: Api, acme: Company, learnt: HoldEstimate) -> None:
    rule = limit(acme.tenant, "HOLD_PERCENTILE", 95)
    first = api.enforce("ACME", TASK, key="once", **ASK)
    rule.value = 50
    rule.save(update_fields=["value"])
    again = api.enforce("ACME", TASK, key="once", **ASK)
    assert again["reservation_id"] == first["reservation_id"]
    assert again["hold"] == first["hold"]


def test_real_calls_make_the_estimate_that_the_next_ones_hold(api: Api, acme: Company) -> None:
    limit(acme.tenant, "HOLD_PERCENTILE", 90)
    for number in range(LEAST_SAMPLES):
        answer = api.enforce("ACME", TASK, **ASK)
        assert answer["hold"] is None
        commit(api, answer, 10 * (number + 1))
    call_command("estimate_holds", "--tenant", "ACME", stdout=StringIO())
    versions.clear_all()  # ten minutes later
    hold = api.enforce("ACME", TASK, **ASK)["hold"]
    assert (hold["samples"], hold["output_tokens"]) == (50, 450)
    assert audit([acme.tenant.id], full=True).breaches == ()
