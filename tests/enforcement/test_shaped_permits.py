"""Shaped permits through the API: what is left decides, and each answer says what was done."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plans.models import PlanLLMAccess
from tenants.models import Tenant
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit, roll_out
from tests.parallel import at_once
from tests.plans.terms_world import NOW
from tests.usage.rows import make_estimate
from usage.audit import audit
from usage.models import Denial, UsageMeter, UsageReservation

TASK = "LLM2_DRAFT"
FEATURE = "PATENT_DRAFTING"


def steps(answer: dict[str, Any]) -> list[tuple[str, Any, Any, str]]:
    return [(each["param"], each["asked"], each["granted"], each["because"]) for each in answer["shaped"]]


def test_too_little_left_of_a_quota_gives_fewer_output_tokens(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 2000, feature_id=FEATURE)
    answer = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)
    assert (answer["code"], steps(answer)) == ("OK", [("max_tokens_out", 4000, 1000, "DAILY_QUOTA")])
    assert (answer["params"]["max_tokens_out"], answer["params"]["model_class"]) == (1000, "PRO_L")
    meter = UsageMeter.objects.get(tenant=acme.tenant, measure="UNITS", period="DAY")
    assert meter.reserved == 2000
    assert api.enforce("ACME", TASK, tokens_in=1, tokens_out=1)["code"] == "DAILY_QUOTA_EXCEEDED"


def test_the_cap_and_what_is_left_are_two_steps(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 2000, feature_id=FEATURE)
    answer = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=9000)
    assert steps(answer) == [
        ("max_tokens_out", 9000, 8000, "MAX_TOKENS_OUT"), ("max_tokens_out", 8000, 1000, "DAILY_QUOTA"),
    ]  # fmt: skip


def test_fewer_than_the_floor_are_not_worth_a_call(api: Api, acme: Company) -> None:
    """Defect 36: no last call that overspends, and none that is useless either."""
    quota = limit(acme.tenant, "DAILY_QUOTA", 1255, feature_id=FEATURE)
    refused = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)
    assert (refused["code"], refused["shaped"], refused["params"]) == ("DAILY_QUOTA_EXCEEDED", [], None)
    assert (refused["binding"]["requested"], refused["binding"]["remaining"]) == (5000, 1255)
    assert "5,000 tokens asked, 1,255 left of 1,255" in refused["message"]
    quota.value = 1256
    quota.save(update_fields=["value"])
    assert api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)["params"]["max_tokens_out"] == 256


def test_a_tenants_own_floor_counts(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 1999, feature_id=FEATURE)
    rule = limit(acme.tenant, "MIN_TOKENS_OUT", 1000)
    assert api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)["code"] == "DAILY_QUOTA_EXCEEDED"
    rule.value = 999
    rule.save(update_fields=["value"])
    assert api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)["params"]["max_tokens_out"] == 999


def test_too_little_money_gives_a_cheaper_class_where_fewer_tokens_are_not_enough(api: Api, acme: Company) -> None:
    full = nano(api.check("ACME", TASK, tokens_in=1000, tokens_out=4000))
    limit(acme.tenant, "MIN_TOKENS_OUT", 4000)
    limit(acme.tenant, "DAILY_BUDGET", full - 1)
    answer = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)
    assert steps(answer) == [("model_class", "PRO_L", "PRO_M", "BUDGET")]
    assert (answer["params"]["model_class"], answer["params"]["max_tokens_out"]) == ("PRO_M", 4000)
    assert nano(answer) < full
    row = UsageReservation.objects.get(id=answer["reservation_id"])
    assert (row.model_class_id, row.held_cost) == ("PRO_M", nano(answer))


def nano(answer: dict[str, Any]) -> int:
    whole, _, part = answer["estimated_cost"].partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0"))


def test_a_plan_that_allows_no_downgrade_refuses_instead(api: Api, acme: Company) -> None:
    full = nano(api.check("ACME", TASK, tokens_in=1000, tokens_out=4000))
    limit(acme.tenant, "MIN_TOKENS_OUT", 4000)
    limit(acme.tenant, "DAILY_BUDGET", full - 1)
    forbid_downgrades()
    assert api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)["code"] == "BUDGET_EXCEEDED"


def forbid_downgrades() -> None:
    """As if the plan had been published so: its promises are frozen, so the trigger is set aside."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        PlanLLMAccess.objects.update(allow_downgrade=False)
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("UPDATE tenants_configversion SET number = number + 1")


