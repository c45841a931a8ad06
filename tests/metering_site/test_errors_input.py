"""Whatever comes in is answered in words: never a 500, always a problem whose type leads to a page and that names the
field. tests/enforcement/test_schema.py sends what the description makes; here comes what it does not think of.
"""

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import resolve
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from enforcement.errors import ProblemCode
from metering_site import error_pages
from tests.cast import Company
from tests.enforcement.api import Api, body_of, fields_of
from tests.enforcement.described import operations

NOBODYS = UUID("0199f0c2-6f1e-7c3a-9d5e-0242ac120002")
ASK = {
    "tenant": "ACME", "user": "u-1", "task": "LLM2_DRAFT", "feature": "PATENT_DRAFTING", "model_class": "PRO_L",
    "estimate": {"input_tokens": 10, "max_output_tokens": 10, "api_calls": 1, "items": 1},
    "requested": {"max_steps": 1, "top_k": 1, "files": 1}, "ttl_seconds": 60, "metadata": {"a": "b"},
    "idempotency_key": "k",
}  # fmt: skip
USED = {
    "status": "success", "usage": {"input_tokens": 9, "cached_input_tokens": 1, "output_tokens": 9, "api_calls": 1},
    "model": "gpt-4o", "model_class": "PRO_L", "api_code": "OPENAI", "certainty": "FINAL", "latency_ms": 5,
}  # fmt: skip
RAW = {"provider": "openai", "raw_usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1}}}
EVENT = {"id": "a", "source": "s", "tenant": "ACME", "task": "LLM2_DRAFT", "occurred_at": "2026-11-24T10:00:00Z"} | USED
CLOUD = {"specversion": "1.0", "id": "a", "source": "s", "type": "t", "data": EVENT}
COMMIT_ITEM = {"items": [USED | {"reservation_id": str(NOBODYS)}, RAW | {"reservation_id": str(NOBODYS)}]}
# Bodies that are good, by address; `{}` is an id. An address that is not here gets what nobody would send.
GOOD: dict[str, list[Any]] = {
    "/enforce": [ASK],
    "/check": [ASK],
    "/enforce/batch": [{"items": [ASK, ASK]}],
    "/usage/events": [EVENT, [EVENT, EVENT], CLOUD],
    "/reservations/commit-batch": [COMMIT_ITEM],
    "/reservations/{}/commit": [USED, RAW],
    "/reservations/{}/report": [USED, RAW],
    "/reservations/{}/release": [{"reason": "r", "tenant": "ACME"}],
    "/reservations/{}/extend": [{"ttl_seconds": 60, "tenant": "ACME"}],
}
ADDRESSES = {re.sub(r"{\w+}", "{}", said["path"].removeprefix("/api/v1")): said for said in operations().values()}
POSTS = [address for address, said in ADDRESSES.items() if said["method"] == "post"]
READS = [address for address, said in ADDRESSES.items() if said["method"] == "get"]
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace", "propfind")

words = st.sampled_from(
    ["ACME", "RIVAL", "EMBED", "PRO_L", "failed", "google", "\x00", "x" * 2_000, str(NOBODYS), "1", ""]
)
texts = st.one_of(words, st.text(max_size=20))
huge = st.sampled_from([10**9, 10**9 + 1, 2**63, -(2**63), 10**40, 10**4_000])
numbers = st.one_of(st.integers(-2, 10), st.integers(), huge, st.floats())
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


def places(body: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of everything in a body."""
    inside = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [each for name, value in inside for each in [(*at, name), *places(value, (*at, name))]]


@st.composite
def twisted(draw: st.DrawFn, good: Any) -> bytes:
    """A good body in which something is another value, or where something unheard of stands beside it."""
    body = deepcopy(good)
    *way, last = draw(st.sampled_from(places(body)))
    around = body
    for name in way:
        around = around[name]
    if isinstance(around, dict) and draw(st.integers(0, 4)) == 0:
        last = draw(texts)
    around[last] = draw(values)
    return json.dumps(body, ensure_ascii=True).encode()


@st.composite
def spoilt(draw: st.DrawFn, good: Any) -> bytes:
    """A good body of which some bytes are changed, cut off or doubled."""
    raw = json.dumps(good).encode()
    place = draw(st.integers(0, len(raw)))
    middle = draw(st.one_of(st.just(b""), st.binary(min_size=1, max_size=3), st.just(raw)))
    return raw[:place] + middle + raw[place + draw(st.integers(0, 3)) :]


def sent(path: str) -> st.SearchStrategy[bytes]:
    """Bodies for an address, most of them nearly good."""
    good = st.sampled_from(GOOD.get(path, [{"id": "a"}]))
    return st.one_of(good.flatmap(twisted), good.flatmap(spoilt), values.map(lambda body: json.dumps(body).encode()))


def random_lives(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs with so many examples, the same each time."""

    def wrap(run: Callable[..., None]) -> Callable[..., None]:
        chosen = settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        return seed(53)(chosen(run))

    return wrap


def assert_in_words(answer: Any, context: object) -> None:
    """No 500, and every problem, of a batch item too, is whole."""
    assert answer.status_code < 500, (context, answer.content)
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json", (context, answer.content)
        assert "X-Request-ID" in answer
        if answer.content:
            assert_whole(answer.json(), answer.status_code, context)
    elif answer.content and answer["Content-Type"] == "application/json":
        for item in answer.json().get("results", []):
            if isinstance(item, dict) and item.get("status", 200) != 200 and "body" in item:
                assert_whole(item["body"], item["status"], context)


def assert_whole(problem: Mapping[str, Any], status: int, context: object) -> None:
    assert (problem["status"], problem["code"] in list(ProblemCode)) == (status, True), (context, problem)
    assert problem["type"] == f"/errors/{problem['code']}"
    assert resolve(problem["type"]).func is error_pages.error
    assert problem["title"]
    assert problem["detail"].endswith((".", "…")), (context, problem)
    assert len(problem["detail"]) < 2_500, context
    if problem["code"] == "INVALID":
        assert all(error["field"] and error["message"] for error in problem["errors"]), problem
        assert problem["errors"]


# --- bodies, queries, addresses, headers at random ----------------------------


@pytest.mark.parametrize("path", POSTS)
def test_any_body_is_answered_in_words(path: str, committed: None, acme: Company, api: Api) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=10, tokens_out=10)["reservation_id"]
    address = path.format(held)

    @random_lives(60)
    @given(
        raw=sent(path),
        cloud=st.booleans(),
        key=st.one_of(st.none(), st.just("k"), st.text(max_size=3).filter(str.isprintable)),
    )
    def run(raw: bytes, cloud: bool, key: str | None) -> None:
        headers = {} if key is None else {"Idempotency_Key": key}
        kind = "application/cloudevents+json" if cloud and path == "/usage/events" else "application/json"
        assert_in_words(api.raw(address, raw, content_type=kind, **headers), raw)

    run()


@pytest.mark.parametrize("path", READS)
def test_any_query_is_answered_in_words(path: str, committed: None, acme: Company, api: Api) -> None:
    held = api.enforce("ACME", "LLM2_DRAFT", tokens_in=10, tokens_out=10)["reservation_id"]
    names = st.sampled_from(
        ["tenant", "user", "feature", "task", "status", "late", "cursor", "page_size", "from", "to", "tz", "group_by",
         "period", "code", "recorded_at_after", "recorded_at_before", "format", "model_class", "api_code"]
    )  # fmt: skip
    odd = st.sampled_from(
        ["day", "task", "Asia/Kolkata", "../etc", "true", "cGFiYw==", "nMDE5", "json", "xml", "\udfff"]
    )
    instants = st.datetimes().map(lambda at: f"{at.isoformat()}Z")
    said = st.one_of(texts, st.integers().map(str), st.dates().map(str), instants, odd)

    @random_lives(60)
    @given(query=st.dictionaries(names, said, max_size=4), is_ours=st.booleans())
    def run(query: dict[str, str], is_ours: bool) -> None:
        query = {name: text.encode("utf-8", "surrogatepass").decode("latin-1") for name, text in query.items()}
        assert_in_words(api.get(path.format(held), **query | ({"tenant": "ACME"} if is_ours else {})), query)

    run()


@pytest.mark.django_db
def test_any_address_and_method_is_answered_in_words(api: Api) -> None:
    known = [
        "enforce",
        "reservations",
        "usage",
        "events",
        "decisions",
        str(NOBODYS),
        "commit",
        "v2",
        "",
        ".",
        "..",
        "%",
    ]
    pieces = st.one_of(st.sampled_from(known), st.text(max_size=8))

    @random_lives(100)
    @given(pieces=st.lists(pieces, max_size=4), method=st.sampled_from(METHODS))
    def run(pieces: list[str], method: str) -> None:
        address = "/".join(["/api/v1", *pieces])
        try:
            answer = api.client.generic(method.upper(), address, headers=api.headers)
        except UnicodeEncodeError:  # the test client's own; no server gets so far with it
            return
        assert_in_words(answer, (method, address))

    run()


# --- one at a time ------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        ("/enforce", {"task": 5}, "task", "text or null, not a whole number"),
        (
            "/enforce",
            {"estimate": {"max_output_token": 1}},
            "estimate.max_output_token",
            "max_output_tokens, api_calls",
        ),
        ("/enforce", {"estimate": {"input_tokens": 10**9 + 1}}, "estimate.input_tokens", "at most 1,000,000,000"),
        ("/enforce", {"estimate": {"input_tokens": -1}}, "estimate.input_tokens", "at least 0"),
        ("/enforce", {"estimate": {"input_tokens": 0.5}}, "estimate.input_tokens", "not a decimal number"),
        ("/enforce", {"estimate": []}, "estimate", "an object, not a list"),
        ("/enforce", {"metadata": {"k" * 129: "v"}}, "metadata", "Each key in it may have 128 characters"),
        ("/enforce", {"metadata": {"k": 1}}, "metadata", "Each value in it must be text"),
        ("/enforce", {"user": "a\x00"}, "user", "NUL"),
        ("/enforce", {"a - at `$.b`": 1}, "a - at `$.b`", "no such field"),
        ("/enforce", {"": 1}, '""', "no such field"),
        ("/enforce", {"x" * 5_000: 1}, "x" * 128, "no such field"),
        ("/enforce", {"idempotency_key": "é"}, "idempotency_key", "printable ASCII"),
        ("/enforce", {"task": "NOPE"}, "task", "Known: EMBED, LLM1_PRIOR_ART"),
        ("/enforce", {"task": None, "feature": "NOPE"}, "feature", "Known: DIAGRAM_GENERATION"),
        ("/enforce", {"model_class": "NOPE"}, "model_class", "Known: BASE_S"),
        ("/check", "text", "body", "an object, not text"),
        ("/enforce/batch", {"items": []}, "items", "not be empty"),
        ("/enforce/batch", {}, "items", "missing"),
        ("/enforce/batch", {"items": [{}] * 501}, "items", "500 items at most"),
        ("/reservations/{}/commit", {"status": "done"}, "status", "success, failed"),
        ("/reservations/{}/commit", {"certainty": "SURE"}, "certainty", "FINAL, PARTIAL, ESTIMATED, UNKNOWN"),
        ("/reservations/{}/commit", {"reservation_id": "x"}, "reservation_id", "UUID"),
        ("/reservations/{}/commit", {"usage": {"tokens": 1}}, "usage.tokens", "input_tokens"),
        ("/reservations/{}/commit", {"provider": "acme", "raw_usage": {}}, "provider", "openai, anthropic, google"),
        ("/reservations/{}/extend", {}, "ttl_seconds", "missing"),
        ("/reservations/{}/extend", {"ttl_seconds": 10**6}, "ttl_seconds", "at most 86,400"),
        ("/usage/events", EVENT | {"occurred_at": "yesterday"}, "occurred_at", "2026-11-24T10:00:00Z"),
        ("/usage/events", [], "body", "1 to 500"),
    ],
)
def test_a_bad_field_is_named_with_what_would_do(
    path: str, body: Any, field: str, words: str, api: Api, acme: Company
) -> None:
    """Defect 53: an answer says what is wrong and what would be right."""
    if path == "/enforce":
        body = {"tenant": "ACME", "task": "LLM2_DRAFT"} | body
    answer = api.post(path.format(NOBODYS), body, Idempotency_Key="k")
    assert answer.status_code == 422, answer.content
    assert fields_of(answer.json()) == [field]
    assert words in answer.json()["errors"][0]["message"]
    assert_in_words(answer, body)


