"""The request log, and the middlewares that only a browser needs, which let the API through untouched."""

import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
import uuid_utils
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.deprecation import MiddlewareMixin

from metering_site import logs
from metering_site.metrics import requests

Next = Callable[[HttpRequest], HttpResponseBase]

# Called by programs: no session, no cookie, and any Host header (a health check comes by number). The pages about
# errors are where problems lead, so they answer by whatever name the API was called.
NOT_FOR_BROWSERS = ("/api/", "/healthz", "/readyz", "/metrics", "/errors/")
CONSOLE = "/admin/"
DRAINED_BYTES = 64 * 1024
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# No inline script or style, nothing from elsewhere: what is injected into a page does nothing.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",  # a preview of a mail, which allows itself to be framed here
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
# Unfold's pages run Alpine, which evaluates its attributes, and carry inline scripts.
CONSOLE_CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

log = structlog.get_logger()


class LoggedRequest(HttpRequest):
    """Adds to a request its id, and a dict in which a view puts tenant, code and reservation_id."""

    request_id: str
    log_fields: dict[str, str]


class RequestLogMiddleware:
    """One line per request. Never its body, its query string or a header that carries a secret.

    X-Request-ID is the caller's, or made if absent or unfit; it is echoed and on every line logged meanwhile.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: LoggedRequest) -> HttpResponseBase:
        started = time.perf_counter()
        sent = request.headers.get("X-Request-ID", "")
        request.request_id = sent if REQUEST_ID.fullmatch(sent) else str(uuid_utils.uuid7())
        request.log_fields = {}
        response = None
        requests.begun()
        with structlog.contextvars.bound_contextvars(request_id=request.request_id, **_trace(request)):
            try:
                response = self.get_response(request)
            finally:
                seconds = time.perf_counter() - started
                requests.ended(request, response, seconds)
            _drain(request)
            response["X-Request-ID"] = request.request_id
            # CommonMiddleware does it for pages; without it the web server answers in chunks.
            if isinstance(response, HttpResponse):
                response.headers.setdefault("Content-Length", str(len(response.content)))
            if logs.is_told(request.log_fields.get("code")):
                log.info(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status_code,
                    duration_ms=round(seconds * 1000, 2),
                    **request.log_fields,
                )
        return response


class _BrowserOnly(MiddlewareMixin):
    """Mixed in before a middleware: what only programs call skips it."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info.startswith(NOT_FOR_BROWSERS):
            return self.get_response(request)
        return super().__call__(request)


class BrowserContentPolicyMiddleware(_BrowserOnly):
    """Tells the browser to load scripts, styles and pictures from our files alone; the console may write its own."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        policy = CONSOLE_CONTENT_POLICY if request.path_info.startswith(CONSOLE) else CONTENT_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class BrowserSessionMiddleware(_BrowserOnly, SessionMiddleware):
    """Sessions."""


class BrowserCommonMiddleware(_BrowserOnly, CommonMiddleware):
    """The missing slash at the end of a typed address."""


class BrowserAuthenticationMiddleware(_BrowserOnly, AuthenticationMiddleware):
    """The logged-in user of a page."""


class BrowserMessageMiddleware(_BrowserOnly, MessageMiddleware):
    """Messages to the person at the screen."""


def _drain(request: HttpRequest) -> None:
    """Read a small body that nobody read (a refusal before it): left on the connection, it breaks the next request."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) <= DRAINED_BYTES and not request._read_started:  # type: ignore[attr-defined]
        with suppress(OSError):
            request.read()


def _trace(request: HttpRequest) -> dict[str, str]:
    traceparent = request.headers.get("traceparent", "")
    return {"traceparent": traceparent} if TRACEPARENT.fullmatch(traceparent) else {}
