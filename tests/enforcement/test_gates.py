"""Every gate in its order: each refusal beside the success next to it."""

from datetime import UTC, datetime, timedelta

import pytest

from plans.models import Feature, LLMModel, ModelPrice, Task
from tenants import tokens
from tenants.models import EnforcementMode, Tenant, TenantStatus
from tests.cast import Company, make_tenant, plan
from tests.enforcement.api import Api, body_of, fields_of
from tests.enforcement.rules import limit
from usage.models import Denial, UsageMeter, UsageReservation

NOW = datetime.now(UTC)


def test_a_permit_holds_what_it_grants(api: Api, acme: Company) -> None:
    """Defect 5: tokens in and out count together on a feature whose unit is tokens."""
    answer = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1200, tokens_out=4000)
    assert answer["allowed"] is True
    assert answer["code"] == "OK"
    assert answer["params"] == {
        "model_class": "PRO_L",
        "allowed_model_classes": ["BASE_S", "BASE_M", "PRO_M", "PRO_L"],
        "max_tokens_in": 1200,
        "max_tokens_out": 4000,
        "max_steps": answer["params"]["max_steps"],
        "top_k": answer["params"]["top_k"],
        "max_files": answer["params"]["max_files"],
    }
    assert answer["reservation_id"] == answer["decision_id"]
    day = UsageMeter.objects.get(tenant=acme.tenant, feature="PATENT_DRAFTING", measure="UNITS", period="DAY")
    assert (day.used, day.reserved) == (0, 5200)
    held = next(quota for quota in answer["quotas"] if quota["measure"] == "UNITS" and quota["period"] == "DAY")
    assert (held["limit"], held["reserved"], held["remaining"]) == (500_000, 5200, 494_800)


def test_every_key_of_a_permit_is_in_a_refusal(api: Api, acme: Company) -> None:
    permit = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)
    refusal = api.enforce("ACME", "LLM2_DRAFT", tokens_in=10**6)
    assert permit.keys() <= refusal.keys()
    assert refusal["reservation_id"] is None
    assert refusal["quotas"] == []


def test_without_a_tenant_the_call_is_unresolved(api: Api, acme: Company) -> None:
    assert api.enforce(None, "LLM2_DRAFT")["code"] == "TENANT_UNRESOLVED"
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "OK"


def test_a_suspended_tenant_is_refused_and_a_revived_one_is_not(api: Api, acme: Company) -> None:
    """Defect 22: a refusal with its own code, not a 401."""
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "TENANT_SUSPENDED"
    Tenant.objects.update(status=TenantStatus.ACTIVE)
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "OK"


def test_a_plan_not_in_force_is_refused(api: Api, acme: Company) -> None:
    acme.root.plan_ends_at = NOW - timedelta(seconds=1)
    acme.root.save(update_fields=["plan_ends_at"])
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "PLAN_EXPIRED"
    acme.root.plan_ends_at = NOW + timedelta(days=1)
    acme.root.save(update_fields=["plan_ends_at"])
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "OK"


def test_a_tenant_without_a_root_token_has_no_plan(api: Api) -> None:
    Tenant.objects.create(ati_id="BARE", name="Bare")
    assert api.enforce("BARE", "LLM2_DRAFT", tokens_in=1)["code"] == "PLAN_EXPIRED"


def test_the_plan_in_force_decides_at_once(api: Api, acme: Company) -> None:
    assert api.enforce("ACME", "EMBED", tokens_in=10)["code"] == "FEATURE_UNAVAILABLE"
    tokens.change_plan(acme.root, plan("ENTERPRISE"), now=datetime.now(UTC))
    assert api.enforce("ACME", "EMBED", tokens_in=10)["code"] == "OK"


def test_a_feature_or_task_outside_the_plan_is_refused(api: Api) -> None:
    """Defect 7: a task without an access row is refused, not let through."""
    make_tenant("INITECH", "FREE")
    assert api.enforce("INITECH", "LLM3_DIAGRAM", tokens_in=1)["code"] == "FEATURE_UNAVAILABLE"
    assert api.enforce("INITECH", "WEB_META")["code"] == "TASK_UNAVAILABLE"
    assert api.enforce("INITECH", "PATENT_OPEN")["code"] == "OK"


