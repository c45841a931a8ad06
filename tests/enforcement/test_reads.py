"""Entitlements, meters, reservations and decisions, as the API shows them: to whom, and to nobody else."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plans.models import FeatureCode
from tenants import tokens
from tenants.ids import uuid7
from tenants.models import EnforcementMode, Role, Scope, Tenant, TenantStatus, User
from tests.cast import Company, make_key, make_tenant, plan
from tests.enforcement.api import Api, fields_of
from tests.enforcement.rules import limit, roll_out
from usage.models import UsageMeter, UsageReservation

TASK = "LLM2_DRAFT"
NOW = datetime.now(UTC)
QUOTA_KEYS = {
    "scope", "feature", "task", "user", "measure", "unit", "period", "limit", "used", "reserved", "overrun",
    "remaining", "resets_at",
}  # fmt: skip


def get(api: Api, path: str, **query: str) -> dict[str, Any]:
    answer = api.get(path, **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def quota(quotas: list[dict[str, Any]], **keys: object) -> dict[str, Any]:
    """The one quota object with these keys."""
    (found,) = [each for each in quotas if all(each[name] == value for name, value in keys.items())]
    return found


# --- entitlements -------------------------------------------------------------


def test_entitlements_are_the_plans_with_what_is_left_of_them(api: Api, acme: Company) -> None:
    permit = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=1000)
    api.commit(permit["reservation_id"], usage={"input_tokens": 900, "output_tokens": 100}, model="gpt-4o")
    api.enforce("ACME", TASK, tokens_in=40, tokens_out=2)
    found = get(api, "/entitlements", tenant="ACME")
    assert (found["tenant"], found["plan"], found["active"]) == ("ACME", {"code": "PRO", "name": "Pro"}, True)
    features = {each["code"]: each for each in found["features"]}
    assert features.keys() == set(FeatureCode.values)
    drafting = features["PATENT_DRAFTING"]
    assert (drafting["unit"], drafting["enabled"], drafting["on_failure"]) == ("TOKENS", True, "OPEN")
    assert all(each.keys() == QUOTA_KEYS for each in drafting["quotas"])
    day = quota(drafting["quotas"], measure="UNITS", period="DAY")
    assert (day["limit"], day["used"], day["reserved"], day["remaining"]) == (500_000, 1000, 42, 498_958)
    assert quota(features["DIAGRAM_GENERATION"]["quotas"], period="DAY")["used"] == 0
    assert (features["EMBEDDINGS"]["enabled"], features["EMBEDDINGS"]["quotas"]) == (False, [])
    budget = quota(found["quotas"], measure="COST", period="MONTH")
    assert (budget["limit"], budget["used"], budget["unit"]) == ("50.00", "0.00325", "USD")
    assert quota(found["quotas"], measure="SLOTS")["reserved"] == 1


def test_a_task_is_offered_with_its_classes_and_caps(api: Api, acme: Company) -> None:
    tasks = {each["code"]: each for each in get(api, "/entitlements", tenant="ACME")["tasks"]}
    assert "EMBED" not in tasks
    assert tasks[TASK] == {
        "code": TASK, "feature": "PATENT_DRAFTING", "kind": "LLM", "default_model_class": "PRO_L",
        "allowed_model_classes": ["BASE_S", "BASE_M", "PRO_M", "PRO_L"],
        "caps": {
            "max_tokens_in": 32_000, "max_tokens_out": 8_000, "max_steps": 15, "top_k": 30, "max_files": 10,
            "ttl_seconds": tasks[TASK]["caps"]["ttl_seconds"],
        },
    }  # fmt: skip
    assert tasks["PATENT_OPEN"]["allowed_model_classes"] == []
    assert tasks["PATENT_OPEN"]["default_model_class"] is None
    assert tasks["LLM1_PRIOR_ART"]["caps"]["max_tokens_in"] == 64_000


def drafting(entitlements: dict[str, Any]) -> list[dict[str, Any]]:
    (found,) = [each["quotas"] for each in entitlements["features"] if each["code"] == "PATENT_DRAFTING"]
    quotas: list[dict[str, Any]] = found
    return quotas


def test_a_users_own_quotas_and_caps_are_in_its_entitlements(api: Api, acme: Company) -> None:
    limit(acme.tenant, "USER_DAILY_QUOTA", 700, feature_id="PATENT_DRAFTING")
    limit(acme.tenant, "MAX_TOKENS_OUT", 9, user_key="u-1", task_id=TASK)
    api.enforce("ACME", TASK, user="u-1", tokens_in=10, tokens_out=9)
    mine = get(api, "/entitlements", tenant="ACME", user="u-1")
    own = quota(drafting(mine), scope="USER")
    assert (own["user"], own["limit"], own["reserved"]) == ("u-1", 700, 19)
    assert {each["code"]: each for each in mine["tasks"]}[TASK]["caps"]["max_tokens_out"] == 9
    others = get(api, "/entitlements", tenant="ACME", user="u-2")
    assert quota(drafting(others), scope="USER")["used"] == 0
    everybody = get(api, "/entitlements", tenant="ACME")
    assert all(each["scope"] == "TENANT" for each in drafting(everybody))


def test_without_a_plan_in_force_nothing_is_promised(api: Api, acme: Company) -> None:
    type(acme.root).objects.filter(pk=acme.root.pk).update(plan_ends_at=NOW)
    found = get(api, "/entitlements", tenant="ACME")
    assert (found["plan"], found["tasks"], found["quotas"]) == (None, [], [])
    assert not any(each["enabled"] for each in found["features"])


def test_a_change_of_plan_shows_at_once(api: Api, acme: Company) -> None:
    assert get(api, "/entitlements", tenant="ACME")["plan"]["code"] == "PRO"
    tokens.change_plan(acme.root, plan("ENTERPRISE"), now=NOW)
    assert get(api, "/entitlements", tenant="ACME")["plan"]["code"] == "ENTERPRISE"
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    assert get(api, "/entitlements", tenant="ACME")["active"] is False


# --- meters -------------------------------------------------------------------


def test_meters_are_the_quota_objects_of_the_running_periods(api: Api, acme: Company) -> None:
    """Defect 50: a meter shows the window, the limit and the reset that the check uses."""
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id="PATENT_DRAFTING")
    permit = api.enforce("ACME", TASK, user="u-1", tokens_in=100, tokens_out=100)
    found = get(api, "/usage/meters", tenant="ACME")["results"]
    for asked in permit["quotas"]:
        assert quota(found, **{name: asked[name] for name in ("scope", "feature", "measure", "period")}) == asked
    assert [each["scope"] for each in found] == ["TENANT"] * (len(found) - 1) + ["USER"]
    unlimited = quota(found, measure="COST", period="DAY")
    assert (unlimited["limit"], unlimited["remaining"]) == (None, None)
    # the limit in force now, not the one of the last permit
    limit(acme.tenant, "DAILY_QUOTA", 150, feature_id="PATENT_DRAFTING")
    day = quota(get(api, "/usage/meters", tenant="ACME")["results"], measure="UNITS", period="DAY", scope="TENANT")
    assert (day["limit"], day["reserved"], day["remaining"]) == (150, 200, 0)


def test_meters_are_chosen_by_period_feature_and_user(api: Api, acme: Company) -> None:
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id="PATENT_DRAFTING")
    limit(acme.tenant, "DAILY_QUOTA", 5_000, task_id=TASK)
    api.enforce("ACME", TASK, user="u-1", tokens_in=100, tokens_out=100)
    api.enforce("ACME", "PATENT_OPEN", user="u-2")
    month = get(api, "/usage/meters", tenant="ACME", period="MONTH")["results"]
    assert {(each["feature"], each["measure"]) for each in month} == {
        ("PATENT_DRAFTING", "UNITS"), ("PRIOR_ART_SEARCH", "UNITS"), (None, "COST"),
    }  # fmt: skip
    drafting = get(api, "/usage/meters", tenant="ACME", feature="PATENT_DRAFTING")["results"]
    assert {(each["feature"], each["task"]) for each in drafting} == {("PATENT_DRAFTING", None), (None, TASK)}
    (own,) = get(api, "/usage/meters", tenant="ACME", user="u-1")["results"]
    assert own["user"] == "u-1"
    assert get(api, "/usage/meters", tenant="ACME", user="u-9")["results"] == []


def test_meters_of_yesterday_are_not_shown(api: Api, acme: Company) -> None:
    api.enforce("ACME", TASK, tokens_in=100)
    UsageMeter.objects.filter(period="DAY").update(period_start="2020-01-01T00:00Z", period_end="2020-01-02T00:00Z")
    assert get(api, "/usage/meters", tenant="ACME", period="DAY")["results"] == []
    assert get(api, "/usage/meters", tenant="ACME", period="MONTH")["results"] != []


def test_meters_in_pages_are_whole(api: Api, acme: Company) -> None:
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id="PATENT_DRAFTING")
    for name in ("b", "a", "\x1f", "ü", "a\x1fb"):
        api.commit(api.enforce("ACME", TASK, user=name, tokens_in=1, tokens_out=1)["reservation_id"])
    whole = get(api, "/usage/meters", tenant="ACME")["results"]
    assert len(whole) == 10
    answer = get(api, "/usage/meters", tenant="ACME", page_size="3")
    paged = answer["results"]
    while answer["next"]:
        answer = api.client.get(answer["next"], headers=api.headers).json()
        paged += answer["results"]
    assert paged == whole
    back = api.client.get(answer["previous"], headers=api.headers).json()
    assert back["results"] == whole[6:9]


# --- reservations -------------------------------------------------------------


def test_a_reservation_shows_what_it_holds_until_its_end(api: Api, acme: Company) -> None:
    permit = api.enforce("ACME", TASK, user="u-1", tokens_in=1000, tokens_out=500, metadata={"trace": "t"})
    path = f"/reservations/{permit['reservation_id']}"
    found = get(api, path)
    assert (found["reservation_id"], found["status"]) == (permit["reservation_id"], "OPEN")
    assert found["params"] == permit["params"]
    assert found["expires_at"][:19] + "Z" == permit["expires_at"]
    assert (found["user"], found["task"], found["metadata"]) == ("u-1", TASK, {"trace": "t"})
    day = quota(found["holds"], measure="UNITS", period="DAY")
    assert day == {
        "scope": "TENANT", "feature": "PATENT_DRAFTING", "task": None, "user": None, "measure": "UNITS",
        "unit": "TOKENS", "period": "DAY", "amount": 1500, "booked": 0, "left": 1500,
    }  # fmt: skip
    assert quota(found["holds"], measure="COST", period="DAY")["amount"] == permit["estimated_cost"]
    api.post(f"{path}/report", {"usage": {"input_tokens": 1000, "output_tokens": 100}, "model": "gpt-4o"})
    day = quota(get(api, path)["holds"], measure="UNITS", period="DAY")
    assert (day["booked"], day["left"]) == (1100, 400)
    api.commit(permit["reservation_id"], usage={"input_tokens": 1000, "output_tokens": 200}, model="gpt-4o")
    ended = get(api, path)
    assert (ended["status"], ended["cost"]) == ("COMMITTED", "0.0045")
    assert ended["ended_at"].endswith("Z")
    day = quota(ended["holds"], measure="UNITS", period="DAY")
    assert (day["amount"], day["booked"], day["left"]) == (1500, 1200, 0)


def test_a_stranger_finds_no_reservation(api: Api, acme: Company, rival: Company) -> None:
    permit = api.enforce("ACME", TASK, tokens_in=1)
    path = f"/reservations/{permit['reservation_id']}"
    assert api.get(path, tenant="ACME").status_code == 200
    assert Api(make_key(Scope.ENFORCE, tenant=acme.tenant)).get(path).status_code == 200
    for stranger in (Api(make_key(tenant=rival.tenant)), Api(rival.owner.token)):
        assert stranger.get(path).status_code == 404
    assert api.get(path, tenant="RIVAL").status_code == 404
    assert Api(make_key(tenant=acme.tenant)).get(path, tenant="RIVAL").status_code == 404
    assert api.get(f"/reservations/{uuid4()}").status_code == 404
    assert api.get("/reservations/not-an-id").status_code == 404


def test_a_token_finds_its_own_users_reservations_alone(acme: Company) -> None:
    owner, mine = Api(acme.owner.token), Api(acme.people[0].token)
    path = f"/reservations/{mine.enforce(None, TASK, tokens_in=1)['reservation_id']}"
    assert mine.get(path).status_code == 200
    assert owner.get(path).status_code == 404


# --- decisions ----------------------------------------------------------------


def gates(explained: dict[str, Any]) -> list[tuple[str, str]]:
    return [(gate["gate"], gate["verdict"]) for gate in explained["gates"]]


def test_a_permit_is_explained_gate_by_gate(api: Api, acme: Company) -> None:
    permit = api.enforce("ACME", TASK, user="u-1", tokens_in=1000, tokens_out=9_000)
    found = get(api, f"/decisions/{permit['decision_id']}", tenant="ACME")
    assert (found["id"], found["allowed"], found["code"]) == (permit["decision_id"], True, "OK")
    numbers = found["versions"]
    assert f"{numbers['catalogue']}.{numbers['keys']}.{numbers['tenant']}" == permit["policy_version"]
    assert found["binding"] is None
    assert [{**step, "why": ""} for step in found["shaped"]] == [step | {"why": ""} for step in permit["shaped"]]
    assert gates(found) == [
        ("IDENTITY", "PASSED"), ("TENANT", "PASSED"), ("MODE", "PASSED"), ("PLAN", "PASSED"), ("FEATURE", "PASSED"),
        ("TASK", "PASSED"), ("MODEL_ACCESS", "PASSED"), ("CAPS", "SHAPED"), ("PRICE", "PASSED"),
        ("CONCURRENCY", "PASSED"), ("RATES", "PASSED"), ("DAILY_QUOTA", "PASSED"), ("MONTHLY_QUOTA", "PASSED"),
        ("TOKEN_LIMITS", "PASSED"), ("USER_QUOTA", "PASSED"), ("BUDGET", "PASSED"), ("BUDGET", "PASSED"),
    ]  # fmt: skip
    assert all(gate.keys() == {"gate", "verdict", "inputs", "rule", "rules", "why"} for gate in found["gates"])
    (daily,) = [gate for gate in found["gates"] if gate["gate"] == "DAILY_QUOTA"]
    assert (daily["inputs"]["requested"], daily["inputs"]["limit"], daily["rule"]) == (9000, 500_000, "plan PRO")
    assert daily["why"].startswith("PATENT_DRAFTING: 9,000 tokens asked, 500,000 left of 500,000 today; resets at ")


def test_a_refusal_by_a_meter_is_explained_with_its_numbers(api: Api, acme: Company) -> None:
    rule = limit(acme.tenant, "DAILY_QUOTA", 1000, feature_id="PATENT_DRAFTING")
    refusal = api.enforce("ACME", TASK, tokens_in=900, tokens_out=101)
    found = get(api, f"/decisions/{refusal['decision_id']}", tenant="ACME")
    assert (found["allowed"], found["code"], found["message"]) == (False, refusal["code"], refusal["message"])
    assert (found["binding"], found["shaped"]) == (refusal["binding"], [])
    assert [gate for gate, verdict in gates(found) if verdict != "PASSED"] == ["DAILY_QUOTA"]
    (daily,) = [gate for gate in found["gates"] if gate["verdict"] == "REFUSED"]
    assert (daily["rules"][0]["id"], daily["why"]) == (str(rule.pk), refusal["message"])


def asked(explained: dict[str, Any]) -> list[tuple[str, str]]:
    return [told for told in gates(explained) if told[1] != "NOT_ASKED"]


def test_a_refusal_before_the_meters_ends_at_its_gate(api: Api, acme: Company) -> None:
    refusal = api.enforce("ACME", TASK, tokens_in=10**6)
    found = get(api, f"/decisions/{refusal['decision_id']}", tenant="ACME")
    assert (found["code"], asked(found)[-1]) == ("INPUT_TOO_LARGE", ("CAPS", "REFUSED"))
    refusal = api.enforce("ACME", "EMBED", tokens_in=1)
    found = get(api, f"/decisions/{refusal['decision_id']}", tenant="ACME")
    assert (found["code"], asked(found)[-1]) == ("FEATURE_UNAVAILABLE", ("FEATURE", "REFUSED"))
    assert found["gates"][len(asked(found)) - 1]["why"] == refusal["message"]


def test_what_was_only_observed_says_so(api: Api, acme: Company) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 10, feature_id="PATENT_DRAFTING")
    roll_out("ALL", EnforcementMode.OBSERVE, NOW, acme.tenant)
    permit = api.enforce("ACME", TASK, tokens_in=10**6, model_class="ADVANCED")
    found = get(api, f"/decisions/{permit['decision_id']}", tenant="ACME")
    observed = [gate for gate, verdict in gates(found) if verdict == "OBSERVED"]
    assert observed[:3] == ["MODEL_ACCESS", "CAPS", "DAILY_QUOTA"]


def test_a_decision_outlives_its_reservation(api: Api, acme: Company) -> None:
    permit = api.enforce("ACME", TASK, tokens_in=1000, tokens_out=500)
    api.commit(permit["reservation_id"], usage={"input_tokens": 1, "output_tokens": 1})
    UsageReservation.objects.all().delete()
    found = get(api, f"/decisions/{permit['decision_id']}", tenant="ACME")
    assert found["allowed"] is True
    daily = [gate for gate in found["gates"] if gate["gate"] == "DAILY_QUOTA"]
    assert [(gate["inputs"]["requested"], gate["inputs"]["limit"]) for gate in daily] == [(1500, 500_000)]
    assert {gate["inputs"]["limit"] for gate in found["gates"] if gate["gate"] == "BUDGET"} == {None, "50.00"}


# --- who may see what ---------------------------------------------------------


def test_a_stranger_finds_no_tenant_and_no_decision(api: Api, acme: Company, rival: Company) -> None:
    permit, refusal = api.enforce("ACME", TASK, tokens_in=1), api.enforce("ACME", TASK, tokens_in=10**6)
    decisions = [f"/decisions/{answer['decision_id']}" for answer in (permit, refusal)]
    own, stranger = Api(make_key(tenant=acme.tenant)), Api(make_key(tenant=rival.tenant))
    for path in decisions:
        assert own.get(path).status_code == 200
        assert stranger.get(path).status_code == 404
        assert Api(rival.owner.token).get(path).status_code == 404
        assert api.get(path, tenant="RIVAL").status_code == 404
    for path in ("/entitlements", "/usage/meters", *decisions):
        unnamed = api.get(path)
        assert (unnamed.status_code, fields_of(unnamed.json())) == (422, ["tenant"])
        assert own.get(path, tenant="RIVAL").status_code == 404
        assert own.get(path, tenant="ACME").status_code == 200
        assert api.get(path, tenant="NOBODY").status_code == 404
        assert Api(make_key(Scope.ENFORCE)).get(path, tenant="ACME").status_code == 403
        assert Api(None).get(path, tenant="ACME").status_code == 401
    assert get(stranger, "/usage/meters")["results"] == []


@pytest.mark.parametrize("role", [Role.ANALYST, Role.VIEWER, Role.MANAGER, Role.ADMIN])
def test_a_token_sees_of_other_users_what_its_role_may(role: Role, acme: Company) -> None:
    sees_all = role in (Role.MANAGER, Role.ADMIN)
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id="PATENT_DRAFTING")
    mine, colleague = acme.people
    User.objects.filter(pk=mine.user.pk).update(role=role)
    token, other = Api(mine.token), Api(colleague.token)
    permit, others = (each.enforce(None, TASK, tokens_in=1, tokens_out=1) for each in (token, other))
    assert token.get(f"/decisions/{permit['decision_id']}").status_code == 200
    assert token.get(f"/decisions/{others['decision_id']}").status_code == (200 if sees_all else 404)
    users = {each["user"] for each in get(token, "/usage/meters")["results"]}
    assert users == {None, str(mine.user.pk)} | ({str(colleague.user.pk)} if sees_all else set())
    assert get(token, "/entitlements")["user"] == str(mine.user.pk)
    assert token.get("/entitlements", user=str(mine.user.pk)).status_code == 200
    assert token.get("/entitlements", user=str(colleague.user.pk)).status_code == (200 if sees_all else 404)
    hidden = get(token, "/usage/meters", user=str(colleague.user.pk))["results"]
    assert len(hidden) == (1 if sees_all else 0)


# --- what cannot be asked, and what it costs ----------------------------------


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/entitlements", {"user": "u" * 129}, "user"),
        ("/entitlements", {"user": "\x00"}, "user"),
        ("/entitlements", {"users": "u"}, "users"),
        ("/usage/meters", {"feature": "gpt-4o"}, "feature"),
        ("/usage/meters", {"period": "WEEK"}, "period"),
        ("/usage/meters", {"cursor": "bgA="}, "cursor"),  # "n\x00"
        ("/usage/meters", {"cursor": "b/8="}, "cursor"),  # not UTF-8
        ("/usage/meters", {"page_size": "-1"}, "page_size"),
        (f"/decisions/{UUID(int=7)}", {"verbose": "1"}, "verbose"),
        (f"/reservations/{UUID(int=7)}", {"user": "u"}, "user"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    path: str, query: dict[str, str], field: str, api: Api, acme: Company
) -> None:
    answer = api.get(path, tenant="ACME", **query)
    assert answer.status_code == 422, answer.content
    assert fields_of(answer.json()) == [field]


def test_reads_take_a_fixed_number_of_queries(api: Api, acme: Company) -> None:
    """The caller's numbers, the tenant's numbers, and the read itself."""
    make_tenant("OTHER")
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id="PATENT_DRAFTING")
    for number in range(3):
        permit = api.enforce("ACME", TASK, user=f"u-{number}", tokens_in=1, tokens_out=1)
    refusal = api.enforce("ACME", TASK, tokens_in=10**6)
    expected = {
        "/entitlements": 3,
        "/usage/meters": 3,
        f"/decisions/{permit['decision_id']}": 3,
        f"/decisions/{refusal['decision_id']}": 4,
        f"/decisions/{uuid7()}": 6,  # whether its month is archived, last
        f"/reservations/{permit['reservation_id']}": 2,
    }
    for path, queries in expected.items():
        api.get(path, tenant="ACME")
        with CaptureQueriesContext(connection) as captured:
            api.get(path, tenant="ACME")
        assert len(captured) == queries, (path, [query["sql"] for query in captured])


def test_an_id_from_beyond_the_calendar_is_unknown_like_any_other(api: Api, acme: Company) -> None:
    """A random UUID's first bits may be milliseconds of the year 10,889."""
    path = "/reservations/ffffffff-ffff-4fff-bfff-ffffffffffff"
    assert api.post(f"{path}/commit", {"usage": {"input_tokens": 1}, "model": "gpt-4o"}).status_code == 404
    assert api.get(path).status_code == 404
    assert api.get("/decisions/ffffffff-ffff-4fff-bfff-ffffffffffff", tenant="ACME").status_code == 404
