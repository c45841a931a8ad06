"""What every call has: credentials, scopes, bounds, problems, headers, one log line."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from tenants import authentication, tokens
from tenants.models import ATIToken, Scope, ServiceKey, TokenStatus, UserStatus
from tests.cast import Company, make_key, make_tenant, plan
from tests.enforcement.api import Api, body_of, fields_of
from tests.enforcement.rules import limit
from usage.models import UsageReservation

NOW = datetime.now(UTC)
ENDPOINTS = [
    "/enforce", "/check", "/enforce/batch", "/usage/events", "/reservations/commit-batch",
    *(f"/reservations/{uuid.UUID(int=7)}/{verb}" for verb in ("commit", "release", "extend", "report")),
]  # fmt: skip


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("credential", [None, "nonsense", "mk_0000000000000000_" + "A" * 43, "ati_x"])
@pytest.mark.django_db
def test_without_a_good_credential_every_endpoint_is_401(path: str, credential: str | None) -> None:
    """Defect 14: nothing is invented for a caller that does not authenticate."""
    response = Api(credential).post(path, {})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_without_its_scope_every_endpoint_is_403(path: str, acme: Company) -> None:
    response = Api(make_key(Scope.ADMIN)).post(path, {})
    assert (response.status_code, response.json()["code"]) == (403, "SCOPE_MISSING")


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_body_over_its_bound_is_413(path: str, api: Api) -> None:
    big = 2048 * 1024 if "batch" in path or "events" in path else 256 * 1024
    response = api.raw(path, b" " * (big + 1))
    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'{"task":"\\ud800"}', b"[" * 100_000])
def test_what_is_not_json_is_400_or_422(api: Api, acme: Company, raw: bytes) -> None:
    for path in ENDPOINTS:
        assert api.raw(path, raw).status_code in (400, 422), path


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({"task": 5}, "task"),
        ({"task": "LLM2_DRAFT", "estimate": {"input_tokens": -1}}, "estimate.input_tokens"),
        ({"task": "LLM2_DRAFT", "estimate": {"input_tokens": 10**9 + 1}}, "estimate.input_tokens"),
        ({"task": "LLM2_DRAFT", "estimate": {"input_tokens": 10**30}}, "estimate.input_tokens"),
        ({"task": "LLM2_DRAFT", "estimate": {"input_tokens": 1.5}}, "estimate.input_tokens"),
        ({"task": "LLM2_DRAFT", "estimate": {"input_tokens": True}}, "estimate.input_tokens"),
        ({"task": "LLM2_DRAFT", "estimate": {"tokens": 1}}, "estimate.tokens"),
        ({"task": "LLM2_DRAFT", "ttl_seconds": 0}, "ttl_seconds"),
        ({"task": "LLM2_DRAFT", "ttl_seconds": 86_401}, "ttl_seconds"),
        ({"task": "LLM2_DRAFT", "user": "x" * 129}, "user"),
        ({"task": "LLM2_DRAFT", "user": "a\0b"}, "user"),
        ({"task": "LLM2_DRAFT", "user": ""}, "user"),
        ({"task": "LLM2_DRAFT", "metadata": {"a": 1}}, "metadata"),
        ({"task": "LLM2_DRAFT", "metadata": {"a": "x" * 100, "b": "y" * 1000}}, "metadata"),
        ({"task": "LLM2_DRAFT", "limit": 10**9}, "limit"),
        ({"task": "LLM2_DRAFT", "plan": "ENTERPRISE"}, "plan"),
    ],
)
def test_bad_fields_are_422_and_named(api: Api, acme: Company, body: Any, field: str) -> None:
    """Defects 4 and 23: a negative count is refused; limits and plans are never read from a request."""
    if isinstance(body, dict):
        body = {"tenant": "ACME"} | body
    response = api.post("/enforce", body, Idempotency_Key="k")
    assert response.status_code == 422, response.content
    assert fields_of(response.json()) == [field]
    assert not UsageReservation.objects.exists()


def test_an_enforce_needs_a_printable_key(api: Api, acme: Company) -> None:
    missing = api.post("/enforce", body_of("ACME", "PATENT_OPEN"))
    assert (missing.status_code, missing.json()["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")
    in_body = api.post("/enforce", body_of("ACME", "PATENT_OPEN") | {"idempotency_key": "k"})
    assert in_body.status_code == 200
    differing = api.post("/enforce", body_of("ACME", "PATENT_OPEN") | {"idempotency_key": "k"}, Idempotency_Key="other")
    assert fields_of(differing.json()) == ["idempotency_key"]
    for key in ("x" * 129, "é", "a\tb"):
        assert api.post("/enforce", body_of("ACME", "PATENT_OPEN"), Idempotency_Key=key).status_code == 422


def test_an_address_or_method_that_does_not_exist_is_a_problem(api: Api) -> None:
    assert api.post("/nowhere").json()["code"] == "NOT_FOUND"
    response = api.get("/enforce")
    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_a_tenant_that_is_unknown_or_anothers_is_404(api: Api, acme: Company, rival: Company) -> None:
    assert api.ask("NOBODY", "PATENT_OPEN").status_code == 404
    bound = Api(make_key(tenant=acme.tenant))
    assert bound.ask("RIVAL", "PATENT_OPEN").status_code == 404
    assert bound.ask(None, "PATENT_OPEN").status_code == 200
    assert Api(acme.owner.token).ask("RIVAL", "PATENT_OPEN").status_code == 404


def test_under_an_ati_token_the_user_is_its_own(acme: Company) -> None:
    caller = Api(acme.owner.token)
    assert fields_of(caller.ask(None, "PATENT_OPEN", user="u-1").json()) == ["user"]
    assert caller.enforce(None, "PATENT_OPEN", user=str(acme.owner.user.id))["allowed"]
    assert UsageReservation.objects.get().user_key == str(acme.owner.user.id)


def test_a_token_beside_a_key_gives_tenant_and_user(svc: str, acme: Company, rival: Company) -> None:
    beside = Api(svc, **{"X-ATI-Token": acme.owner.token})
    assert beside.enforce(None, "PATENT_OPEN")["allowed"]
    assert UsageReservation.objects.get().user_key == str(acme.owner.user.id)
    assert beside.ask("RIVAL", "PATENT_OPEN").status_code == 404
    bound = Api(make_key(tenant=rival.tenant), **{"X-ATI-Token": acme.owner.token})
    assert bound.ask(None, "PATENT_OPEN").status_code == 404


def test_a_bad_token_beside_a_key_is_a_refusal_with_a_code(svc: str, acme: Company) -> None:
    for text in ("nonsense", "ati_0000000000000000_" + "A" * 43, acme.invitation):
        answer = Api(svc, **{"X-ATI-Token": text}).enforce("ACME", "PATENT_OPEN")
        assert (answer["allowed"], answer["code"]) == (False, "INVALID_ATI_TOKEN")


@pytest.mark.parametrize("code", ["FREE", "PRO", "ENTERPRISE"])
def test_the_chain_from_super_admin_to_the_call_of_an_employee(code: str, db: None) -> None:
    """A root token with a plan, an OWNER, an employee's token, a call: the plan decides."""
    company = make_tenant("CHAIN", code)
    caller = Api(company.people[0].token)
    quotas = caller.enforce(None, "PATENT_OPEN")["quotas"]
    day = next(each for each in quotas if (each["measure"], each["period"]) == ("UNITS", "DAY"))
    assert day["limit"] == {"FREE": 10, "PRO": 100, "ENTERPRISE": 1000}[code]
    tokens.change_plan(company.root, plan("PRO"), now=datetime.now(UTC))
    quotas = caller.check("CHAIN", "PATENT_OPEN")["quotas"]
    day = next(each for each in quotas if (each["measure"], each["period"]) == ("UNITS", "DAY"))
    assert day["limit"] == 100


