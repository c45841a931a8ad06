"""Every exception that leaves a view becomes one RFC 9457 problem, here and nowhere else."""

import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost, PermissionDenied, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views import csrf, defaults
from psycopg.errors import LockNotAvailable
from rest_framework import exceptions

from enforcement import errors
from enforcement.errors import ProblemCode
from metering_site import reports
from tenants.authentication import Throttled, Unauthenticated
from tenants.facts import TenantUnknown
from tenants.postgresql.base import ReadOnly
from tenants.views import ScopeMissing
from usage.ledger import Stale
from usage.measures import BadUsage

log = structlog.get_logger()

RETRY_AFTER_SECONDS = "1"
Fields = Sequence[Mapping[str, str]]
Found = tuple[ProblemCode, str, Fields, Mapping[str, str] | None]

# Each code's status, and what is wrong in a few words.
_KINDS: Mapping[ProblemCode, tuple[int, str]] = {
    ProblemCode.MALFORMED: (400, "The request cannot be read"),
    ProblemCode.IDEMPOTENCY_KEY_MISSING: (400, "An idempotency key is missing"),
    ProblemCode.UNAUTHENTICATED: (401, "No credential that authenticates"),
    ProblemCode.SCOPE_MISSING: (403, "The credential may not do this"),
    ProblemCode.NOT_FOUND: (404, "There is no such thing here"),
    ProblemCode.METHOD_NOT_ALLOWED: (405, "The address does not take this method"),
    ProblemCode.NOT_ACCEPTABLE: (406, "There is no such form of it"),
    ProblemCode.IDEMPOTENCY_CONFLICT: (409, "Used before with another body"),
    ProblemCode.RESERVATION_ENDED: (409, "The reservation ended in another way"),
    ProblemCode.RESERVATION_GONE: (410, "The reservation has ended"),
    ProblemCode.BODY_TOO_LARGE: (413, "The body is too large"),
    ProblemCode.INVALID: (422, "A field cannot be as it is"),
    ProblemCode.THROTTLED: (429, "Too many calls with this key"),
    ProblemCode.INTERNAL: (500, "A fault on the server"),
    ProblemCode.UNAVAILABLE: (503, "No answer can be given right now"),
}


