"""What the log says of a request, and what it must not."""

import json
import logging
from typing import Any

import pytest
import structlog
from django.conf import settings as configured
from django.core import signing
from django.test import Client
from pytest_django import Settings

from alerts.channels.mail import STOPPING
from metering_site import logs
from tests.cast import Company
from tests.enforcement.api import Api

ADDRESS = "bob.smith+llm@acme.example"
PROMPT = "the-secret-invention-of-a-heated-umbrella"
ASK: dict[str, Any] = {"tokens_in": 100, "tokens_out": 100}


@pytest.fixture(autouse=True)
def _as_configured() -> None:
    """Other tests of this process may have captured the lines."""
    logs.configuration(configured.LOG_LEVEL)


def lines_of(capfd: pytest.CaptureFixture[str], event: str = "request") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def test_each_request_of_the_api_is_one_json_line_with_who_what_and_how_long(
    api: Api, acme: Company, capfd: pytest.CaptureFixture[str]
) -> None:
    granted = api.post(
        "/enforce", {"tenant": "ACME", "task": "LLM2_DRAFT", "estimate": {"input_tokens": 9, "max_output_tokens": 300}},
        Idempotency_Key="k", X_Request_ID="job-7",
    ).json()  # fmt: skip
    (line,) = lines_of(capfd)
    assert line["duration_ms"] > 0
    told = {name: line[name] for name in ("request_id", "level", "tenant", "code", "status", "path")}
    assert told == {
        "request_id": "job-7", "level": "info", "tenant": "ACME", "code": "OK", "status": 200, "path": "/api/v1/enforce"
    }  # fmt: skip
    assert line["reservation_id"] == granted["reservation_id"]


def test_no_line_has_a_secret_a_prompt_a_body_or_an_address(
    svc: str, acme: Company, capfd: pytest.CaptureFixture[str]
) -> None:
    api, person = Api(svc), Api(acme.owner.token)
    asked = {"user": ADDRESS, "metadata": {"prompt": PROMPT}, **ASK}
    granted = api.enforce("ACME", "LLM2_DRAFT", **asked)
    api.enforce("ACME", "LLM2_DRAFT", user=ADDRESS, tokens_in=10**9)  # refused
    api.ask("ACME", PROMPT, user=ADDRESS)  # a task that is not known
    api.ask(ADDRESS, "LLM2_DRAFT")  # nor is this tenant
    api.raw("/enforce", f'{{"user": "{ADDRESS}", "prompt": "{PROMPT}"'.encode())
    api.commit(granted["reservation_id"], status="failed", error=f"401 for {ADDRESS}: key {svc} on “{PROMPT}”")
    api.commit(granted["reservation_id"], usage={PROMPT: ADDRESS})
    event = {"id": ADDRESS, "tenant": "ACME", "user": ADDRESS, "task": "LLM2_DRAFT", "error": ADDRESS}
    api.post("/usage/events", event | {"metadata": {"prompt": PROMPT}})
    person.get("/entitlements", user=ADDRESS)
    Api(None, **{"X-ATI-Token": acme.invitation}).get("/usage/logs", user=ADDRESS)
    Client().post("/accounts/login/", {"login": ADDRESS, "password": PROMPT})
    Client().get(f"/t/{ADDRESS}/")
    Client().get(f"/api/v1/{svc}/{ADDRESS}")
    told = capfd.readouterr().out
    assert told.count('"event":"request"') == 13
    for secret in (ADDRESS, "acme.example", PROMPT, svc, acme.owner.token, acme.invitation, "max_output_tokens"):
        assert secret not in told


def test_a_fault_is_logged_without_what_its_words_quote(
    api: Api, acme: Company, svc: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"Key (user_key)=({ADDRESS}) of {svc} at postgresql://metering:hidden@host/metering")

    monkeypatch.setattr("enforcement.gatekeeper.enforce", fail)
    assert api.ask("ACME", "LLM2_DRAFT", user=ADDRESS, **ASK).status_code == 500
    told = capfd.readouterr().out
    assert '"event":"unexpected"' in told
    assert "RuntimeError" in told
    for secret in (ADDRESS, svc, "hidden"):
        assert secret not in told


def test_lines_of_libraries_are_cleaned_too(capfd: pytest.CaptureFixture[str]) -> None:
    raw = logs.struck(b'{"a":"mailto:bob@acme.example","b":"/accounts/password/reset/key/1-abc/"}')
    assert raw == b'{"a":"mailto:[address]","b":"/accounts/password/reset/key/.../"}'
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=configured.LOGGING["formatters"]["json"]["processors"],
        foreign_pre_chain=configured.LOGGING["formatters"]["json"]["foreign_pre_chain"],
    )
    record = logging.LogRecord("celery", logging.ERROR, "", 0, "mail to %s failed", (ADDRESS,), None)
    assert json.loads(formatter.format(record))["event"] == "mail to [address] failed"


def test_of_permits_a_share_is_logged_and_of_all_else_all(
    api: Api, acme: Company, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.LOG_PERMITS_SHARE = 0
    granted = api.enforce("ACME", "LLM2_DRAFT", **ASK)
    api.enforce("ACME", "LLM2_DRAFT", tokens_in=10**9)
    api.commit(granted["reservation_id"], usage={"input_tokens": 1, "output_tokens": 1})
    assert [line["code"] for line in lines_of(capfd)] == ["INPUT_TOO_LARGE", "BOOKED"]
    settings.LOG_PERMITS_SHARE = 1
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    assert [line["code"] for line in lines_of(capfd)] == ["OK"]


def test_what_a_mails_link_proves_is_in_no_line(acme: Company, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever has it can stop the mails."""
    token = signing.dumps("018f0000-0000-7000-8000-000000000001", salt=STOPPING)
    Client().get(f"/alerts/stop/{token}/")
    (line,) = lines_of(capfd)
    assert line["path"] == "/alerts/stop/.../"


def test_an_address_that_is_percent_encoded_twice_is_in_no_line(
    acme: Company, capfd: pytest.CaptureFixture[str]
) -> None:
    Client().get("/t/bob%2540acme.example/")
    assert "acme.example" not in capfd.readouterr().out
    assert logs.struck(b'{"a":"/x?login=bob%40acme.example&b=1"}') == b'{"a":"/x?login=[address]&b=1"}'