@pytest.mark.parametrize("accept", ["text/html", "application/problem+json", "image/png;q=x", ";;", "x" * 9_000, ""])
def test_the_answer_is_json_whatever_is_accepted(accept: str, api: Api, acme: Company) -> None:
    granted = api.post("/enforce", body_of("ACME", "PATENT_OPEN"), Idempotency_Key="k", Accept=accept)
    assert (granted.status_code, granted["Content-Type"]) == (200, "application/json")
    read = api.client.get("/api/v1/entitlements?tenant=ACME", headers=api.headers | {"Accept": accept})
    assert (read.status_code, read["Content-Type"]) == (200, "application/json")
    assert_in_words(api.post("/enforce", {}, Accept=accept), accept)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "é", ""]
)
def test_a_body_is_read_as_json_whatever_it_is_called(content_type: str, api: Api, acme: Company) -> None:
    raw = json.dumps(body_of("ACME", "PATENT_OPEN")).encode()
    assert api.raw("/enforce", raw, content_type=content_type, Idempotency_Key="k").status_code == 200
    assert_in_words(api.raw("/enforce", b"a=b&c", content_type=content_type, Idempotency_Key="l"), content_type)


def test_of_a_name_that_comes_twice_the_last_counts(api: Api, acme: Company) -> None:
    raw = b'{"tenant": "NOBODY", "task": "NOPE", "task": "PATENT_OPEN", "tenant": "ACME"}'
    assert api.raw("/enforce", raw, Idempotency_Key="k").json()["allowed"] is True


