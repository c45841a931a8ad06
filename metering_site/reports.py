"""Reports of errors to Sentry, where SENTRY_DSN names one; elsewhere its SDK is not even imported.

A report has the traceback, the tenant and the request's id: no body, header, address, local variable or breadcrumb.
Nothing is collected by itself; what is reported is what reaches `report`.
"""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import signals
from django.core.signals import got_request_exception
from django.http import HttpRequest
from rest_framework.request import Request

from metering_site import logs

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

# A tenant as callers name it, or its id: anything else they sent is not told on.
_NAME = re.compile(r"[A-Z][A-Z0-9_-]{0,63}|[0-9a-f-]{36}")
_sent: Callable[[BaseException, dict[str, str]], None] | None = None


def begin(dsn: str) -> None:
    """Report from now on. Needs requirements-sentry.txt."""
    global _sent  # noqa: PLW0603 - of one process
    import sentry_sdk  # noqa: PLC0415 - an extra

    sentry_sdk.init(
        dsn=dsn,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        before_send=_without_secrets,
    )

    def send(error: BaseException, tags: dict[str, str]) -> None:
        with sentry_sdk.new_scope() as scope:
            scope.set_tags(tags)
            scope.capture_exception(error)

    _sent = send
    got_request_exception.connect(_of_a_page)
    signals.task_failure.connect(_of_a_task)


def end() -> None:
    """Report no more; what waits is sent."""
    global _sent  # noqa: PLW0603 - as above
    import sentry_sdk  # noqa: PLC0415 - as above

    _sent = None
    got_request_exception.disconnect(_of_a_page)
    signals.task_failure.disconnect(_of_a_task)
    sentry_sdk.get_client().close(timeout=2)


def report(error: BaseException, request: Request | HttpRequest | None = None, **tags: str) -> None:
    """Report a fault of ours, with the tenant for whom it happened where that is known."""
    if _sent is None:
        return
    plain = request._request if isinstance(request, Request) else request
    found = {"tenant": _tenant_of(request, plain), "request_id": getattr(plain, "request_id", None), **tags}
    _sent(error, {name: value for name, value in found.items() if value})


def _tenant_of(request: Request | HttpRequest | None, plain: HttpRequest | None) -> str | None:
    """As it was named or, of a page, by its address; else that of the caller."""
    match = getattr(plain, "resolver_match", None)
    named = getattr(plain, "log_fields", {}).get("tenant") or (match.kwargs.get("ati_id") if match else None)
    if named and _NAME.fullmatch(named):
        return str(named)
    # Not `user`: what failed may be finding out who calls.
    own = getattr(getattr(request, "_user", None), "tenant", None)
    return str(own) if isinstance(own, UUID) else None


def _of_a_page(sender: object, request: HttpRequest | None = None, **_: object) -> None:
    error = sys.exception()
    if error is not None:
        report(error, request)


def _of_a_task(sender: object = None, exception: BaseException | None = None, **_: object) -> None:
    if exception is not None:
        report(exception, task=str(getattr(sender, "name", "")))


def _without_secrets(event: "Event", hint: "Hint") -> "Event":
    """The report with what an exception says cleaned as a line of the log is."""
    for name in ("request", "user", "breadcrumbs", "extra", "server_name"):
        event.pop(name, None)  # type: ignore[misc]  # names of its own
    values: list[dict[str, Any]] = event.get("exception", {}).get("values", [])
    for value in values:
        if isinstance(value.get("value"), str):
            value["value"] = logs.struck(value["value"].encode()).decode()
    return event
