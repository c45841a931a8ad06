"""Why a call was answered as it was: from what was recorded then, whatever changed since."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plans.models import (
    Feature,
    ModelPrice,
    Overage,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PolicyRule,
    RuleScope,
    Task,
)
from tenants.models import EnforcementMode, Tenant, TenantStatus
from tests.cast import Company, make_key, plan
from tests.enforcement.api import Api, body_of, fields_of
from tests.enforcement.described import assert_described
from tests.enforcement.rules import limit, roll_out
from usage.models import UsageMeter, UsageReservation

NOW = datetime.now(UTC)
LAST_YEAR = NOW - timedelta(days=365)
TASK = "LLM2_DRAFT"
FEATURE = "PATENT_DRAFTING"
ORDER = [
    "IDENTITY", "TENANT", "MODE", "PLAN", "FEATURE", "TASK", "MODEL_ACCESS", "CAPS", "PRICE", "CONCURRENCY", "RATES",
    "DAILY_QUOTA", "MONTHLY_QUOTA", "TOKEN_LIMITS", "USER_QUOTA", "BUDGET",
]  # fmt: skip


def why(api: Api, answer: dict[str, Any], tenant: str = "ACME") -> dict[str, Any]:
    """The explanation of a decision."""
    response = api.get(f"/decisions/{answer['decision_id']}", tenant=tenant)
    told: dict[str, Any] = assert_described("decision", response)
    assert list(dict.fromkeys(gate["gate"] for gate in told["gates"])) == ORDER
    return told


def gate(told: dict[str, Any], name: str, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = [each for each in told["gates"] if each["gate"] == name][place]
    return found


def verdicts(told: dict[str, Any]) -> dict[str, str]:
    """The gates that did anything but let through."""
    return {each["gate"]: each["verdict"] for each in told["gates"] if each["verdict"] != "PASSED"}


def loosen() -> None:
    """A plan is frozen once it is live; here it is changed as if nobody had frozen it."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        PlanFeature.objects.update(daily_quota=None, monthly_quota=1, overage=Overage.ALLOW, enabled=False)
        PlanLLMAccess.objects.all().update(allow_downgrade=False)
        PolicyRule.objects.filter(scope=RuleScope.PLAN).update(value=7)
        Plan.objects.filter(code="PRO").update(name="Another", monthly_budget_nano_usd=1)
        cursor.execute("SET LOCAL session_replication_role = origin")


def change_everything(acme: Company) -> None:
    """Rules, plan, prices, roll-out, catalogue and the tenant itself."""
    PolicyRule.objects.filter(tenant=acme.tenant).delete()
    PolicyRule.objects.filter(scope=RuleScope.GLOBAL).exclude(value=None).update(value=1)
    loosen()
    ModelPrice.objects.update(nano_usd_per_million=1)
    Task.objects.update(name="Another", price_per_unit_nano_usd=None)
    Feature.objects.update(name="Another", enforcement_mode=EnforcementMode.OBSERVE)
    roll_out("ALL", "OBSERVE", NOW, acme.tenant)
    roll_out("ALL", "OFF", NOW)
    type(acme.root).objects.filter(pk=acme.root.pk).update(plan=plan("FREE"))
    Tenant.objects.filter(pk=acme.tenant.pk).update(status=TenantStatus.SUSPENDED)


@pytest.fixture
def rules(acme: Company) -> None:
    """A cap of the user, a limit of each kind, and a floor."""
    limit(acme.tenant, "MAX_TOKENS_OUT", 7_000, user_key="u-1", task_id=TASK)
    limit(acme.tenant, "REQUESTS_PER_MINUTE", 50)
    limit(acme.tenant, "DAILY_QUOTA", 9_000, feature_id=FEATURE)
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id=FEATURE)
    limit(acme.tenant, "MONTHLY_QUOTA", 100_000, task_id=TASK)