def test_a_feature_alone_means_its_only_task(api: Api, acme: Company) -> None:
    assert api.enforce("ACME", None, feature="PATENT_DRAFTING", tokens_in=1)["code"] == "OK"
    response = api.ask("ACME", None, feature="PRIOR_ART_SEARCH")
    assert response.status_code == 422
    assert "LLM1_PRIOR_ART" in response.json()["detail"]


def test_a_task_must_agree_with_its_feature(api: Api, acme: Company) -> None:
    assert api.ask("ACME", "LLM2_DRAFT", feature="RERANK").status_code == 422
    assert api.enforce("ACME", "LLM2_DRAFT", feature="PATENT_DRAFTING", tokens_in=1)["code"] == "OK"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"task": "NOPE"}, "task"),
        ({"task": None, "feature": "NOPE"}, "feature"),
        ({"task": "LLM2_DRAFT", "model_class": "NOPE"}, "model_class"),
        ({"task": None}, "task"),
    ],
)
def test_unknown_codes_list_the_known_ones(api: Api, acme: Company, fields: dict[str, str], field: str) -> None:
    response = api.ask("ACME", fields.pop("task"), **fields)
    assert response.status_code == 422
    assert fields_of(response.json()) == [field]


def test_the_model_class_is_the_one_asked_for_else_the_default(api: Api, acme: Company) -> None:
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["params"]["model_class"] == "PRO_L"
    asked = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, model_class="BASE_M")
    assert asked["params"]["model_class"] == "BASE_M"


def test_a_model_class_outside_the_plan_is_refused(api: Api, acme: Company) -> None:
    """Defect 7: the caller's own model is checked."""
    refused = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, model_class="ADVANCED")
    assert refused["code"] == "MODEL_CLASS_UNAVAILABLE"
    assert "PRO_L" in refused["message"]


def test_a_class_without_an_active_model_is_refused(api: Api, acme: Company) -> None:
    LLMModel.objects.filter(model_class="PRO_L").update(is_active=False)
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "MODEL_CLASS_UNAVAILABLE"
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, model_class="PRO_M")["code"] == "OK"


def test_caps_reduce_what_can_be_reduced(api: Api, acme: Company) -> None:
    """Defect 8: caps for steps and top-k are applied and said."""
    limit(acme.tenant, "AGENT_MAX_STEPS", 4)
    limit(acme.tenant, "RETRIEVAL_TOP_K", 2)
    answer = api.enforce(
        "ACME", "LLM2_DRAFT", tokens_in=10, tokens_out=9000, requested={"max_steps": 8, "top_k": 5, "files": 1}
    )
    assert (answer["params"]["max_tokens_out"], answer["params"]["max_steps"], answer["params"]["top_k"]) == (
        8000,
        4,
        2,
    )
    assert {"param": "max_tokens_out", "asked": 9000, "granted": 8000, "because": "MAX_TOKENS_OUT"} in answer["shaped"]
    assert [each["param"] for each in answer["shaped"]] == ["max_tokens_out", "max_steps", "top_k"]


def test_too_much_input_or_too_many_files_are_refused(api: Api, acme: Company) -> None:
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=32_000)["code"] == "OK"
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=32_001)["code"] == "INPUT_TOO_LARGE"
    limit(acme.tenant, "FILES_PER_REQUEST", 1)
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, requested={"files": 1})["code"] == "OK"
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, requested={"files": 2})["code"] == "POLICY_VIOLATION"


def test_without_an_estimate_the_caps_are_held_and_without_caps_it_is_asked_for(api: Api, acme: Company) -> None:
    answer = api.enforce("ACME", "LLM2_DRAFT")
    assert (answer["params"]["max_tokens_in"], answer["params"]["max_tokens_out"]) == (32_000, 8_000)
    limit(acme.tenant, "MAX_TOKENS_IN", None, task_id="LLM2_DRAFT")
    response = api.ask("ACME", "LLM2_DRAFT")
    assert response.status_code == 422
    assert fields_of(response.json()) == ["estimate.input_tokens"]


