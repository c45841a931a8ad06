"""What a service does without an answer is the feature's choice, and every answer about a feature brings it along."""

import pytest

from plans.models import Feature, OnFailure
from tenants.models import EnforcementMode
from tests.cast import Company
from tests.enforcement.api import Api, body_of
from tests.enforcement.rules import limit

FEATURE, TASK = "PRIOR_ART_SEARCH", "PATENT_OPEN"


@pytest.fixture(params=OnFailure.values)
def on_failure(_database: None, request: pytest.FixtureRequest) -> str:
    """Set by an operator, in force for the next request."""
    Feature.objects.filter(code=FEATURE).update(on_failure=request.param)
    return str(request.param)


def test_a_permit_and_its_replay_say_what_to_do_without_one(api: Api, acme: Company, on_failure: str) -> None:
    """Defect 11: what happens on a failure is decided by an operator, and not by an exception."""
    assert api.enforce("ACME", TASK, key="same")["on_failure"] == on_failure
    Feature.objects.filter(code=FEATURE).update(on_failure="OPEN" if on_failure == "CLOSED" else "CLOSED")
    assert api.enforce("ACME", TASK, key="same")["on_failure"] == on_failure, "the first answer"
    assert api.enforce("ACME", TASK)["on_failure"] != on_failure


def test_refusals_say_so_too(api: Api, acme: Company, on_failure: str) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 1, feature_id=FEATURE)
    by_meter = api.enforce("ACME", TASK, api_calls=2)
    assert (by_meter["code"], by_meter["on_failure"]) == ("DAILY_QUOTA_EXCEEDED", on_failure)
    acme.tenant.status = "SUSPENDED"
    acme.tenant.save(update_fields=["status"])
    by_gate = api.enforce("ACME", TASK)
    assert (by_gate["code"], by_gate["on_failure"]) == ("TENANT_SUSPENDED", on_failure)


def test_check_batch_and_the_off_switch_say_so_too(api: Api, acme: Company, on_failure: str) -> None:
    assert api.check("ACME", TASK)["on_failure"] == on_failure
    items = [body_of("ACME", TASK, idempotency_key=f"b{number}", api_calls=number) for number in (1, 500)]
    answers = [item["body"] for item in api.post("/enforce/batch", {"items": items}).json()["results"]]
    assert [(each["allowed"], each["on_failure"]) for each in answers] == [(True, on_failure), (False, on_failure)]
    acme.tenant.enforcement_mode = EnforcementMode.OFF
    acme.tenant.save(update_fields=["enforcement_mode"])
    assert api.enforce("ACME", TASK)["on_failure"] == on_failure


def test_entitlements_tell_it_before_the_first_call(api: Api, acme: Company, on_failure: str) -> None:
    features = api.get("/entitlements", tenant="ACME").json()["features"]
    assert [each["on_failure"] for each in features if each["code"] == FEATURE] == [on_failure]


def test_nothing_is_said_where_no_feature_can_be_told(api: Api) -> None:
    answer = api.enforce(None, TASK)
    assert (answer["code"], answer["on_failure"]) == ("TENANT_UNRESOLVED", None)