@pytest.mark.parametrize("path", [*POSTS, *READS])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_an_address_does_not_take_is_405_and_says_which_it_takes(
    path: str, method: str, api: Api, acme: Company
) -> None:
    answer = api.client.generic(method.upper(), f"/api/v1{path.format(NOBODYS)}", headers=api.headers)
    assert_in_words(answer, (method, path))
    allowed = answer["Allow"].split(", ")
    assert "OPTIONS" in allowed
    if answer.status_code == 405:
        assert method.upper() not in allowed
        assert method == "head" or answer.json()["code"] == "METHOD_NOT_ALLOWED"
    else:
        assert method.upper() in allowed


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/enforce", "/api/v1/enforce/", "/api/v1/%00", "/api/v1/%ff%fe",
     "/api/v1/reservations/not-a-uuid/commit", "/api/v1/reservations/%2e%2e/commit", "/api/v1/decisions/7",
     f"/api/v1/reservations/{NOBODYS}/", f"/api/v1/{'x' * 10_000}", "/api//v1/enforce"],
)  # fmt: skip
def test_an_address_that_does_not_exist_is_a_problem(path: str, api: Api, acme: Company) -> None:
    for method in ("get", "post"):
        answer = getattr(api.client, method)(path, headers=api.headers)
        assert answer.status_code == 404
        if path != "/api":
            assert_in_words(answer, path)


def test_what_is_turned_away_before_any_view_is_a_problem_too(api: Api, settings: Any) -> None:
    """The redirect to HTTPS needs the host's name, and a host that cannot be is refused there."""
    settings.SECURE_SSL_REDIRECT = True
    client = Client(raise_request_exception=False)
    answer = client.get("/api/v1/entitlements", headers={"Host": "a b"})
    assert answer.status_code == 400
    assert_in_words(answer, "Host")
    assert "ALLOWED_HOSTS" not in answer.content.decode()


def test_a_fault_outside_any_view_is_a_problem_without_its_words(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("django.middleware.clickjacking.XFrameOptionsMiddleware.process_response", fail)
    client.raise_request_exception = False
    answer = client.get("/api/v1/entitlements")
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert_whole(answer.json(), 500, "a fault")
    assert b"secret" not in answer.content
