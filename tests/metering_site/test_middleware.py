"""The request log and what the API is spared."""

import re
from http import HTTPStatus

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from structlog.testing import capture_logs

from metering_site.middleware import CONSOLE_CONTENT_POLICY, CONTENT_POLICY, LoggedRequest, RequestLogMiddleware

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_one_line_says_who_asked_what_and_how_it_ended() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        assert isinstance(request.log_fields, dict)  # type: ignore[attr-defined]
        request.log_fields |= {"tenant": "ACME", "code": "OK", "reservation_id": "0199"}  # type: ignore[attr-defined]
        return HttpResponse(status=201)

    request = RequestFactory().post(
        "/api/v1/enforce?tenant=secret", {"body": "secret"}, headers={"Authorization": "Bearer secret"}
    )
    with capture_logs() as lines:
        RequestLogMiddleware(view)(request)  # type: ignore[arg-type]
    (line,) = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "path": "/api/v1/enforce",
        "status": 201,
        "tenant": "ACME",
        "code": "OK",
        "reservation_id": "0199",
    }


def test_the_line_and_the_answer_carry_the_callers_request_id_and_trace(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": "job-17:3", "traceparent": TRACEPARENT})
    assert answer["X-Request-ID"] == "job-17:3"
    (line,) = [line for line in capfd.readouterr().out.splitlines() if '"path":"/healthz"' in line]
    assert '"request_id":"job-17:3"' in line
    assert f'"traceparent":"{TRACEPARENT}"' in line


@pytest.mark.parametrize("unfit", ["", " ", "a b", "x" * 129, "line\\nbreak", "<script>", "ü"])
def test_an_unfit_request_id_is_replaced(client: Client, unfit: str) -> None:
    assert UUID.fullmatch(client.get("/healthz", headers={"X-Request-ID": unfit})["X-Request-ID"])


def test_a_made_up_trace_is_not_logged(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    client.get("/healthz", headers={"traceparent": "00-mine-too-01"})
    assert "traceparent" not in capfd.readouterr().out


@pytest.mark.parametrize("path", ["/accounts/login/", "/t/NOBODY/", "/nothing-here/"])
def test_a_page_may_load_nothing_but_our_files(client: Client, db: None, path: str) -> None:
    assert client.get(path)["Content-Security-Policy"] == CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY


def test_the_console_may_carry_inline_scripts_and_a_program_is_told_nothing(client: Client, db: None) -> None:
    assert client.get("/admin/")["Content-Security-Policy"] == CONSOLE_CONTENT_POLICY
    assert "Content-Security-Policy" not in client.get("/healthz")


def test_health_answers_whatever_name_it_is_asked_by(client: Client) -> None:
    assert client.get("/healthz", headers={"Host": "10.1.2.3:8000"}).status_code == HTTPStatus.OK
    assert client.get("/admin/", headers={"Host": "10.1.2.3:8000"}).status_code == HTTPStatus.BAD_REQUEST


def test_the_api_passes_at_most_five_middlewares_and_one_that_must_bear_its_own_name() -> None:
    passed = [name for name in settings.MIDDLEWARE if ".Browser" not in name and not name.startswith("allauth.")]
    assert len(passed) <= 5


def test_a_request_to_the_api_has_no_session(client: Client) -> None:
    request = client.get("/api/nothing-here").wsgi_request
    assert not hasattr(request, "session")
    assert LoggedRequest.__annotations__.keys() <= vars(request).keys()
