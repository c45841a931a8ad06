"""The OpenAPI description: complete, true of real answers, readable without the Internet; and no input gives a 500."""

import re
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.urls import get_resolver
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.generation.feedback import NO_FEEDBACK

from enforcement.schema.operations import OPERATIONS
from tests.cast import Company
from tests.enforcement.api import Api, body_of
from tests.enforcement.described import assert_described, description, operations, wrong_with
from tests.enforcement.rules import limit, roll_out

TASK = "LLM2_DRAFT"
IDS = [operation.id for operation in OPERATIONS]
SUCCESS = {"200", "202"}
FILES = {"usage_logs", "denials", "usage_summary", "usage_meters"}


# --- the description itself ---------------------------------------------------


def addresses(patterns: Any, prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from addresses(pattern.url_patterns, path)
        else:
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def test_every_endpoint_is_described() -> None:
    served = {f"/{path}" for path in addresses(get_resolver().url_patterns) if path.startswith("api/v1/")}
    assert set(description()["paths"]) == served
    assert set(operations()) == set(IDS)


@pytest.mark.parametrize("operation", IDS)
def test_an_operation_says_who_may_call_it_and_how_it_refuses(operation: str) -> None:
    said = operations()[operation]
    assert said["summary"]
    assert "Needs the scope" in said["description"]
    assert said["security"] == [{"bearer": []}]
    assert {"401", "403", "422", "429", "503"} <= said["responses"].keys()
    for status, response in said["responses"].items():
        media, *files = response["content"]
        assert media == ("application/json" if status in SUCCESS else "application/problem+json")
        assert files == (["application/x-ndjson", "text/csv"] if status in SUCCESS and operation in FILES else [])
    assert ("requestBody" in said) == (said["method"] == "post")


def test_no_reference_leads_nowhere() -> None:
    names = set(re.findall(r"#/components/schemas/([^\"']+)", repr(description())))
    assert names == set(description()["components"]["schemas"])


@pytest.mark.parametrize("operation", IDS)
def test_examples_are_as_their_schema_says(operation: str) -> None:
    said = operations()[operation]
    answers = [response for status, response in said["responses"].items() if status in SUCCESS]
    for body in [said["requestBody"], *answers] if "requestBody" in said else answers:
        for content in body["content"].values():
            for name, example in content.get("examples", {}).items():
                assert not wrong_with(example["value"], content["schema"], strictly=False), name


def test_the_page_that_shows_it_loads_everything_from_here(db: None, client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == HTTPStatus.OK
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.content.decode())
    assert len(loaded) >= 3
    for address in loaded:
        assert address.startswith("/static/drf_spectacular_sidecar/"), address
        with closing(client.get(address)) as answer:
            assert answer.status_code == HTTPStatus.OK
    assert client.get("/api/schema/").status_code == HTTPStatus.OK


# --- real answers -------------------------------------------------------------


def test_permits_and_refusals_are_as_described(api: Api, acme: Company) -> None:
    ask = body_of("ACME", TASK, user="u-1", tokens_in=100, tokens_out=10**6)
    permit = assert_described("enforce", api.post("/enforce", ask, Idempotency_Key="k"))
    assert (permit["allowed"], len(permit["shaped"])) == (True, 1)
    replay = assert_described("enforce", api.post("/enforce", ask, Idempotency_Key="k"))
    assert replay["status"] == "OPEN"
    assert assert_described("check", api.post("/check", ask))["allowed"] is True
    limit(acme.tenant, "DAILY_QUOTA", 10, feature_id="PATENT_DRAFTING")
    refusal = assert_described("enforce", api.post("/enforce", ask, Idempotency_Key="other"))
    assert refusal["binding"]["requested"] > 10
    assert_described("enforce", api.post("/enforce", body_of(None, TASK), Idempotency_Key="nobody"))
    roll_out("ALL", "OBSERVE", acme.root.plan_starts_at, acme.tenant)  # type: ignore[arg-type]  # a root has a plan
    observed = assert_described("check", api.post("/check", ask))
    assert observed["would_deny"]
    roll_out("ALL", "OFF", acme.root.plan_starts_at)  # type: ignore[arg-type]  # a root has a plan
    assert assert_described("check", api.post("/check", ask))["mode"] == "OFF"


def test_the_answers_of_a_reservations_life_are_as_described(api: Api, acme: Company) -> None:
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id="PATENT_DRAFTING")
    ask = body_of("ACME", TASK, user="u-1", tokens_in=10, tokens_out=10)
    one, other = (api.post("/enforce", ask, Idempotency_Key=key).json()["reservation_id"] for key in ("1", "2"))
    used = {"usage": {"input_tokens": 5}, "model": "gpt-4o"}
    assert_described("report", api.post(f"/reservations/{one}/report", used))
    assert_described("extend", api.post(f"/reservations/{one}/extend", {"ttl_seconds": 600}))
    assert_described("reservation", api.get(f"/reservations/{one}"))
    assert_described("commit", api.post(f"/reservations/{one}/commit", used))
    assert_described("release", api.post(f"/reservations/{other}/release"))
    assert_described("extend", api.post(f"/reservations/{one}/extend", {"ttl_seconds": 600}))
    assert_described("commit", api.post(f"/reservations/{one}/commit", used | {"status": "failed"}))
    assert_described("commit", api.post(f"/reservations/{uuid4()}/commit", used))
    items = [ask | {"idempotency_key": "3"}, ask]
    assert_described("enforce_batch", api.post("/enforce/batch", {"items": items}))
    commits = [used | {"reservation_id": each} for each in (one, str(uuid4()))]
    assert_described("commit_batch", api.post("/reservations/commit-batch", {"items": commits}))
    event = used | {"id": "e", "tenant": "ACME", "task": TASK, "user": "u-1"}
    assert_described("usage_events", api.post("/usage/events", event))
    assert_described("usage_events", api.post("/usage/events", [event, event | {"id": "f"}, {}]))
    for read in ("reservation", "decision"):
        path = operations()[read]["path"].removeprefix("/api/v1")
        assert_described(read, api.get(path.format(reservation_id=one, decision_id=one), tenant="ACME"))


