"""OFF, OBSERVE and ENFORCE of tenant, feature and roll-out: the mildest counts."""

from datetime import UTC, datetime, timedelta

import pytest

from plans.models import Feature
from tenants.models import Tenant, TenantStatus
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit, roll_out
from usage.models import Denial, UsageMeter, UsageReservation

NOW = datetime.now(UTC)
PAST = NOW - timedelta(days=1)


def test_off_holds_and_records_nothing(api: Api, acme: Company) -> None:
    """Defect 19: no id is handed out that a commit would refuse."""
    Tenant.objects.update(enforcement_mode="OFF")
    answer = api.enforce("ACME", "LLM2_DRAFT", tokens_in=10**6, model_class="ADVANCED", requested={"top_k": 999})
    assert (answer["allowed"], answer["mode"]) == (True, "OFF")
    assert answer["reservation_id"] is answer["decision_id"] is answer["would_deny"] is None
    assert answer["params"] == {
        "model_class": "ADVANCED",
        "allowed_model_classes": [],
        "max_tokens_in": 10**6,
        "max_tokens_out": None,
        "max_steps": None,
        "top_k": 999,
        "max_files": None,
    }
    assert not UsageReservation.objects.exists()
    assert not Denial.objects.exists()


def test_observe_permits_charges_and_says_what_would_have_bound(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    limit(acme.tenant, "DAILY_QUOTA", 10, feature_id="PATENT_DRAFTING")
    answer = api.enforce("ACME", "LLM2_DRAFT", tokens_in=100, tokens_out=9000)
    assert answer["allowed"] is True
    assert answer["params"]["max_tokens_out"] == 9000
    assert answer["shaped"] == []
    assert [each["code"] for each in answer["would_deny"]] == ["DAILY_QUOTA_EXCEEDED"]
    meter = UsageMeter.objects.get(tenant=acme.tenant, feature="PATENT_DRAFTING", measure="UNITS", period="DAY")
    assert (meter.reserved, meter.limit_amount) == (9100, None)


def test_observe_lists_refusals_without_a_meter(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    answer = api.enforce("ACME", "EMBED", tokens_in=10)
    assert answer["would_deny"] == [{"code": "FEATURE_UNAVAILABLE", "binding": None}]
    answer = api.enforce("ACME", "LLM2_DRAFT", tokens_in=40_000, model_class="ADVANCED")
    assert [each["code"] for each in answer["would_deny"]] == ["MODEL_CLASS_UNAVAILABLE", "INPUT_TOO_LARGE"]
    assert answer["params"]["model_class"] == "ADVANCED"


def test_observe_with_nothing_to_say_answers_an_empty_list(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    assert api.enforce("ACME", "PATENT_OPEN")["would_deny"] == []


def test_observe_never_permits_a_suspended_tenant_or_an_ended_plan(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE", status=TenantStatus.SUSPENDED)
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "TENANT_SUSPENDED"
    Tenant.objects.update(status=TenantStatus.ACTIVE)
    acme.root.plan_ends_at = PAST
    acme.root.save(update_fields=["plan_ends_at"])
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "PLAN_EXPIRED"


def test_a_feature_can_be_observed_alone(api: Api, acme: Company) -> None:
    Feature.objects.filter(code="PRIOR_ART_SEARCH").update(enforcement_mode="OBSERVE")
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PATENT_DRAFTING")
    assert api.enforce("ACME", "PATENT_OPEN")["allowed"] is True
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["allowed"] is False


@pytest.mark.parametrize("for_tenant", [True, False])
def test_one_gate_can_be_observed_while_the_others_bind(api: Api, acme: Company, for_tenant: bool) -> None:
    roll_out("DAILY_QUOTA", "OBSERVE", PAST, acme.tenant if for_tenant else None)
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    answer = api.enforce("ACME", "PATENT_OPEN")
    assert answer["mode"] == "ENFORCE"
    assert [each["code"] for each in answer["would_deny"]] == ["DAILY_QUOTA_EXCEEDED"]
    limit(acme.tenant, "MONTHLY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "MONTHLY_QUOTA_EXCEEDED"


def test_a_tenants_row_beats_everybodys_and_the_latest_start_that_passed_counts(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    roll_out("DAILY_QUOTA", "OBSERVE", PAST)
    assert api.enforce("ACME", "PATENT_OPEN")["allowed"] is True
    roll_out("DAILY_QUOTA", "ENFORCE", PAST - timedelta(days=3), acme.tenant)
    assert api.enforce("ACME", "PATENT_OPEN")["allowed"] is False
    roll_out("DAILY_QUOTA", "OBSERVE", PAST, acme.tenant)
    roll_out("DAILY_QUOTA", "ENFORCE", NOW + timedelta(days=1), acme.tenant)
    assert api.enforce("ACME", "PATENT_OPEN")["allowed"] is True


def test_off_for_all_and_everybody_beats_everything(api: Api, acme: Company) -> None:
    roll_out("ALL", "ENFORCE", PAST, acme.tenant)
    roll_out("ALL", "OFF", PAST)
    assert api.enforce("ACME", "PATENT_OPEN")["mode"] == "OFF"


def test_what_was_observed_counts_once_it_is_enforced(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    limit(acme.tenant, "DAILY_QUOTA", 1, feature_id="PRIOR_ART_SEARCH")
    api.enforce("ACME", "PATENT_OPEN")
    Tenant.objects.update(enforcement_mode="ENFORCE")
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "DAILY_QUOTA_EXCEEDED"
