"""What a plan would have done to the calls that were made."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from enforcement.simulation import runs, trials
from enforcement.simulation.trials import Trial
from plans.models import Plan, PlanStatus
from plans.promises import of as promises_of
from plans.promises import write
from plans.publishing import edits, revisions
from tenants.models import ATIToken, Tenant
from tests import cast
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.past import fact, operation
from tests.enforcement.rules import limit, roll_out
from usage import operations

DRAFTING = "PATENT_DRAFTING"
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def simulate(
    *tenants: Tenant, plan: str | None = "PRO", changes: Sequence[str] = (), now: datetime | None = None, days: int = 5
) -> dict[str, Any]:
    """What was found of all of them."""
    trial = Trial(plan=None if plan is None else cast.plan(plan), changes=changes)
    report = runs.run(trial, [each.pk for each in tenants], now=now or timezone.now(), days=days)
    return report.wire(10)


def codes(found: dict[str, Any], what: str = "newly_refused") -> dict[str, int]:
    return {each["code"]: each["requests"] for each in found["total"][what]["by"]}


# --- against the gatekeeper ------------------------------------------------------


def _calls(seed: int) -> list[tuple[str, dict[str, Any], int]]:
    """Random asks: task, body and the output tokens that are really used."""
    draw = random.Random(seed)
    calls: list[tuple[str, dict[str, Any], int]] = []
    for _ in range(60):
        task = draw.choice(["LLM2_DRAFT", "LLM2_DRAFT", "LLM1_PRIOR_ART", "LLM3_DIAGRAM", "PATENT_OPEN"])
        body: dict[str, Any] = {"user": f"u-{draw.randrange(3)}"}
        asked = draw.choice([300, 1_000, 2_000])
        if task != "PATENT_OPEN":
            body |= {"tokens_in": draw.randint(1, 3_000), "tokens_out": asked}
        calls.append((task, body, draw.randint(1, asked)))
    return calls


def _send(api: Api, tenant: str, calls: Sequence[tuple[str, dict[str, Any], int]]) -> list[dict[str, Any]]:
    """Every call through the API, one after the other, each committed at its end."""
    answers = []
    for task, body, used in calls:
        answer = api.enforce(tenant, task, **body)
        answers.append(answer)
        if answer["allowed"]:
            tokens_out = min(used, answer["params"]["max_tokens_out"] or 0)
            usage = {"input_tokens": body.get("tokens_in", 0), "output_tokens": tokens_out}
            assert api.commit(answer["reservation_id"], usage=usage).status_code == 200
    return answers


@pytest.mark.parametrize("seed", range(4))
def test_a_simulation_refuses_what_the_gatekeeper_refuses_under_that_plan(
    api: Api, acme: Company, rival: Company, seed: int
) -> None:
    """The calls of one tenant, simulated under a plan, beside the same calls of another that really has it."""
    changes = [
        f"{DRAFTING}.daily_quota=30000", "PRIOR_ART_SEARCH.daily_quota=12", "MAX_TOKENS_OUT=1500", "monthly_budget=0.9",
        f"USER_DAILY_QUOTA@{DRAFTING}=14000", "LLM3_DIAGRAM=no", "REQUESTS_PER_MINUTE=50",
        "DEGRADE_AT_PERCENT=60", "LLM2_DRAFT.default_class=PRO_M",
    ][seed:]  # fmt: skip
    calls = _calls(seed)
    assert all(answer["allowed"] for answer in _send(api, "ACME", calls))
    own = Plan.objects.create(code="OWN", revision=1, name="Own")
    write(own, edits.edited(promises_of(cast.plan("PRO")), changes, edits.vocabulary()))
    Plan.objects.filter(pk=own.pk).update(status=PlanStatus.ACTIVE)
    ATIToken.objects.filter(pk=rival.root.pk).update(plan=own)
    real = _send(api, "RIVAL", calls)
    found = simulate(acme.tenant, changes=changes)
    assert codes(found) == Counter(answer["code"] for answer in real if not answer["allowed"])
    granted = [answer["params"] for answer in real if answer["allowed"]]
    assert found["total"]["requests"] - found["total"]["newly_refused"]["requests"] == len(granted)
    assert codes(found), "the plan refuses something"


def test_under_the_plan_in_force_nothing_is_new(api: Api, acme: Company) -> None:
    _send(api, "ACME", _calls(9))
    total = simulate(acme.tenant)["total"]
    assert (total["requests"], total["refused_now"], total["newly_refused"]["requests"]) == (60, 0, 0)
    assert (total["shaped"], total["observed"], total["newly_permitted"]["requests"]) == ([], [], 0)


# --- what is counted ---------------------------------------------------------------


def test_who_is_refused_is_told_by_which_gate_when_first_and_at_what_cost(acme: Company, rival: Company) -> None:
    for number in range(4):
        operation(acme.tenant, NOON + number * MINUTE, cost=1_000_000_000 * (number + 1))
    operation(rival.tenant, NOON)
    changes = [f"{DRAFTING}.daily_quota=3000", f"{DRAFTING}.monthly_quota=4500"]
    found = simulate(acme.tenant, rival.tenant, changes=changes, now=NOON + timedelta(days=1))
    assert (found["tenants_simulated"], found["tenants_newly_refused"]) == (2, 1)
    expected = {"requests": 2, "cost": "7.00", "first_at": "2026-11-10T12:02:00Z"}
    assert found["total"]["newly_refused"] == expected | {
        "by": [{"gate": "DAILY_QUOTA", "code": "DAILY_QUOTA_EXCEEDED"} | expected]
    }
    assert [each["tenant"] for each in found["tenants"]] == ["ACME", "RIVAL"]
    assert found["tenants"][1]["newly_refused"]["requests"] == 0
    assert found["total"]["cost"] == "10.0025"


def test_a_refused_call_uses_nothing_so_a_smaller_one_after_it_fits(acme: Company) -> None:
    operation(acme.tenant, NOON, tokens=(1000, 100))
    operation(acme.tenant, NOON + MINUTE, tokens=(5000, 100))
    operation(acme.tenant, NOON + 2 * MINUTE, tokens=(800, 100))
    found = simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=2000"], now=NOON + timedelta(days=1))
    assert codes(found) == {"DAILY_QUOTA_EXCEEDED": 1}


def test_quotas_fill_by_what_was_used_and_not_by_what_was_asked(acme: Company) -> None:
    for number in range(3):
        operation(acme.tenant, NOON + number * MINUTE, tokens=(1000, 10), asked=4000)
    found = simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=7030"], now=NOON + timedelta(days=1))
    assert codes(found) == {}
    assert found["total"]["shaped"] == []


def test_calls_that_overlap_meet_the_concurrency_limit_and_others_do_not(acme: Company) -> None:
    operation(acme.tenant, NOON, lasting=MINUTE)
    operation(acme.tenant, NOON + MINUTE / 2, lasting=MINUTE)
    operation(acme.tenant, NOON + MINUTE, lasting=MINUTE)
    found = simulate(acme.tenant, changes=["CONCURRENCY_LIMIT=1"], now=NOON + timedelta(days=1))
    assert codes(found) == {"CONCURRENCY_LIMIT": 1}
    assert found["total"]["newly_refused"]["first_at"] == "2026-11-10T12:00:30Z"


def test_what_was_used_of_the_month_before_the_first_day_counts(acme: Company) -> None:
    operation(acme.tenant, NOON - timedelta(days=40), tokens=(9_000, 0))
    operation(acme.tenant, NOON - timedelta(days=8), tokens=(9_000, 0))
    operation(acme.tenant, NOON, tokens=(1_000, 0))
    changes = [f"{DRAFTING}.monthly_quota=9999"]
    found = simulate(acme.tenant, changes=changes, now=NOON + timedelta(days=1))
    assert (codes(found), found["total"]["requests"]) == ({"MONTHLY_QUOTA_EXCEEDED": 1}, 1)
    changes = [f"{DRAFTING}.monthly_quota=10000"]
    assert codes(simulate(acme.tenant, changes=changes, now=NOON + timedelta(days=1))) == {}


def test_usage_that_nobody_asked_for_fills_the_quota_and_is_not_refused(acme: Company) -> None:
    fact(acme.tenant, NOON - MINUTE, tokens=(9_000, 0))
    operation(acme.tenant, NOON, tokens=(1_000, 0))
    found = simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=9999"], now=NOON + timedelta(days=1))
    assert codes(found) == {"DAILY_QUOTA_EXCEEDED": 1}
    assert (found["total"]["requests"], found["total"]["booked_alone"]) == (1, 1)


def test_a_fact_of_yesterday_that_is_told_today_is_of_yesterday(acme: Company) -> None:
    fact(acme.tenant, NOON - MINUTE, tokens=(9_000, 0), occurred_at=NOON - timedelta(days=1))
    operation(acme.tenant, NOON, tokens=(1_000, 0))
    found = simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=9999"], now=NOON + timedelta(days=1))
    assert codes(found) == {}


def test_days_are_the_tenants_own(acme: Company) -> None:
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone="Asia/Kolkata")
    midnight = datetime(2026, 11, 9, 18, 30, tzinfo=UTC)
    operation(acme.tenant, midnight - 2 * MINUTE, tokens=(1_000, 0))
    operation(acme.tenant, midnight + MINUTE, tokens=(1_000, 0))
    assert codes(simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=1500"], now=NOON)) == {}
    operation(acme.tenant, midnight + 2 * MINUTE, tokens=(1_000, 0))
    found = simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=1500"], now=NOON)
    assert codes(found) == {"DAILY_QUOTA_EXCEEDED": 1}


def test_each_user_has_a_quota_of_their_own_and_an_exception_counts(acme: Company) -> None:
    for user in ("u-1", "u-2", "u-3"):
        operation(acme.tenant, NOON, tokens=(1_000, 0), user=user)
        operation(acme.tenant, NOON + MINUTE, tokens=(1_000, 0), user=user)
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, user_key="u-2", feature_id=DRAFTING)
    changes = [f"USER_DAILY_QUOTA@{DRAFTING}=1500"]
    assert codes(simulate(acme.tenant, changes=changes, now=NOON + timedelta(days=1))) == {"USER_QUOTA_EXCEEDED": 2}


def test_less_output_and_another_class_are_told_and_used(acme: Company) -> None:
    operation(acme.tenant, NOON, tokens=(1_000, 3_000))
    operation(acme.tenant, NOON + MINUTE, tokens=(1_000, 500))
    changes = [
        "MAX_TOKENS_OUT=2000", "LLM2_DRAFT.default_class=PRO_M", f"{DRAFTING}.daily_quota=4500",
        f"{DRAFTING}.daily_token_limit=4500",
    ]  # fmt: skip
    found = simulate(acme.tenant, changes=changes, now=NOON + timedelta(days=1))
    assert {each["param"]: each["requests"] for each in found["total"]["shaped"]} == {
        "model_class": 2, "max_tokens_out": 1,
    }  # fmt: skip
    # 1,000 + 2,000 of the first, for it was cut, and 1,500 of the second fit
    assert codes(found) == {}


def test_a_feature_or_class_that_the_plan_lacks_is_refused_without_a_meter(acme: Company) -> None:
    operation(acme.tenant, NOON, task="LLM3_DIAGRAM", model_class="PRO_M")
    operation(acme.tenant, NOON)
    found = simulate(acme.tenant, plan="FREE", now=NOON + timedelta(days=1))
    assert codes(found) == {"FEATURE_UNAVAILABLE": 1}
    assert [each["param"] for each in found["total"]["shaped"]] == ["model_class"]


def test_what_is_refused_now_and_would_be_permitted_is_told_too(acme: Company) -> None:
    operation(acme.tenant, NOON, task="LLM3_DIAGRAM", model_class="PRO_M")
    ATIToken.objects.filter(pk=acme.root.pk).update(plan=cast.plan("FREE"))
    found = simulate(acme.tenant, plan="PRO", now=NOON + timedelta(days=1))
    assert codes(found, "newly_permitted") == {"FEATURE_UNAVAILABLE": 1}
    assert (found["total"]["refused_now"], found["total"]["refused_then"]) == (1, 0)


def test_what_is_refused_now_already_is_not_newly_refused(acme: Company) -> None:
    operation(acme.tenant, NOON, tokens=(9_000, 0))
    operation(acme.tenant, NOON + MINUTE, tokens=(1_000, 0))
    limit(acme.tenant, "MAX_TOKENS_IN", 5_000)
    found = simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=800"], now=NOON + timedelta(days=1))
    assert codes(found) == {"DAILY_QUOTA_EXCEEDED": 1}
    assert (found["total"]["refused_now"], found["total"]["refused_then"]) == (1, 2)


def test_a_gate_that_is_only_observed_refuses_nothing_and_is_told_apart(acme: Company) -> None:
    for number in range(2):
        operation(acme.tenant, NOON + number * MINUTE, tokens=(1_000, 0))
    roll_out("DAILY_QUOTA", "OBSERVE", NOON, acme.tenant)
    found = simulate(acme.tenant, changes=[f"{DRAFTING}.daily_quota=1500"], now=NOON + timedelta(days=1))
    assert codes(found) == {}
    (observed,) = found["total"]["observed"]
    assert (observed["code"], observed["requests"]) == ("DAILY_QUOTA_EXCEEDED", 1)


def test_changes_alone_are_made_to_each_tenants_own_plan(acme: Company) -> None:
    small = cast.make_tenant("SMALL", "FREE", people=0)
    operation(acme.tenant, NOON, tokens=(1_000, 0))
    operation(small.tenant, NOON, tokens=(1_000, 0), model_class="BASE_S")
    found = simulate(
        acme.tenant, small.tenant, plan=None, changes=["MAX_TOKENS_IN=999"], now=NOON + timedelta(days=1)
    )  # fmt: skip
    assert codes(found) == {"INPUT_TOO_LARGE": 2}
    assert found["total"]["shaped"] == []


def test_slices_of_any_size_give_the_same(acme: Company, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one reservation are one operation, also where a slice ends among them."""
    for number in range(5):
        answer = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1_000, tokens_out=1_000)
        reservation = answer["reservation_id"]
        for reported in range(number):
            usage = {"input_tokens": 1_000, "output_tokens": 100 * (reported + 1)}
            assert api.post(f"/reservations/{reservation}/report", {"usage": usage}).status_code == 200
        assert api.commit(reservation, usage={"input_tokens": 1_000, "output_tokens": 700}).status_code == 200
    fact(acme.tenant, timezone.now())
    now = timezone.now() + timedelta(seconds=1)
    whole = list(operations.recorded(acme.tenant.pk, now - timedelta(days=1), now))
    assert [(each.tokens_in, each.tokens_out, each.units) for each in whole[:5]] == [(1_000, 700, 1_700)] * 5
    assert whole[5].ask is None
    for rows in (1, 2, 3, 7):
        monkeypatch.setattr(operations, "_SLICE", rows)
        assert list(operations.recorded(acme.tenant.pk, now - timedelta(days=1), now)) == whole