def test_the_answers_of_reads_are_as_described(api: Api, acme: Company) -> None:
    limit(acme.tenant, "USER_DAILY_QUOTA", 5_000, feature_id="PATENT_DRAFTING")
    for key, tokens in (("1", 10), ("2", 10**6)):
        answer = api.enforce("ACME", TASK, key=key, user="u-1", tokens_in=tokens, tokens_out=10)
        assert_described("decision", api.get(f"/decisions/{answer['decision_id']}", tenant="ACME"))
    used = {"input_tokens": 1, "output_tokens": 2_600}
    api.commit(api.enforce("ACME", TASK, user="u-1", tokens_in=1, tokens_out=1)["reservation_id"], usage=used)
    refused = api.enforce("ACME", TASK, user="u-1", tokens_in=1, tokens_out=5_000)
    assert_described("decision", api.get(f"/decisions/{refused['decision_id']}", tenant="ACME"))
    for read in ("entitlements", "usage_meters", "usage_logs", "usage_summary", "denials", "alerts"):
        path = operations()[read]["path"].removeprefix("/api/v1")
        query = {"user": "u-1"} if read == "entitlements" else {}
        body = assert_described(read, api.get(path, tenant="ACME", **query))
        assert body.get("results", body.get("features"))
        assert_described(read, api.get(path))
        assert_described(read, api.get(path, tenant="NOBODY"))
        assert_described(read, Api(None).get(path))
        assert_described(read, Api("mk_nobody_knows").get(path))


# --- no input gives a 500 -----------------------------------------------------

MALFORMED = [
    b"", b"\x00", b"\xff\xfe", b"null", b"[]", b"[null]", b"1", b'"text"', b"{", b"[" * 100_000, b'{"a":' * 100_000,
    b'{"items": null}', b'{"items": [1]}', b"1e999", b"NaN", b'{"tenant": "\\ud800"}', b'{"tenant": "\\u0000"}',
    b'{"user": "\\udfff", "tenant": "ACME", "task": "LLM2_DRAFT"}', b'{"metadata": {"\\u0000": "\\ud800"}}',
    b'{"ttl_seconds": 1e999}', b'{"ttl_seconds": ' + b"9" * 5_000 + b"}", b'{"usage": {"input_tokens": 1e999}}',
    b'{"usage": {"\\u0000": 1}}', b'{"raw_usage": {}, "provider": "\\u0000"}',
    b'{"id": "x", "occurred_at": "0001-01-01T00:00:00Z"}',
    b'{"id": "x", "occurred_at": "9999-12-31T23:59:59-23:59", "tenant": "ACME", "task": "LLM2_DRAFT"}',
]  # fmt: skip