def test_revocation_binds_on_the_very_next_request(svc: str, acme: Company) -> None:
    """Defect 28, for keys, tokens and people alike; by SQL too."""
    keyed, tokened, person = Api(svc), Api(acme.owner.token), Api(acme.people[0].token)
    for caller in (keyed, tokened, person):
        assert caller.ask("ACME", "LLM2_DRAFT", tokens_in=1).status_code == 200
    ServiceKey.objects.update(revoked_at=datetime.now(UTC))
    assert keyed.ask("ACME", "LLM2_DRAFT").status_code == 401
    ATIToken.objects.filter(user=acme.owner.user).update(status=TokenStatus.SUSPENDED)
    assert tokened.ask(None, "LLM2_DRAFT").status_code == 401
    type(acme.owner.user).objects.filter(pk=acme.people[0].user.pk).update(status=UserStatus.SUSPENDED)
    assert person.ask(None, "LLM2_DRAFT").status_code == 401
    ATIToken.objects.filter(user=acme.owner.user).update(status=TokenStatus.ACTIVE)
    assert tokened.ask(None, "LLM2_DRAFT", tokens_in=1).status_code == 200


def test_a_key_ends_at_its_date_without_any_write(svc: str, acme: Company) -> None:
    ServiceKey.objects.update(expires_at=NOW + timedelta(days=1))
    assert Api(svc).ask("ACME", "PATENT_OPEN").status_code == 200
    ServiceKey.objects.update(expires_at=NOW - timedelta(seconds=1))
    assert Api(svc).ask("ACME", "PATENT_OPEN").status_code == 401