def test_a_permit_tells_the_old_story_after_everything_changed(api: Api, acme: Company, rules: None) -> None:
    permit = api.enforce("ACME", TASK, user="u-1", tokens_in=1000, tokens_out=9_000)
    told = why(api, permit)
    assert [(step["because"], step["granted"]) for step in told["shaped"]] == [
        ("MAX_TOKENS_OUT", 7000), ("USER_QUOTA", 4000),
    ]  # fmt: skip
    assert verdicts(told) == {"CAPS": "SHAPED", "USER_QUOTA": "SHAPED"}
    change_everything(acme)
    assert why(api, permit) == told


def test_a_refusal_tells_the_old_story_after_everything_changed(api: Api, acme: Company, rules: None) -> None:
    refusal = api.enforce("ACME", TASK, user="u-1", tokens_in=8_000, tokens_out=100)
    told = why(api, refusal)
    assert (told["code"], told["binding"]) == ("USER_QUOTA_EXCEEDED", refusal["binding"])
    assert verdicts(told) == {"USER_QUOTA": "REFUSED"}
    change_everything(acme)
    assert why(api, refusal) == told


@pytest.mark.parametrize("ending", ["commit", "release"])
def test_the_story_outlives_the_reservation_but_for_its_minutes(
    api: Api, acme: Company, rules: None, ending: str
) -> None:
    permit = api.enforce("ACME", TASK, user="u-1", tokens_in=1000, tokens_out=9_000)
    told = why(api, permit)
    api.post(f"/reservations/{permit['reservation_id']}/{ending}", {})
    change_everything(acme)
    UsageReservation.objects.all().delete()
    UsageMeter.objects.filter(period="MINUTE").delete()
    pruned = why(api, permit)
    rates = gate(pruned, "RATES")
    assert (rates["verdict"], rates["rules"]) == ("PASSED", gate(told, "RATES")["rules"])
    assert rates["inputs"] == {"limit": 50, "used": 0, "reserved": 0}
    assert rates["why"] == "It passed; the meter of that minute is not kept."
    for each in (told, pruned):
        each["gates"].remove(gate(each, "RATES"))
    assert pruned == told


def test_each_cap_names_its_rule_and_why_it_and_no_other(api: Api, acme: Company) -> None:
    """Defect 6: the rule that applied was found by the wrong key, and nobody could see which."""
    own = limit(acme.tenant, "MAX_TOKENS_OUT", 700, user_key="u-1")
    mine = limit(acme.tenant, "RETRIEVAL_TOP_K", 5, task_id=TASK)
    limit(acme.tenant, "RETRIEVAL_TOP_K", 9)
    caps = {
        rule["key"]: rule
        for rule in gate(why(api, api.enforce("ACME", TASK, user="u-1", tokens_in=1)), "CAPS")["rules"]
    }
    assert len(caps) == 9
    assert (caps["MAX_TOKENS_OUT"]["id"], caps["MAX_TOKENS_OUT"]["value"]) == (str(own.pk), 700)
    assert caps["MAX_TOKENS_OUT"]["why"] == (
        "It is for the user: most specific because there is none for LLM2_DRAFT for the user or PATENT_DRAFTING for "
        "the user; it comes before what is for the tenant, the plan PRO and everybody."
    )
    top_k = caps["RETRIEVAL_TOP_K"]
    assert (top_k["id"], top_k["scope"], top_k["target"], top_k["value"]) == (str(mine.pk), "TENANT", TASK, 5)
    assert top_k["why"] == (
        "It is for LLM2_DRAFT for the tenant: most specific because there is none for the user; it comes before what "
        "is for PATENT_DRAFTING for the tenant, the tenant, the plan PRO and everybody."
    )
    assert caps["MAX_TOKENS_IN"]["why"].startswith(
        "It is for the plan PRO: most specific because there is none for the "
    )
    assert (caps["DEGRADE_AT_PERCENT"]["scope"], caps["DEGRADE_AT_PERCENT"]["value"]) == ("GLOBAL", None)


def test_a_call_for_no_user_speaks_of_none(api: Api, acme: Company) -> None:
    told = why(api, api.enforce("ACME", TASK, tokens_in=1))
    assert not [rule for each in told["gates"] for rule in each["rules"] if "user" in rule["why"]]


