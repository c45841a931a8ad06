"""Every exception that leaves a view becomes one RFC 9457 problem, here and nowhere else."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.defaults import page_not_found
from rest_framework import exceptions

from enforcement import errors
from tenants.authentication import Throttled, Unauthenticated
from tenants.facts import TenantUnknown
from tenants.views import ScopeMissing
from usage.ledger import Stale
from usage.measures import BadUsage

log = structlog.get_logger()

Fields = Sequence[Mapping[str, str]]


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    fields: Fields = (),
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """One problem as an answer; `fields` are {"field", "message"} of each bad one."""
    return HttpResponse(
        orjson.dumps(body(status, code, detail, fields=fields)),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


def body(status: int, code: str, detail: str, *, fields: Fields = ()) -> dict[str, Any]:
    """One problem as JSON; in a batch the body of an item that failed."""
    found: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if fields:
        found["errors"] = list(fields)
    return found


def answer(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler: the problem an exception makes, never a bare 500."""
    found = of(error)
    if found is None:
        log.error("unexpected", error=type(error).__name__, exc_info=error)
        return problem(500, "INTERNAL", "Something failed here; it is logged under the request's X-Request-ID.")
    status, code, detail, fields, headers = found
    return problem(status, code, detail, fields=fields, headers=headers)


Found = tuple[int, str, str, Fields, Mapping[str, str] | None]


def of(error: Exception) -> Found | None:
    """Status, code, detail, bad fields and headers of an exception; None where it is a fault of ours."""
    for kind, (status, code) in _SIMPLE.items():
        if isinstance(error, kind):
            return status, code, _SENTENCES.get(kind) or str(error) or code, (), None
    return _particular(error)


def _particular(error: Exception) -> Found | None:
    match error:
        case errors.Invalid() | BadUsage():
            return _invalid([{"field": error.field, "message": error.message}])
        case exceptions.ValidationError():
            return _invalid(_fields(error.detail))
        case Throttled():
            return 429, "THROTTLED", str(error), (), {"Retry-After": str(error.retry_after_seconds)}
        case Unauthenticated():
            return 401, "UNAUTHENTICATED", str(error), (), {"WWW-Authenticate": 'Bearer realm="api"'}
        case errors.TooLarge():
            return 413, "BODY_TOO_LARGE", f"The body may have {error.most // 1024} KiB at most.", (), None
        case DataError():  # what fields allow each by itself can add up to more than a meter holds
            log.warning("beyond counting", error=str(error).partition("\n")[0])
            return _invalid([{"field": "usage", "message": "It adds up to more than a meter can hold."}])
        case OperationalError() | InterfaceError():
            log.warning("database away", error=type(error).__name__)
            return _unavailable("The database is away. Try again shortly.")
        case Stale() | errors.Restless():
            return _unavailable("The configuration is changing right now. Try again shortly.")
        case exceptions.APIException():
            return error.status_code, _code_of(error.status_code), str(error.detail), (), None
        case _:
            return None


_SIMPLE: dict[type[Exception], tuple[int, str]] = {
    errors.Malformed: (400, "MALFORMED"),
    errors.KeyMissing: (400, "IDEMPOTENCY_KEY_MISSING"),
    ScopeMissing: (403, "SCOPE_MISSING"),
    SuspiciousOperation: (400, "MALFORMED"),
    PermissionDenied: (403, "SCOPE_MISSING"),
    errors.Unknown: (404, "NOT_FOUND"),
    TenantUnknown: (404, "NOT_FOUND"),
    Http404: (404, "NOT_FOUND"),
    errors.KeyConflict: (409, "IDEMPOTENCY_CONFLICT"),
    errors.Ended: (409, "RESERVATION_ENDED"),
    errors.Gone: (410, "RESERVATION_GONE"),
}
_SENTENCES = {
    TenantUnknown: "There is no such tenant here.",
    Http404: "There is nothing at this address.",
    PermissionDenied: "This credential may not do that.",
}


def _invalid(fields: Fields) -> Found:
    detail = " ".join(f"{field['field']}: {field['message']}" for field in fields)
    return 422, "INVALID", detail, fields, None


def _unavailable(detail: str) -> Found:
    return 503, "UNAVAILABLE", detail, (), {"Retry-After": "1"}


def _fields(detail: object, path: str = "") -> list[dict[str, str]]:
    """DRF's nested error lists, flat."""
    if isinstance(detail, Mapping):
        return [found for name, each in detail.items() for found in _fields(each, f"{path}.{name}".lstrip("."))]
    if isinstance(detail, list):
        return [found for each in detail for found in _fields(each, path)]
    return [{"field": path or "body", "message": str(detail)}]


def _code_of(status: int) -> str:
    return {400: "MALFORMED", 401: "UNAUTHENTICATED", 403: "SCOPE_MISSING", 404: "NOT_FOUND"}.get(
        status, HTTPStatus(status).name
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """What an address that does not exist answers: the API's clients a problem, a browser Django's page."""
    if request.path_info.startswith("/api/"):
        return problem(404, "NOT_FOUND", "There is nothing at this address.")
    return page_not_found(request, exception)
