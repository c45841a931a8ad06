"""Reports to Sentry and traces by OpenTelemetry, to a real HTTP server; and neither where they are off."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_httpserver import HTTPServer

from metering_site import reports
from metering_site.embedded import folders
from tests.cast import Company
from tests.enforcement.api import Api

ADDRESS = "bob@acme.example"
PROMPT = "the-secret-invention-of-a-heated-umbrella"
ASK: dict[str, Any] = {"tokens_in": 100, "tokens_out": 100}


@pytest.fixture
def sentry(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    httpserver.expect_request("/api/7/envelope/").respond_with_json({})
    reports.begin(f"http://public@{httpserver.host}:{httpserver.port}/7")
    yield httpserver
    reports.end()


def reported(server: HTTPServer) -> list[dict[str, Any]]:
    """The events that arrived, once all were sent."""
    reports.end()
    found = []
    for request, _ in server.log:
        raw = request.get_data()
        lines = (gzip.decompress(raw) if request.headers.get("Content-Encoding") == "gzip" else raw).splitlines()
        found += [json.loads(line) for line in lines if b'"exception"' in line]
    return found


@pytest.fixture
def _failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        prompt = PROMPT  # noqa: F841 - a local variable that must not be told
        raise RuntimeError(f"Key (user_key)=({ADDRESS}) is there already")

    monkeypatch.setattr("enforcement.gatekeeper.enforce", fail)


@pytest.mark.usefixtures("_failing")
def test_a_fault_is_reported_with_its_tenant_and_request_and_without_the_body(
    api: Api, acme: Company, svc: str, sentry: HTTPServer
) -> None:
    api.ask("ACME", "LLM2_DRAFT", user=ADDRESS, metadata={"prompt": PROMPT}, **ASK)
    (event,) = reported(sentry)
    assert event["tags"]["tenant"] == "ACME"
    assert len(event["tags"]["request_id"]) == 36
    (value,) = event["exception"]["values"]
    assert (value["type"], value["value"]) == ("RuntimeError", "Key (user_key)=([address]) is there already")
    text = json.dumps(event)
    for secret in (ADDRESS, svc, "LLM2_DRAFT", "max_output_tokens", '"vars"', '"request":', '"user":'):
        assert secret not in text
    assert text.count(PROMPT) <= 1  # the test's own source line may quote it, no variable does


@pytest.mark.usefixtures("_failing")
def test_the_tenant_of_a_key_that_acts_for_one_is_told_where_none_was_named(acme: Company, sentry: HTTPServer) -> None:
    Api(acme.owner.token).ask(None, "LLM2_DRAFT", **ASK)
    (event,) = reported(sentry)
    assert event["tags"]["tenant"] == str(acme.tenant.id)


def test_a_refusal_is_no_fault_and_a_page_that_fails_is(
    api: Api, acme: Company, client: Client, sentry: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ask("ACME", "NO_SUCH", **ASK)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a page")

    monkeypatch.setattr("django.middleware.clickjacking.XFrameOptionsMiddleware.process_response", fail)
    client.raise_request_exception = False
    client.get("/t/ACME/")
    (event,) = reported(sentry)
    assert event["exception"]["values"][0]["value"] == "a page"
    assert event["tags"]["tenant"] == "ACME"


def in_a_process(code: str, **variables: str) -> str:
    """What a new process prints: these settings are read once."""
    cleared = {"SENTRY_DSN": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "metering_site.settings", **cleared, **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folders.PROJECT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_what_is_off_is_not_even_imported() -> None:
    code = (
        "import metering_site.wsgi, sys; print([m for m in sys.modules if m.startswith(('sentry', 'opentelemetry'))])"
    )
    assert in_a_process(code).splitlines()[-1] == "[]"


_TRACED = """
import django, json
django.setup()
from django.test import Client
from opentelemetry import trace
Client().get("/readyz", headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
Client().get("/healthz")
from metering_site import tracing
tracing.end()
"""


def test_requests_and_their_statements_are_spans_of_the_callers_trace(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/traces").respond_with_data(b"", content_type="application/x-protobuf")
    in_a_process(
        _TRACED, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{httpserver.host}:{httpserver.port}", OTEL_TRACES_SHARE="0"
    )
    spans = []
    for request, _ in httpserver.log:
        raw = request.get_data()
        raw = gzip.decompress(raw) if request.headers.get("Content-Encoding") == "gzip" else raw
        sent = ExportTraceServiceRequest.FromString(raw)
        spans += [span for each in sent.resource_spans for scope in each.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    (request_,) = [span for span in spans if span.name == "GET readyz"]
    assert request_.parent_span_id.hex() == "b7ad6b7169203331"
    statements = [span for span in spans if span.name == "database"]
    assert statements
    assert {span.parent_span_id for span in statements} == {request_.span_id}