def test_a_cap_of_zero_grants_nothing_and_null_is_unlimited(api: Api, acme: Company) -> None:
    """Defects 4 and 6: 0 does not fall to a default, NULL is not 0."""
    rule = limit(acme.tenant, "MAX_TOKENS_OUT", 0, task_id="LLM2_DRAFT")
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, tokens_out=5)["params"]["max_tokens_out"] == 0
    rule.value = None
    rule.save(update_fields=["value"])
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, tokens_out=10**5)["params"]["max_tokens_out"] == 10**5


def test_an_unknown_price_is_refused_only_where_a_budget_applies(api: Api, acme: Company) -> None:
    """Defect 39: never taken as 0."""
    ModelPrice.objects.all().delete()
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "PRICE_UNKNOWN"
    limit(acme.tenant, "MONTHLY_BUDGET", None)
    permit = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)
    assert permit["code"] == "OK"
    assert permit["estimated_cost"] is None


def test_an_api_task_without_a_price_is_refused_under_a_budget(api: Api, acme: Company) -> None:
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "OK"
    Task.objects.filter(code="PATENT_OPEN").update(price_per_unit_nano_usd=None)
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "PRICE_UNKNOWN"


@pytest.mark.parametrize(
    ("key", "value", "fields", "code"),
    [
        ("CONCURRENCY_LIMIT", 1, {}, "CONCURRENCY_LIMIT"),
        ("CONCURRENCY_LIMIT", 1, {"task_id": "LLM2_DRAFT"}, "CONCURRENCY_LIMIT"),
        ("REQUESTS_PER_MINUTE", 1, {}, "RATE_LIMITED"),
        ("TOKENS_PER_MINUTE", 150, {}, "RATE_LIMITED"),
        ("DAILY_QUOTA", 150, {"feature_id": "PATENT_DRAFTING"}, "DAILY_QUOTA_EXCEEDED"),
        ("DAILY_QUOTA", 150, {"task_id": "LLM2_DRAFT"}, "DAILY_QUOTA_EXCEEDED"),
        ("MONTHLY_QUOTA", 150, {"feature_id": "PATENT_DRAFTING"}, "MONTHLY_QUOTA_EXCEEDED"),
        ("DAILY_TOKEN_LIMIT", 150, {"feature_id": "PATENT_DRAFTING"}, "TOKEN_LIMIT_EXCEEDED"),
        ("MONTHLY_TOKEN_LIMIT", 150, {"task_id": "LLM2_DRAFT"}, "TOKEN_LIMIT_EXCEEDED"),
        ("USER_DAILY_QUOTA", 150, {"feature_id": "PATENT_DRAFTING"}, "USER_QUOTA_EXCEEDED"),
        ("USER_MONTHLY_QUOTA", 150, {"task_id": "LLM2_DRAFT", "user_key": "u-1"}, "USER_QUOTA_EXCEEDED"),
    ],
)
def test_a_meter_gate_permits_up_to_its_limit_and_names_what_refused(
    api: Api, acme: Company, key: str, value: int, fields: dict[str, str], code: str
) -> None:
    """Defects 1, 10, 29 and 53: one id for read and write, holds count, the code is the gate's own."""
    limit(acme.tenant, key, value, **fields)
    limit(acme.tenant, "CONCURRENCY_LIMIT", 100) if key != "CONCURRENCY_LIMIT" else None
    assert api.enforce("ACME", "LLM2_DRAFT", user="u-1", tokens_in=60, tokens_out=40)["code"] == "OK"
    refused = api.enforce("ACME", "LLM2_DRAFT", user="u-1", tokens_in=60, tokens_out=40)
    assert refused["code"] == code
    assert refused["binding"]["limit"] == value
    assert refused["binding"]["requested"] > refused["binding"]["remaining"] >= 0
    assert refused["message"]
    assert refused["retryable"] is (code in ("CONCURRENCY_LIMIT", "RATE_LIMITED"))
    assert refused["retry_after_seconds"] >= 1