def problem(
    code: ProblemCode, detail: str, *, fields: Fields = (), headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """One problem as an answer; `fields` are {"field", "message"} of each bad one."""
    status, title = _KINDS[code]
    body: dict[str, Any] = {
        "type": reverse("error", args=[code]),
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if fields:
        body["errors"] = list(fields)
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/problem+json", headers=headers)


def answer(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler: the problem an exception makes, never a bare 500."""
    found = _of(error)
    if found is None:
        log.error("unexpected", error=type(error).__name__, exc_info=error)
        reports.report(error, context.get("request"))
        return problem(ProblemCode.INTERNAL, _FAULT)
    code, detail, fields, headers = found
    return problem(code, detail, fields=fields, headers=headers)


def _of(error: Exception) -> Found | None:
    """Code, detail, bad fields and headers of an exception; None where it is a fault of ours."""
    for kind, code in _SIMPLE.items():
        if isinstance(error, kind):
            return code, _SENTENCES.get(kind) or str(error) or _KINDS[code][1], (), None
    return _particular(error)


def _particular(error: Exception) -> Found | None:
    match error:
        case errors.Invalid() | BadUsage():
            return _invalid([{"field": error.field, "message": error.message}])
        case exceptions.ValidationError():
            return _invalid(_fields(error.detail))
        case Throttled():
            return ProblemCode.THROTTLED, str(error), (), {"Retry-After": str(error.retry_after_seconds)}
        case Unauthenticated():
            return ProblemCode.UNAUTHENTICATED, str(error), (), {"WWW-Authenticate": 'Bearer realm="api"'}
        case errors.TooLarge():
            detail = f"The body may have {error.most // 1024} KiB at most: send less, or fewer items at a time."
            return ProblemCode.BODY_TOO_LARGE, detail, (), None
        case DataError():  # what fields allow each by itself can add up to more than a meter holds
            log.warning("beyond counting", error=str(error).partition("\n")[0])
            return _invalid([{"field": "usage", "message": "It adds up to more than a meter can hold."}])
        case OperationalError() | InterfaceError():
            log.warning("database away", error=type(error.__cause__ or error).__name__)
            return _unavailable(_AWAY.get(type(error.__cause__), "The database is away. Try again shortly."))
        case Stale() | errors.Restless():
            return _unavailable("The configuration is changing right now. Try again shortly.")
        case exceptions.APIException() if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return _BY_STATUS.get(error.status_code, ProblemCode.MALFORMED), str(error.detail), (), None
        case _:
            return None


_AWAY: Mapping[type[BaseException | None], str] = {
    ReadOnly: "The database takes no writes right now, as during a failover. Try again shortly.",
    LockNotAvailable: "Something else is at work in the database on what this call needs. Try again shortly.",
}
_FAULT = "Something failed here. It is logged under the request's X-Request-ID: tell the operator."
_SIMPLE: Mapping[type[Exception], ProblemCode] = {
    errors.Malformed: ProblemCode.MALFORMED,
    errors.KeyMissing: ProblemCode.IDEMPOTENCY_KEY_MISSING,
    ScopeMissing: ProblemCode.SCOPE_MISSING,
    DisallowedHost: ProblemCode.MALFORMED,
    SuspiciousOperation: ProblemCode.MALFORMED,
    PermissionDenied: ProblemCode.SCOPE_MISSING,
    errors.Unknown: ProblemCode.NOT_FOUND,
    TenantUnknown: ProblemCode.NOT_FOUND,
    Http404: ProblemCode.NOT_FOUND,
    exceptions.MethodNotAllowed: ProblemCode.METHOD_NOT_ALLOWED,
    exceptions.NotAcceptable: ProblemCode.NOT_ACCEPTABLE,
    errors.KeyConflict: ProblemCode.IDEMPOTENCY_CONFLICT,
    errors.Ended: ProblemCode.RESERVATION_ENDED,
    errors.Gone: ProblemCode.RESERVATION_GONE,
}
_SENTENCES: Mapping[type[Exception], str] = {
    DisallowedHost: "The Host header is not the name of a host that is served here.",
    TenantUnknown: "There is no such tenant here.",
    Http404: "There is nothing at this address; /api/docs/ shows what there is.",
    PermissionDenied: "This credential may not do that.",
    exceptions.MethodNotAllowed: "This address does not take that method; the Allow header says which it takes.",
    exceptions.NotAcceptable: "It is not to be had in the form that the Accept header asks for: leave the header out.",
}
# Of DRF's own refusals, those that have no class of their own above.
_BY_STATUS = {401: ProblemCode.UNAUTHENTICATED, 403: ProblemCode.SCOPE_MISSING, 404: ProblemCode.NOT_FOUND}


def _invalid(fields: Fields) -> Found:
    detail = " ".join(f"{field['field']}: {field['message']}" for field in fields)
    return ProblemCode.INVALID, detail, fields, None


def _unavailable(detail: str) -> Found:
    return ProblemCode.UNAVAILABLE, detail, (), {"Retry-After": RETRY_AFTER_SECONDS}


def _fields(detail: object, path: str = "") -> list[dict[str, str]]:
    """DRF's nested error lists, flat."""
    if isinstance(detail, Mapping):
        return [found for name, each in detail.items() for found in _fields(each, f"{path}.{name}".lstrip("."))]
    if isinstance(detail, list):
        return [found for each in detail for found in _fields(each, path)]
    return [{"field": path or "body", "message": str(detail)}]


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """What an address that does not exist answers: the API's clients a problem, a browser Django's page."""
    if _is_for_programs(request):
        return problem(ProblemCode.NOT_FOUND, _SENTENCES[Http404])
    return defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """What a request answers that is turned away before any view."""
    return answer(exception, {}) if _is_for_programs(request) else defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """What a fault outside any view of the API answers; Django has logged it. A database away is told as that."""
    if _is_for_programs(request):
        return problem(ProblemCode.INTERNAL, _FAULT)
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        page = render_to_string("503.html")  # without the request: who asks is in the database
        return HttpResponse(page, status=503, headers={"Retry-After": RETRY_AFTER_SECONDS})
    return defaults.server_error(request)


def too_many(request: HttpRequest) -> HttpResponse:
    """What a person is told whom a throttle stops; the API's own is an exception (Throttled)."""
    seconds: int = settings.THROTTLE_SECONDS
    page = render(request, "429.html", {"minutes": seconds // 60}, status=HTTPStatus.TOO_MANY_REQUESTS)
    page.headers["Retry-After"] = str(seconds)
    return page


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """What a form answers that was opened before a log-in: whoever logged in by it goes on, others send it again."""
    if request.path_info in (reverse("account_login"), reverse("account_signup")) and request.user.is_authenticated:
        return redirect("home")
    return csrf.csrf_failure(request, reason)


def _is_for_programs(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