def test_above_the_comfortable_level_a_cheaper_class_is_given_and_the_decision_says_so(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DEGRADE_AT_PERCENT", 50)
    limit(acme.tenant, "DAILY_QUOTA", 10_000, feature_id=FEATURE)
    first = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)
    assert (first["params"]["model_class"], first["shaped"]) == ("PRO_L", [])
    second = api.enforce("ACME", TASK, tokens_in=1, tokens_out=1)
    assert steps(second) == [("model_class", "PRO_L", "PRO_M", "DEGRADE_AT_PERCENT")]
    assert second["params"]["model_class"] == "PRO_M"
    told = api.get(f"/decisions/{second['decision_id']}", tenant="ACME").json()
    assert steps(told) == steps(second)


def test_a_level_that_is_only_observed_degrades_nothing(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DEGRADE_AT_PERCENT", 0)
    limit(acme.tenant, "DAILY_QUOTA", 10_000, feature_id=FEATURE)
    limit(acme.tenant, "DAILY_BUDGET", None)
    roll_out("CAPS", "OBSERVE", NOW.replace(year=2025), acme.tenant)
    assert api.enforce("ACME", TASK, tokens_in=1, tokens_out=1)["params"]["model_class"] == "PRO_L"


def test_a_check_says_what_enforce_would(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DEGRADE_AT_PERCENT", 50)
    limit(acme.tenant, "DAILY_QUOTA", 10_000, feature_id=FEATURE)
    for tokens_out in (100, 2000, 2001, 6000, 8000):  # with 2000 the level is reached, and not passed
        checked = api.check("ACME", TASK, tokens_in=3000, tokens_out=tokens_out)
        enforced = api.enforce("ACME", TASK, tokens_in=3000, tokens_out=tokens_out)
        api.post(f"/reservations/{enforced['reservation_id']}/release", {"reason": "a test"})
        for name in ("code", "params", "shaped", "estimated_cost"):
            assert checked[name] == enforced[name], name


def test_a_percentile_hold_is_shaped_to_what_is_left_too(api: Api, acme: Company) -> None:
    """The smaller of both: 89 output tokens are left, 950 are typical, and a floor of 50 is worth a call."""
    make_estimate(acme.tenant)
    limit(acme.tenant, "HOLD_PERCENTILE", 95)
    limit(acme.tenant, "MIN_TOKENS_OUT", 50)
    limit(acme.tenant, "DAILY_QUOTA", 1289, feature_id=FEATURE)
    answer = api.enforce("ACME", TASK, tokens_in=1200, tokens_out=4000)
    assert (steps(answer), answer["hold"]) == ([("max_tokens_out", 4000, 89, "DAILY_QUOTA")], None)
    assert UsageMeter.objects.get(tenant=acme.tenant, measure="UNITS", period="DAY").reserved == 1289


def test_a_replay_gets_the_shaped_permit_again(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 2000, feature_id=FEATURE)
    first = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000, key="k")
    again = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000, key="k")
    assert {**again, "status": None, "ttl_seconds": None} == {**first, "status": None, "ttl_seconds": None}
    assert UsageReservation.objects.count() == 1


def test_in_a_batch_refused_items_get_one_shaped_call_together(api: Api, acme: Company) -> None:
    limit(acme.tenant, "CONCURRENCY_LIMIT", 10)
    limit(acme.tenant, "DAILY_QUOTA", 10_000, feature_id=FEATURE)
    items = [
        {"tenant": "ACME", "task": TASK, "estimate": {"input_tokens": 1000, "max_output_tokens": tokens},
         "idempotency_key": f"k{place}"}
        for place, tokens in enumerate((6000, 6000, 500, 6000))
    ]  # fmt: skip
    with CaptureQueriesContext(connection) as queries:
        answers = [each["body"] for each in api.post("/enforce/batch", {"items": items}).json()["results"]]
    granted = [each["params"]["max_tokens_out"] if each["allowed"] else each["code"] for each in answers]
    # In order against running sums: 7,000, then 1,500 more. The second gets what those left, and the last nothing.
    assert granted == [6000, 500, 500, "DAILY_QUOTA_EXCEEDED"]
    assert sum("ledger_reserve_batch" in each["sql"] for each in queries) == 2
    assert not audit([acme.tenant.id], full=True).breaches


