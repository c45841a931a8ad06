"""Each code is provoked, and says what docs/errors.md quotes: the same words about other numbers."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.db import OperationalError

from enforcement.errors import ProblemCode
from metering_site import error_pages, problems
from plans.codes import Code
from plans.models import ModelPrice
from tenants import authentication, tokens
from tenants.models import Scope, Tenant, TenantStatus
from tests.cast import Company, make_key, make_tenant
from tests.enforcement.api import Api, body_of
from tests.enforcement.rules import limit

TASK = "LLM2_DRAFT"
DRAFTING = {"feature_id": "PATENT_DRAFTING"}


def example(code: str) -> str:
    (quoted,) = re.findall(r"^> (.+)$", error_pages.sections()[code], re.MULTILINE)
    return without_numbers(quoted)


def without_numbers(text: str) -> str:
    return re.sub(r"\d([\d,.:-]*\d)?", "#", text)


# --- refusals -----------------------------------------------------------------


def draft(api: Api, **fields: Any) -> dict[str, Any]:
    return api.enforce("ACME", TASK, user="u-1", tokens_in=3_000, tokens_out=2_000, **fields)


def suspended(api: Api, acme: Company) -> dict[str, Any]:
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    return draft(api)


def expired(api: Api, acme: Company) -> dict[str, Any]:
    acme.root.plan_ends_at = datetime.now(UTC) - timedelta(seconds=1)
    acme.root.save(update_fields=["plan_ends_at"])
    return draft(api)


def task_missing(api: Api, acme: Company) -> dict[str, Any]:
    make_tenant("INITECH", "FREE")
    return api.enforce("INITECH", "WEB_META")


def too_many_files(api: Api, acme: Company) -> dict[str, Any]:
    limit(acme.tenant, "FILES_PER_REQUEST", 1)
    return draft(api, requested={"files": 3})


def unpriced(api: Api, acme: Company) -> dict[str, Any]:
    ModelPrice.objects.all().delete()
    return draft(api)


def limited(key: str, value: int, asks: int = 1, **fields: str) -> Callable[[Api, Company], dict[str, Any]]:
    """The last of so many asks under a limit."""

    def ask(api: Api, acme: Company) -> dict[str, Any]:
        limit(acme.tenant, key, value, **fields)
        return [draft(api) for _ in range(asks)][-1]

    return ask


def budgeted(api: Api, acme: Company) -> dict[str, Any]:
    """The second of two asks under a budget that carries one."""
    cost = Decimal(api.check("ACME", TASK, tokens_in=3_000, tokens_out=2_000)["estimated_cost"])
    return limited("MONTHLY_BUDGET", int(cost * 10**9), 2)(api, acme)


REFUSALS: dict[Code, Callable[[Api, Company], dict[str, Any]]] = {
    Code.TENANT_UNRESOLVED: lambda api, acme: api.enforce(None, TASK),
    Code.INVALID_ATI_TOKEN: lambda api, acme: Api(make_key(), **{"X-ATI-Token": "nonsense"}).enforce("ACME", TASK),
    Code.TENANT_SUSPENDED: suspended,
    Code.PLAN_EXPIRED: expired,
    Code.FEATURE_UNAVAILABLE: lambda api, acme: api.enforce("ACME", "EMBED", tokens_in=1),
    Code.TASK_UNAVAILABLE: task_missing,
    Code.MODEL_CLASS_UNAVAILABLE: lambda api, acme: draft(api, model_class="ADVANCED"),
    Code.POLICY_VIOLATION: too_many_files,
    Code.PRICE_UNKNOWN: unpriced,
    Code.INPUT_TOO_LARGE: lambda api, acme: api.enforce("ACME", TASK, tokens_in=32_001),
    Code.DAILY_QUOTA_EXCEEDED: limited("DAILY_QUOTA", 6_000, 2, **DRAFTING),
    Code.MONTHLY_QUOTA_EXCEEDED: limited("MONTHLY_QUOTA", 6_000, 2, **DRAFTING),
    Code.TOKEN_LIMIT_EXCEEDED: limited("DAILY_TOKEN_LIMIT", 6_000, 2, **DRAFTING),
    Code.USER_QUOTA_EXCEEDED: limited("USER_DAILY_QUOTA", 6_000, 2, **DRAFTING),
    Code.BUDGET_EXCEEDED: budgeted,
    Code.CONCURRENCY_LIMIT: limited("CONCURRENCY_LIMIT", 2, 3),
    Code.RATE_LIMITED: limited("TOKENS_PER_MINUTE", 6_000, 2),
}


def test_every_refusal_is_provoked() -> None:
    assert list(REFUSALS) == [code for code in Code if code is not Code.OK]


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_says_what_is_quoted(code: Code, api: Api, acme: Company) -> None:
    """Defects 29, 45 and 53: what was asked, what is left of what, and when that changes, in words."""
    answer = REFUSALS[code](api, acme)
    assert (answer["allowed"], answer["code"]) == (False, code)
    assert without_numbers(answer["message"]) == example(code)


# --- problems -----------------------------------------------------------------


def conflicting(api: Api, acme: Company) -> Any:
    api.ask("ACME", "PATENT_OPEN", key="same")
    return api.ask("ACME", "PATENT_OPEN", key="same", api_calls=2)


def after_release(verb: str, body: object) -> Callable[[Api, Company], Any]:
    def act(api: Api, acme: Company) -> Any:
        held = api.enforce("ACME", "PATENT_OPEN")["reservation_id"]
        api.post(f"/reservations/{held}/release")
        return api.post(f"/reservations/{held}/{verb}", body)

    return act


def throttled(api: Api, acme: Company) -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(authentication, "monotonic", lambda: 0.0)
        slow = Api(tokens.issue_key("slow", list(Scope), calls_per_second=1).text)
        return [slow.ask("ACME", "PATENT_OPEN") for _ in range(2)][-1]


PROBLEMS: dict[ProblemCode, Callable[[Api, Company], Any]] = {
    ProblemCode.MALFORMED: lambda api, acme: api.raw("/check", b'{"task": "LLM2'),
    ProblemCode.IDEMPOTENCY_KEY_MISSING: lambda api, acme: api.post("/enforce", body_of("ACME", TASK)),
    ProblemCode.UNAUTHENTICATED: lambda api, acme: Api(None).post("/enforce"),
    ProblemCode.SCOPE_MISSING: lambda api, acme: Api(make_key(Scope.READ)).ask("ACME", TASK),
    ProblemCode.NOT_FOUND: lambda api, acme: api.ask("NOBODY", TASK),
    ProblemCode.METHOD_NOT_ALLOWED: lambda api, acme: api.get("/enforce"),
    ProblemCode.NOT_ACCEPTABLE: lambda api, acme: api.client.get("/api/schema/", headers={"Accept": "text/csv"}),
    ProblemCode.IDEMPOTENCY_CONFLICT: conflicting,
    ProblemCode.RESERVATION_ENDED: after_release("commit", {"usage": {"api_calls": 1}}),
    ProblemCode.RESERVATION_GONE: after_release("extend", {"ttl_seconds": 60}),
    ProblemCode.BODY_TOO_LARGE: lambda api, acme: api.raw("/enforce", b" " * (256 * 1024 + 1)),
    ProblemCode.INVALID: lambda api, acme: api.ask("ACME", TASK, tokens_in=10**10),
    ProblemCode.THROTTLED: throttled,
    ProblemCode.INTERNAL: lambda api, acme: problems.answer(RuntimeError("a fault"), {}),
    ProblemCode.UNAVAILABLE: lambda api, acme: problems.answer(OperationalError("away"), {}),
}


def test_every_problem_is_provoked() -> None:
    assert list(PROBLEMS) == list(ProblemCode)


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_says_what_is_quoted(code: ProblemCode, api: Api, acme: Company) -> None:
    answer = PROBLEMS[code](api, acme)
    problem = orjson.loads(answer.content)
    assert (problem["code"], problem["status"], problem["type"]) == (code, answer.status_code, f"/errors/{code}")
    assert without_numbers(problem["detail"]) == example(code)


@pytest.mark.parametrize("code", [ProblemCode.THROTTLED, ProblemCode.UNAVAILABLE])
def test_what_may_be_tried_again_says_when(code: ProblemCode, api: Api, acme: Company) -> None:
    """Defect 45: of all problems these two alone have a Retry-After."""
    assert int(PROBLEMS[code](api, acme)["Retry-After"]) >= 1