@pytest.mark.parametrize("operation", [name for name, said in operations().items() if said["method"] == "post"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/cloudevents-batch+json", "text/plain; é", ""]
)
def test_a_body_that_cannot_be_is_refused_in_words(operation: str, content_type: str, api: Api, acme: Company) -> None:
    reservation = api.enforce("ACME", TASK, tokens_in=1, tokens_out=1)["reservation_id"]
    path = operations()[operation]["path"].removeprefix("/api/v1").format(reservation_id=reservation)
    for body in MALFORMED:
        length = str(len(body))  # the test client leaves out that of an empty body, which no real client does
        answer = api.raw(path, body, content_type=content_type, Idempotency_Key="k", Content_Length=length)
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, body[:100]
        assert answer["Content-Type"] in ("application/json", "application/problem+json")


HEADERS = [
    {"Accept": "text/html"}, {"Accept": ";;q=x"}, {"Host": "a b\x00"}, {"Host": "elsewhere.example"},
    {"Authorization": "Bearer"}, {"Authorization": "Bearer mk_"}, {"Authorization": "Bearer mk_é_é"},
    {"Authorization": "Basic \xff"}, {"Authorization": "Bearer ati_\x00_\x00"}, {"X-ATI-Token": "\x00"},
    {"X-ATI-Token": "ati_é"}, {"X-ATI-Token": "ati_" + "0" * 5_000}, {"X-Request-ID": "\x00" * 300},
    {"traceparent": "\xff"}, {"Idempotency-Key": "\xff"}, {"Idempotency-Key": ""}, {"Content-Length": "-1"},
    {"X-HTTP-Method-Override": "DELETE"},
]  # fmt: skip


@pytest.mark.parametrize("operation", IDS)
def test_no_header_gives_a_500(operation: str, api: Api, acme: Company) -> None:
    said = operations()[operation]
    path = said["path"].format(reservation_id=uuid4(), decision_id=uuid4(), simulation_id=uuid4())
    for headers in HEADERS:
        for method in (said["method"], "delete", "options", "head"):
            answer = getattr(api.client, method)(path, headers=api.headers | headers)
            assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, (method, headers)


def capped(schema: Any) -> Any:
    """The description with short texts: generating up to 100,000 characters takes most of a minute."""
    if isinstance(schema, list):
        return [capped(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: min(each, 200) if name == "maxLength" else capped(each) for name, each in schema.items()}


@lru_cache(maxsize=1)
def cases() -> dict[str, Any]:
    """What schemathesis makes of the description, by operation."""
    read = schemathesis.openapi.from_dict(capped(description()))
    read.app = get_wsgi_application()
    found = [result.ok() for result in read.get_all_operations() if isinstance(result, Ok)]
    return {operation.definition.raw["operationId"]: operation for operation in found}


def make_real(case: Any, data: st.DataObject, reservations: list[str]) -> None:
    """Puts what exists here in the place of made-up names, now and then, so that a case gets further."""
    if case.path_parameters and data.draw(st.booleans()):
        case.path_parameters = {name: data.draw(st.sampled_from(reservations)) for name in case.path_parameters}
    if isinstance(case.query, dict) and data.draw(st.booleans()):
        case.query["tenant"] = "ACME"
    bodies = case.body if isinstance(case.body, list) else [case.body]
    if isinstance(case.body, dict) and isinstance(case.body.get("items"), list):
        bodies = case.body["items"]
    for body in bodies:
        if isinstance(body, dict) and data.draw(st.booleans()):
            body |= {"tenant": "ACME"}
            if "task" in body:
                body |= {"task": TASK, "feature": None, "model_class": None}
            if "reservation_id" in body:
                body["reservation_id"] = data.draw(st.sampled_from(reservations))


@pytest.mark.parametrize("operation", IDS)
@pytest.mark.filterwarnings("ignore")
def test_no_input_gives_a_500(operation: str, committed: None, acme: Company, svc: str) -> None:
    api = Api(svc)
    asks = [api.enforce("ACME", TASK, user="u-1", tokens_in=100, tokens_out=10) for _ in range(2)]
    reservations = [ask["reservation_id"] for ask in asks]
    api.post(f"/reservations/{reservations[0]}/release")
    cased = cases()[operation]
    # Without feedback, which would make a run depend on the one before.
    either = st.one_of(*(cased.as_strategy(mode, feedback=NO_FEEDBACK) for mode in GenerationMode))

    @seed(17)
    @settings(
        max_examples=20, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=either, data=st.data())
    def run(case: Any, data: st.DataObject) -> None:
        make_real(case, data, reservations)
        answer = case.call(headers={"Authorization": f"Bearer {svc}"})
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, (case.as_curl_command(), answer.text)

    run()