def test_calls_beyond_a_keys_rate_are_429(acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "monotonic", lambda: 0.0)
    text = tokens.issue_key("slow", list(Scope), calls_per_second=4).text
    statuses = [Api(text).ask("ACME", "LLM2_DRAFT", tokens_in=1).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    response = Api(text).ask("ACME", "LLM2_DRAFT", tokens_in=1)
    assert response.json()["code"] == "THROTTLED"
    assert response.headers["Retry-After"] == "1"


def queries(caller: Api, path: str, body: object, **headers: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        response = caller.post(path, body, **headers)
    assert response.status_code == 200, response.content
    return len(captured)


@pytest.mark.parametrize("by_token", [False, True])
def test_the_number_of_queries_is_as_designed(svc: str, acme: Company, by_token: bool) -> None:
    """Defect 31: a permit is one round trip, a denial two, a commit one; snapshots warm."""
    caller = Api(acme.owner.token if by_token else svc)
    warm = body_of("ACME", "PATENT_OPEN")
    first, spent = (caller.post("/enforce", warm, Idempotency_Key=key).json()["reservation_id"] for key in ("1", "2"))
    queries(caller, f"/reservations/{spent}/commit", {})
    assert queries(caller, "/enforce", warm, Idempotency_Key="a") == 1
    assert queries(caller, "/enforce", warm, Idempotency_Key="a") == 1
    assert queries(caller, "/check", warm) == 1
    assert queries(caller, f"/reservations/{first}/commit", {"usage": {"api_calls": 1}}) == 1
    assert queries(caller, f"/reservations/{first}/commit", {"usage": {"api_calls": 1}}) == 1
    second = caller.post("/enforce", warm, Idempotency_Key="b").json()["reservation_id"]
    assert queries(caller, f"/reservations/{second}/extend", {"ttl_seconds": 1}) == 1
    assert queries(caller, f"/reservations/{second}/release", {}) == 1
    assert queries(caller, "/enforce", body_of("ACME", "EMBED", tokens_in=1), Idempotency_Key="c") == 2
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    assert caller.post("/enforce", warm, Idempotency_Key="d").json()["code"] == "DAILY_QUOTA_EXCEEDED"
    assert queries(caller, "/enforce", warm, Idempotency_Key="e") == 2


def test_a_batch_of_one_tenant_is_one_query(api: Api, acme: Company) -> None:
    limit(acme.tenant, "CONCURRENCY_LIMIT", None)
    api.enforce("ACME", "PATENT_OPEN")
    items = [body_of("ACME", "PATENT_OPEN") | {"idempotency_key": f"k{number}"} for number in range(50)]
    assert queries(api, "/enforce/batch", {"items": items}) == 1


def test_one_json_log_line_a_request_without_secrets_or_bodies(svc: str, acme: Company) -> None:
    with capture_logs() as logs:
        response = Api(svc, **{"X-Request-ID": "req-7"}).post(
            "/enforce", body_of("ACME", "PATENT_OPEN", user="someone@example.com"), Idempotency_Key="k"
        )
    (line,) = [log for log in logs if log["event"] == "request"]
    assert response.headers["X-Request-ID"] == "req-7"
    assert (line["tenant"], line["code"]) == ("ACME", "OK")
    assert line["reservation_id"] == response.json()["reservation_id"]
    assert line["duration_ms"] > 0
    text = json.dumps(line)
    assert svc not in text
    assert "someone@example.com" not in text


def test_the_api_sets_no_cookies_and_needs_no_csrf_token(svc: str, acme: Company) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post(
        "/api/v1/enforce",
        body_of("ACME", "PATENT_OPEN"),
        content_type="application/json",
        headers={"Authorization": f"Bearer {svc}", "Idempotency-Key": "k"},
    )
    assert response.status_code == 200
    assert not response.cookies
