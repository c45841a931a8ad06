"""Which gates bind for whom: every sentence of the design about modes that tests/enforcement/test_modes.py leaves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from plans import rollouts
from plans.models import Feature, RolloutGate
from tenants import versions
from tenants.models import EnforcementMode, Tenant, TenantStatus
from tests.cast import Company
from tests.enforcement.api import Api, body_of
from tests.enforcement.rules import limit, roll_out
from usage.models import UsageReservation

NOW = datetime.now(UTC)
LAST_YEAR = NOW - timedelta(days=365)
SEARCH, PRIOR_ART = "PATENT_OPEN", "PRIOR_ART_SEARCH"
TASK, DRAFTING = "LLM2_DRAFT", "PATENT_DRAFTING"


def codes(answer: dict[str, Any]) -> list[str]:
    """The refusal, or what would have been one."""
    return [each["code"] for each in answer["would_deny"] or []] if answer["allowed"] else [answer["code"]]


@pytest.mark.parametrize("tenant", ["OFF", "OBSERVE", "ENFORCE"])
@pytest.mark.parametrize("feature", ["OFF", "OBSERVE", "ENFORCE"])
@pytest.mark.parametrize("rollout", ["OFF", "OBSERVE", "ENFORCE"])
def test_the_mode_of_an_ask_is_the_mildest_of_tenant_feature_and_roll_out(
    api: Api, acme: Company, tenant: str, feature: str, rollout: str
) -> None:
    Tenant.objects.update(enforcement_mode=tenant)
    Feature.objects.filter(code=PRIOR_ART).update(enforcement_mode=feature)
    roll_out("ALL", rollout, LAST_YEAR, acme.tenant)
    mildest = min([tenant, feature, rollout], key=["OFF", "OBSERVE", "ENFORCE"].index)
    assert api.enforce("ACME", SEARCH)["mode"] == mildest


def test_off_for_everybody_beats_a_tenants_own_row_its_mode_and_its_feature(
    api: Api, acme: Company, rival: Company
) -> None:
    for gate in (gate for gate in RolloutGate):
        roll_out(gate, "ENFORCE", LAST_YEAR, acme.tenant)
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=PRIOR_ART)
    assert codes(api.enforce("ACME", SEARCH)) == ["DAILY_QUOTA_EXCEEDED"]
    off = roll_out("ALL", "OFF", LAST_YEAR)
    for tenant in ("ACME", "RIVAL"):
        assert api.enforce(tenant, SEARCH)["mode"] == "OFF"
    assert not UsageReservation.objects.exists()
    rollouts.end(off, at=datetime.now(UTC))
    assert codes(api.enforce("ACME", SEARCH)) == ["DAILY_QUOTA_EXCEEDED"]


def test_a_later_row_of_everybody_takes_the_kill_switch_back(api: Api, acme: Company) -> None:
    roll_out("ALL", "OFF", LAST_YEAR)
    roll_out("ALL", "ENFORCE", LAST_YEAR + timedelta(days=1))
    assert api.enforce("ACME", SEARCH)["mode"] == "ENFORCE"


def test_off_for_one_tenant_is_for_no_other(api: Api, acme: Company, rival: Company) -> None:
    roll_out("ALL", "OFF", LAST_YEAR, acme.tenant)
    assert [api.enforce(tenant, SEARCH)["mode"] for tenant in ("ACME", "RIVAL")] == ["OFF", "ENFORCE"]


def test_a_canary_is_enforced_while_everybody_else_is_watched(api: Api, acme: Company, rival: Company) -> None:
    roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR)
    canary = roll_out("DAILY_QUOTA", "ENFORCE", LAST_YEAR, acme.tenant)
    for company in (acme, rival):
        limit(company.tenant, "DAILY_QUOTA", 0, feature_id=PRIOR_ART)
    answers = [api.enforce(tenant, SEARCH) for tenant in ("ACME", "RIVAL")]
    assert [answer["allowed"] for answer in answers] == [False, True]
    assert [codes(answer) for answer in answers] == [["DAILY_QUOTA_EXCEEDED"]] * 2
    rollouts.end(canary, at=datetime.now(UTC))
    assert api.enforce("ACME", SEARCH)["allowed"]


def test_a_gate_is_no_stricter_than_the_ask(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    roll_out("DAILY_QUOTA", "ENFORCE", LAST_YEAR, acme.tenant)
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=PRIOR_ART)
    answer = api.enforce("ACME", SEARCH)
    assert (answer["allowed"], codes(answer)) == (True, ["DAILY_QUOTA_EXCEEDED"])


def _over(gate: RolloutGate, tenant: Tenant) -> tuple[str, dict[str, Any], str]:
    """A call that this gate alone refuses: its task, what it asks, and the code."""
    wide = {"user": "u-1", "tokens_in": 10, "tokens_out": 10}
    match gate:
        case RolloutGate.MODEL_ACCESS:
            return TASK, wide | {"model_class": "ADVANCED"}, "MODEL_CLASS_UNAVAILABLE"
        case RolloutGate.CAPS:
            limit(tenant, "MAX_TOKENS_IN", 5)
            return TASK, wide, "INPUT_TOO_LARGE"
        case RolloutGate.CONCURRENCY:
            limit(tenant, "CONCURRENCY_LIMIT", 0)
            return TASK, wide, "CONCURRENCY_LIMIT"
        case RolloutGate.RATES:
            limit(tenant, "REQUESTS_PER_MINUTE", 0)
            return TASK, wide, "RATE_LIMITED"
        case RolloutGate.DAILY_QUOTA:
            limit(tenant, "DAILY_QUOTA", 0, feature_id=DRAFTING)
            return TASK, wide, "DAILY_QUOTA_EXCEEDED"
        case RolloutGate.MONTHLY_QUOTA:
            limit(tenant, "MONTHLY_QUOTA", 0, feature_id=DRAFTING)
            return TASK, wide, "MONTHLY_QUOTA_EXCEEDED"
        case RolloutGate.TOKEN_LIMITS:
            limit(tenant, "DAILY_TOKEN_LIMIT", 0, feature_id=DRAFTING)
            return TASK, wide, "TOKEN_LIMIT_EXCEEDED"
        case RolloutGate.USER_QUOTA:
            limit(tenant, "USER_DAILY_QUOTA", 0, feature_id=DRAFTING)
            return TASK, wide, "USER_QUOTA_EXCEEDED"
        case _:
            limit(tenant, "MONTHLY_BUDGET", 0)
            return TASK, wide, "BUDGET_EXCEEDED"


@pytest.mark.parametrize("gate", [gate for gate in RolloutGate if gate != RolloutGate.ALL])
def test_each_gate_alone_is_watched_and_then_binds(api: Api, acme: Company, gate: RolloutGate) -> None:
    task, asked, code = _over(gate, acme.tenant)
    watching = roll_out(gate, "OBSERVE", LAST_YEAR, acme.tenant)
    answer = api.enforce("ACME", task, **asked)
    assert (answer["allowed"], answer["mode"], codes(answer)) == (True, "ENFORCE", [code])
    rollouts.end(watching, at=datetime.now(UTC))
    answer = api.enforce("ACME", task, **asked)
    assert (answer["allowed"], codes(answer)) == (False, [code])


@pytest.mark.parametrize("begins", [True, False])
def test_a_date_of_a_rule_binds_without_a_reload(api: Api, acme: Company, begins: bool) -> None:
    """I9: no number of the configuration moves when a rule begins or ends; the process's clock stands before it."""
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=PRIOR_ART)
    passed = datetime.now(UTC) - timedelta(seconds=1)
    if begins:
        roll_out("DAILY_QUOTA", "OBSERVE", passed, acme.tenant)
    else:
        rollouts.end(roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR, acme.tenant), at=passed)
    before = versions.number_of(acme.tenant.id)
    with time_machine.travel(passed - timedelta(seconds=30), tick=False):
        assert api.enforce("ACME", SEARCH)["allowed"] is begins
    assert versions.number_of(acme.tenant.id) == before


@pytest.mark.parametrize("mode", [EnforcementMode.OBSERVE, EnforcementMode.ENFORCE])
def test_watching_permits_nobody_it_does_not_know(api: Api, acme: Company, svc: str, mode: EnforcementMode) -> None:
    """Defect 14: who cannot be told is refused whatever is only observed."""
    Tenant.objects.update(enforcement_mode=mode)
    roll_out("ALL", mode, LAST_YEAR)
    assert Api("mk_nobody_knows").ask("ACME", SEARCH).status_code == 401
    assert Api(None).ask("ACME", SEARCH).status_code == 401
    assert api.ask("NOBODY", SEARCH).status_code == 404
    assert Api(svc, **{"X-ATI-Token": acme.invitation}).enforce(None, SEARCH)["code"] == "INVALID_ATI_TOKEN"
    assert api.post("/enforce", body_of(None, SEARCH), Idempotency_Key="k").json()["code"] == "TENANT_UNRESOLVED"
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    assert api.enforce("ACME", SEARCH)["code"] == "TENANT_SUSPENDED"
    assert not UsageReservation.objects.exists()