def test_each_limit_names_its_rule_and_why_it_and_no_other(api: Api, acme: Company, rules: None) -> None:
    told = why(api, api.enforce("ACME", TASK, user="u-1", tokens_in=1, tokens_out=1))
    (daily,) = gate(told, "DAILY_QUOTA")["rules"]
    assert daily["why"] == (
        "It is for PATENT_DRAFTING for the tenant: nothing is more specific; it comes before what is for the plan PRO "
        "and everybody."
    )
    of_feature, of_task = (gate(told, "MONTHLY_QUOTA", place)["rules"][0] for place in (0, 1))
    assert (of_feature["id"], of_feature["value"], of_task["value"]) == (None, 5_000_000, 100_000)
    assert of_feature["why"] == (
        "It is for the plan PRO itself: most specific because there is none for the tenant or a rule about "
        "PATENT_DRAFTING in the plan PRO; it comes before what is for everybody."
    )
    budget = gate(told, "BUDGET", 1)["rules"][0]
    assert (budget["key"], budget["value"]) == ("MONTHLY_BUDGET", "50.00")


def test_each_observed_gate_says_that_it_would_have_refused(api: Api, acme: Company, rules: None) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    told = why(api, api.enforce("ACME", TASK, user="u-1", tokens_in=40_000, tokens_out=1, model_class="ADVANCED"))
    assert verdicts(told) == dict.fromkeys(["MODEL_ACCESS", "CAPS", "DAILY_QUOTA", "USER_QUOTA"], "OBSERVED")
    assert told["would_deny"] == [
        "MODEL_CLASS_UNAVAILABLE", "INPUT_TOO_LARGE", "DAILY_QUOTA_EXCEEDED", "USER_QUOTA_EXCEEDED",
    ]  # fmt: skip
    mode = gate(told, "MODE")
    assert mode["inputs"]["made_of"] == {"tenant": "OBSERVE", "feature": "ENFORCE", "rollout": "ENFORCE"}
    assert mode["why"].startswith("Limits are only observed, as the tenant says")


def test_overage_is_told_apart_from_what_is_only_observed(api: Api, acme: Company) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        PlanFeature.objects.filter(plan=plan("PRO"), feature=FEATURE).update(daily_quota=10, overage=Overage.ALLOW)
        cursor.execute("SET LOCAL session_replication_role = origin")
    limit(acme.tenant, "MONTHLY_QUOTA", 10, task_id=TASK)
    roll_out("MONTHLY_QUOTA", "OBSERVE", LAST_YEAR, acme.tenant)
    permit = api.enforce("ACME", TASK, tokens_in=50, tokens_out=1)
    told = why(api, permit)
    assert verdicts(told) == {"DAILY_QUOTA": "OVERAGE", "MONTHLY_QUOTA": "OBSERVED"}
    api.commit(permit["reservation_id"])
    UsageReservation.objects.all().delete()
    assert verdicts(why(api, permit)) == verdicts(told)


def test_of_several_that_refuse_the_one_that_resets_last_is_named(api: Api, acme: Company) -> None:
    for key in ("DAILY_QUOTA", "MONTHLY_QUOTA"):
        limit(acme.tenant, key, 0, feature_id="PRIOR_ART_SEARCH")
    told = why(api, api.enforce("ACME", "PATENT_OPEN"))
    assert verdicts(told) == {"DAILY_QUOTA": "REFUSED", "MONTHLY_QUOTA": "REFUSED"}
    assert (told["code"], told["binding"]["period"]) == ("MONTHLY_QUOTA_EXCEEDED", "MONTH")
    assert gate(told, "DAILY_QUOTA")["why"].endswith("“Monthly quota” is named, for it resets later.")