def test_items_of_a_batch_are_shaped_to_what_the_others_leave_whatever_their_order(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 8_000, feature_id=FEATURE)
    limit(acme.tenant, "USER_DAILY_QUOTA", 1_500, feature_id=FEATURE)
    items = [
        {"tenant": "ACME", "task": TASK, "user": user, "idempotency_key": f"k{place}",
         "estimate": {"input_tokens": 1000, "max_output_tokens": tokens}}
        for place, (user, tokens) in enumerate((("u-1", 1000), (None, 8000), (None, 1000)))
    ]  # fmt: skip
    answers = [each["body"] for each in api.post("/enforce/batch", {"items": items}).json()["results"]]
    # The last is granted at once. The first gets what is left of its user, the second what both leave of the day.
    assert [each["params"]["max_tokens_out"] if each["allowed"] else each["code"] for each in answers] == [
        500, 3500, 1000,
    ]  # fmt: skip
    assert not audit([acme.tenant.id], full=True).breaches


# --- what it costs in queries


@pytest.fixture
def warm(api: Api, acme: Company) -> None:
    """Snapshots are loaded and the key's bucket is made."""
    limit(acme.tenant, "CONCURRENCY_LIMIT", 100)
    limit(acme.tenant, "DAILY_QUOTA", 10_000, feature_id=FEATURE)
    limit(acme.tenant, "DEGRADE_AT_PERCENT", 90)
    api.enforce("ACME", TASK, tokens_in=0, tokens_out=0)


@pytest.mark.parametrize(
    ("tokens_out", "code", "queries"),
    [(1000, "OK", 1), (7000, "OK", 2)],
    ids=["permit", "degraded permit"],
)
def test_what_a_permit_takes(warm: None, api: Api, acme: Company, tokens_out: int, code: str, queries: int) -> None:
    """Defect 31: one round trip for a permit, two for one that is shaped."""
    with CaptureQueriesContext(connection) as made:
        answer = api.enforce("ACME", TASK, tokens_in=2500, tokens_out=tokens_out)
    assert (answer["code"], len(made)) == (code, queries)


def test_a_shaped_permit_takes_two_queries_and_a_refusal_two(warm: None, api: Api) -> None:
    with CaptureQueriesContext(connection) as made:
        answer = api.enforce("ACME", TASK, tokens_in=9000, tokens_out=8000)
    assert (answer["params"]["max_tokens_out"], len(made)) == (1000, 2)
    with CaptureQueriesContext(connection) as made:
        answer = api.enforce("ACME", TASK, tokens_in=9000, tokens_out=8000)
    assert (answer["code"], len(made)) == ("DAILY_QUOTA_EXCEEDED", 2)


def test_the_denial_of_the_second_attempt_is_final(committed: None, acme: Company, api: Api) -> None:
    """Another call takes what was left between the two attempts: three queries, and nobody overspends."""
    limit(acme.tenant, "CONCURRENCY_LIMIT", 100)
    limit(acme.tenant, "DAILY_QUOTA", 10_000, feature_id=FEATURE)
    api.enforce("ACME", TASK, tokens_in=0, tokens_out=0)
    rivals: list[dict[str, Any]] = []
    seen = 0

    def take_what_is_left(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == 2:
            rivals.extend(at_once(lambda: api.enforce("ACME", TASK, tokens_in=9000, tokens_out=900)))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(take_what_is_left):
        refused = api.enforce("ACME", TASK, tokens_in=9000, tokens_out=8000)
    assert (refused["code"], seen) == ("DAILY_QUOTA_EXCEEDED", 3)
    assert [each["code"] for each in rivals] == ["OK"]
    assert refused["binding"]["remaining"] == 100
    assert Denial.objects.get(id=refused["decision_id"]).binding == refused["binding"]
    assert not audit([acme.tenant.id], full=True).breaches
    assert Tenant.objects.filter(ati_id="ACME").exists()


def test_many_at_once_share_what_is_left_and_none_overspends(committed: None, acme: Company, api: Api) -> None:
    """Defect 36 under concurrency: 24 callers of 4,000 output tokens on 30,000 left."""
    limit(acme.tenant, "CONCURRENCY_LIMIT", 100)
    limit(acme.tenant, "DAILY_QUOTA", 30_000, feature_id=FEATURE)

    def ask() -> dict[str, Any]:
        return api.enforce("ACME", TASK, tokens_in=1000, tokens_out=4000)

    answers = [answer for _ in range(3) for answer in at_once(*[ask] * 8)]
    held = sum(1000 + each["params"]["max_tokens_out"] for each in answers if each["allowed"])
    meter = UsageMeter.objects.get(tenant=acme.tenant, measure="UNITS", period="DAY")
    assert held == meter.reserved <= 30_000
    assert any(each["shaped"] for each in answers if each["allowed"]) or held == 30_000
    assert {each["code"] for each in answers} <= {"OK", "DAILY_QUOTA_EXCEEDED"}
    assert not audit([acme.tenant.id], full=True).breaches