def test_a_budget_refuses_in_money(api: Api, acme: Company) -> None:
    """Defect 45: a budget refusal is not retryable."""
    first = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1000, tokens_out=1000)
    nano = int(float(first["estimated_cost"]) * 10**9)
    limit(acme.tenant, "DAILY_BUDGET", nano + 1)
    refused = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1000, tokens_out=1000)
    assert refused["code"] == "BUDGET_EXCEEDED"
    assert refused["retryable"] is False
    assert refused["binding"]["unit"] == "USD"
    assert refused["binding"]["requested"] == first["estimated_cost"]


def test_two_tasks_of_a_feature_share_its_quota(api: Api, acme: Company) -> None:
    """Defect 2: meters are per feature, so tasks cannot escape the sum."""
    limit(acme.tenant, "DAILY_QUOTA", 2, feature_id="PRIOR_ART_SEARCH")
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "OK"
    assert api.enforce("ACME", "NPL_OPEN")["code"] == "OK"
    assert api.enforce("ACME", "WEB_META")["code"] == "DAILY_QUOTA_EXCEEDED"


def test_a_users_limit_adds_to_the_tenants(api: Api, acme: Company) -> None:
    """Defect 9: it does not replace it."""
    limit(acme.tenant, "USER_DAILY_QUOTA", 100, feature_id="PRIOR_ART_SEARCH", user_key="u-1")
    limit(acme.tenant, "DAILY_QUOTA", 1, feature_id="PRIOR_ART_SEARCH")
    assert api.enforce("ACME", "PATENT_OPEN", user="u-1")["code"] == "OK"
    assert api.enforce("ACME", "PATENT_OPEN", user="u-1")["code"] == "DAILY_QUOTA_EXCEEDED"


def test_an_ask_that_can_never_fit_says_so(api: Api, acme: Company) -> None:
    limit(acme.tenant, "REQUESTS_PER_MINUTE", 0)
    refused = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)
    assert refused["code"] == "RATE_LIMITED"
    assert (refused["retryable"], refused["retry_after_seconds"]) == (False, None)


def test_of_several_that_bind_the_one_that_resets_last_is_named(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 3, feature_id="PRIOR_ART_SEARCH")
    limit(acme.tenant, "MONTHLY_QUOTA", 3, feature_id="PRIOR_ART_SEARCH")
    limit(acme.tenant, "CONCURRENCY_LIMIT", 1)
    assert api.enforce("ACME", "PATENT_OPEN", api_calls=2)["code"] == "OK"
    assert api.enforce("ACME", "PATENT_OPEN", api_calls=2)["code"] == "MONTHLY_QUOTA_EXCEEDED"


def test_overage_allow_frees_the_features_own_meters_alone(api: Api, acme: Company) -> None:
    enterprise = plan("PRO")
    draft = type(enterprise).objects.create(code="LOOSE", name="Loose", max_seats=None)
    draft.features.create(feature_id="PRIOR_ART_SEARCH", daily_quota=1, overage="ALLOW")
    draft.accesses.create(task_id="PATENT_OPEN")
    draft.status = "ACTIVE"
    draft.save(update_fields=["status"])
    tokens.change_plan(acme.root, draft, now=datetime.now(UTC))
    limit(acme.tenant, "REQUESTS_PER_MINUTE", 2)
    assert api.enforce("ACME", "PATENT_OPEN")["would_deny"] is None
    beyond = api.enforce("ACME", "PATENT_OPEN")
    assert beyond["allowed"] is True
    assert [each["code"] for each in beyond["would_deny"]] == ["DAILY_QUOTA_EXCEEDED"]
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "RATE_LIMITED"