def test_alike_refusals_of_a_minute_are_one_story_told_with_its_count(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    answers = [api.enforce("ACME", "PATENT_OPEN") for _ in range(5)]
    told = [why(api, answer) for answer in answers]
    assert max(each["times"] for each in told) >= 4  # the minute may end in between


def test_a_cheaper_class_says_above_which_level(api: Api, acme: Company) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        PlanLLMAccess.objects.filter(plan=plan("PRO"), task=TASK).update(allow_downgrade=True)
        cursor.execute("SET LOCAL session_replication_role = origin")
    limit(acme.tenant, "DEGRADE_AT_PERCENT", 50)
    limit(acme.tenant, "DAILY_QUOTA", 1_000, feature_id=FEATURE)
    told = why(api, api.enforce("ACME", TASK, tokens_in=600, tokens_out=1))
    assert told["shaped"][0]["why"] == (
        "PRO_M is given in place of PRO_L: with it a quota or budget would be used by more than 50 %."
    )
    assert verdicts(told) == {"CAPS": "SHAPED"}


# --- a hypothetical ask ---------------------------------------------------------


def explained(api: Api, *ask: str, **fields: Any) -> dict[str, Any]:
    """The answer of a check with its explanation."""
    answer: dict[str, Any] = assert_described("check", api.post("/check?explain=1", body_of(*ask, **fields)))
    return answer


def test_a_check_is_explained_as_its_enforce_would_be(api: Api, acme: Company, rules: None) -> None:
    ask: dict[str, Any] = {"user": "u-1", "tokens_in": 1000, "tokens_out": 9000}
    checked = explained(api, "ACME", TASK, **ask)
    told = why(api, api.enforce("ACME", TASK, **ask))
    assert checked["shaped"] == [{name: each[name] for name in each if name != "why"} for each in told["shaped"]]
    assert (checked["explanation"]["id"], checked["explanation"]["gates"]) == (None, told["gates"])
    assert "explanation" not in api.check("ACME", TASK, **ask)


def test_a_check_explains_a_refusal_and_records_nothing(api: Api, acme: Company, rules: None) -> None:
    ask: dict[str, Any] = {"user": "u-1", "tokens_in": 8000, "tokens_out": 1}
    told = explained(api, "ACME", TASK, **ask)["explanation"]
    assert (told["code"], verdicts(told)) == ("USER_QUOTA_EXCEEDED", {"USER_QUOTA": "REFUSED"})
    assert api.get("/denials", tenant="ACME").json()["results"] == []
    assert gate(told, "PRICE")["inputs"]["estimated_cost"] is not None


@pytest.mark.parametrize("case", ["suspended", "off", "stranger"])
def test_what_was_not_asked_any_more_says_so(api: Api, acme: Company, case: str) -> None:
    tenant: str | None = "ACME"
    if case == "suspended":
        Tenant.objects.update(status=TenantStatus.SUSPENDED)
    elif case == "off":
        roll_out("ALL", "OFF", LAST_YEAR)
    else:
        tenant = None
    response = api.post("/check?explain=1", body_of(tenant, TASK, tokens_in=1))
    told = response.json()["explanation"]
    asked = [each["gate"] for each in told["gates"] if each["verdict"] != "NOT_ASKED"]
    last, mode = {"suspended": ("TENANT", "ENFORCE"), "off": ("MODE", "OFF"), "stranger": ("IDENTITY", "ENFORCE")}[case]
    assert (asked[-1], told["mode"], asked) == (last, mode, ORDER[: len(asked)])
    if case == "off":
        assert gate(told, "MODE")["why"].startswith("Everything is off, as the roll-out of all gates says")


def test_a_word_that_explain_does_not_know_is_named(api: Api, acme: Company) -> None:
    answer = api.post("/check?explain=yes", body_of("ACME", TASK, tokens_in=1))
    assert (answer.status_code, fields_of(answer.json())) == (422, ["explain"])


def test_a_check_that_is_explained_costs_no_further_query(api: Api, acme: Company) -> None:
    body = body_of("ACME", TASK, tokens_in=1)
    api.post("/check", body)
    with CaptureQueriesContext(connection) as captured:
        api.post("/check?explain=1", body)
    assert len(captured) == 1


def test_a_stranger_is_told_nothing(api: Api, acme: Company, rival: Company) -> None:
    permit = api.enforce("ACME", TASK, tokens_in=1)
    for stranger in (Api(make_key(tenant=rival.tenant)), Api(rival.owner.token)):
        assert stranger.get(f"/decisions/{permit['decision_id']}").status_code == 404
        assert stranger.post("/check?explain=1", body_of("ACME", TASK, tokens_in=1)).status_code == 404