def test_a_strangers_calls_are_not_read(acme: Company, rival: Company) -> None:
    operation(rival.tenant, NOON)
    assert simulate(acme.tenant, now=NOON + timedelta(days=1))["total"]["requests"] == 0


# --- drafts ------------------------------------------------------------------------


def test_a_draft_tried_as_it_is_counts_as_simulated_until_its_next_edit(acme: Company) -> None:
    operation(acme.tenant, NOON)
    draft = revisions.draft("PRO")
    tried = Trial(plan=draft, changes=())
    assert trials.note(tried, NOON)
    draft.refresh_from_db()
    assert draft.simulated_at == NOON
    draft.monthly_budget_nano_usd = 1
    draft.save(update_fields=["monthly_budget_nano_usd"])
    assert not trials.note(tried, NOON), "it is not what was tried any more"
    assert not trials.note(Trial(plan=draft, changes=["max_seats=1"]), NOON)
    assert not trials.note(Trial(plan=cast.plan("PRO"), changes=()), NOON)


def test_the_holders_of_any_revision_are_tried(acme: Company, rival: Company) -> None:
    draft = revisions.draft("PRO")
    assert trials.whom(draft, None) == [acme.tenant.pk, rival.tenant.pk]
    assert trials.whom(draft, rival.tenant.pk) == [rival.tenant.pk]
    assert trials.whom(cast.plan("FREE"), None) == []
    assert trials.whom(cast.plan("FREE"), None, everybody=True) == [acme.tenant.pk, rival.tenant.pk]