def test_a_refusal_is_recorded_with_its_numbers_and_alike_ones_are_counted(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 1, feature_id="PRIOR_ART_SEARCH")
    api.enforce("ACME", "PATENT_OPEN")
    answers = [api.enforce("ACME", "PATENT_OPEN", user="u-1") for _ in range(3)]
    found = Denial.objects.filter(tenant=acme.tenant, code="DAILY_QUOTA_EXCEEDED")
    assert sum(denial.count for denial in found) == 3
    assert {answer["decision_id"] for answer in answers} == {str(denial.id) for denial in found}
    assert found[0].binding["limit"] == 1
    assert found[0].user_key == "u-1"


def test_a_check_holds_and_records_nothing(api: Api, acme: Company) -> None:
    assert api.check("ACME", "PATENT_OPEN")["allowed"] is True
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    refused = api.check("ACME", "PATENT_OPEN")
    assert refused["code"] == "DAILY_QUOTA_EXCEEDED"
    assert refused["decision_id"] is None
    assert not UsageReservation.objects.exists()
    assert not Denial.objects.exists()


def test_a_refused_key_may_ask_again(api: Api, acme: Company) -> None:
    """I7: a denial is not remembered."""
    rule = limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    assert api.enforce("ACME", "PATENT_OPEN", key="same")["allowed"] is False
    rule.delete()
    assert api.enforce("ACME", "PATENT_OPEN", key="same")["allowed"] is True


def test_the_grant_of_a_key_is_answered_again_even_when_the_ask_would_be_refused_now(api: Api, acme: Company) -> None:
    first = api.enforce("ACME", "PATENT_OPEN", key="same")
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    response = api.ask("ACME", "PATENT_OPEN", key="same")
    assert response.headers["Idempotent-Replayed"] == "true"
    again = response.json()
    assert again.pop("status") == "OPEN"
    assert again.pop("ttl_seconds") <= first.pop("ttl_seconds")
    assert again == first


def test_another_body_under_the_same_key_is_a_conflict(api: Api, acme: Company) -> None:
    api.enforce("ACME", "PATENT_OPEN", key="same")
    response = api.ask("ACME", "PATENT_OPEN", key="same", api_calls=2)
    assert response.status_code == 409
    assert response.json()["code"] == "IDEMPOTENCY_CONFLICT"


def test_the_same_key_of_two_tenants_is_two_reservations(api: Api, acme: Company, rival: Company) -> None:
    """Defect 17: no tenant receives another's reservation."""
    ours = api.enforce("ACME", "PATENT_OPEN", key="same")
    theirs = api.enforce("RIVAL", "PATENT_OPEN", key="same")
    assert ours["reservation_id"] != theirs["reservation_id"]


def test_a_feature_says_what_to_do_without_an_answer(api: Api, acme: Company) -> None:
    """Defect 11: what happens on failure is the feature's choice, not an exception's."""
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["on_failure"] == "OPEN"
    assert api.enforce("ACME", "PATENT_OPEN")["on_failure"] == "CLOSED"


def test_the_tightest_quota_is_in_the_rate_limit_headers(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 10, feature_id="PRIOR_ART_SEARCH")
    response = api.post("/enforce", body_of("ACME", "PATENT_OPEN", api_calls=4), Idempotency_Key="k")
    assert response.headers["RateLimit-Policy"] == '"prior-art-search-units-day";q=10;w=86400'
    assert response.headers["RateLimit"].startswith('"prior-art-search-units-day";r=6;t=')


def test_features_and_trials_are_metered_alike(api: Api) -> None:
    """Defect 9: no feature and no plan skips its quota."""
    make_tenant("INITECH", "FREE")
    assert Feature.objects.filter(enforcement_mode=EnforcementMode.ENFORCE).count() == Feature.objects.count()
    answers = [api.enforce("INITECH", "PATENT_OPEN", api_calls=6)]
    api.post(f"/reservations/{answers[0]['reservation_id']}/commit", {"usage": {"api_calls": 6}})
    assert api.enforce("INITECH", "PATENT_OPEN", api_calls=6)["code"] == "DAILY_QUOTA_EXCEEDED"
