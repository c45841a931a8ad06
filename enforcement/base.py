"""What the endpoints on the ledger share: bodies within bounds, and deciding again while the configuration moves."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar, TypeVar

import orjson
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from enforcement import errors
from tenants import authentication
from tenants.authentication import Caller
from tenants.facts import TenantUnknown
from tenants.models import Scope
from tenants.views import CallerView, ScopeMissing, caller_of, credentials_of, json_answer
from usage.ledger import Stale
from usage.measures import BadUsage

T = TypeVar("T")

KIB = 1024
_TRIES = 10
_PATIENCE_SECONDS = 1.5  # a caller is answered within two
# Why a request is turned away before any ledger call could confirm what that rests on.
REFUSALS = (
    ScopeMissing, TenantUnknown, BadUsage, errors.Invalid, errors.Unknown, errors.Malformed, errors.KeyMissing,
    errors.TooLarge,
)  # fmt: skip


class LedgerView(CallerView):
    """An endpoint whose answer is given by a ledger call, which confirms the caller too."""

    scope = Scope.ENFORCE
    is_confirmed_by_ledger = True
    most_bytes: ClassVar[int] = 256 * KIB
    is_admitted = False  # whether the caller was told who it is
    is_fresh = False  # whether snapshots were compared with the database in this request

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - DRF's own signature
        APIView.initial(self, request, *args, **kwargs)  # the scope is asked for in `decide`
        self.is_admitted = True

    def body(self, request: Request) -> bytes:
        """The body as sent. Raises TooLarge."""
        sent = request.META.get("CONTENT_LENGTH") or ""
        if sent.isdigit() and int(sent) > self.most_bytes:
            raise errors.TooLarge(self.most_bytes)
        # Django takes a body without a length for an empty one; one in chunks ends itself where the server says so.
        is_chunked = not sent and request.META.get("wsgi.input_terminated")
        source = request.META["wsgi.input"] if is_chunked else request._request
        raw: bytes = source.read(self.most_bytes + 1)
        if len(raw) > self.most_bytes:
            raise errors.TooLarge(self.most_bytes)
        if sent.isdigit() and len(raw) < int(sent):
            raise errors.Malformed("The body ended before its Content-Length: it was cut off on the way.")
        return raw

    def decide(self, request: Request, act: Callable[[Caller, datetime], T]) -> T:
        """What `act` answers once the configuration it relied on has stood still for the call.

        Decided again with the database's clock and fresh snapshots, the caller included, as often as it moved; and
        once more where it refuses to act at all, which no ledger call has confirmed. Raises Restless where it has not
        stood still in time; fresh snapshots are given one try at least.
        """
        caller, now = caller_of(request), datetime.now(UTC)
        until = monotonic() + _PATIENCE_SECONDS
        for attempt in range(_TRIES):
            if attempt > 1 and monotonic() > until:
                break
            try:
                self.require_scope(caller)
                return act(caller, now)
            except Stale as stale:
                now = stale.now
                caller = authentication.resolve(credentials_of(request), now=now, fresh=False)
            except REFUSALS:
                if self.is_fresh:
                    raise
                now, caller = self._refreshed(request)
        raise errors.Restless("The configuration is changing right now. Try again shortly.")

    def _refreshed(self, request: Request) -> tuple[datetime, Caller]:
        """The database's clock, and the caller as its snapshots compared with the database have it."""
        self.is_fresh = True
        now = authentication.refresh(credentials_of(request))
        return now, authentication.resolve(credentials_of(request), now=now, fresh=False)

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # a plain answer will do
        """A body that cannot be read is refused too: to a caller that may call, told by query."""
        if isinstance(exc, REFUSALS) and self.is_admitted and not self.is_fresh:
            try:
                self.require_scope(self._refreshed(self.request)[1])
            except (authentication.Unauthenticated, ScopeMissing) as first:
                exc = first
        return super().handle_exception(exc)

    def batch(self, results: Sequence[Mapping[str, Any] | Exception | None]) -> HttpResponse:
        """The answer of every batch form: status and body of each item in order, a problem where it failed."""
        answered = []
        body: object
        for index, result in enumerate(results):
            if isinstance(result, Exception):
                problem = self.get_exception_handler()(result, self.get_exception_handler_context())
                status, body = problem.status_code, orjson.Fragment(problem.content)
            else:
                status, body = 200, result
            answered.append({"index": index, "status": status, "body": body})
        return json_answer({"results": answered})


def request_id(request: Request) -> str:
    """The request's id, under which reservation and log keep it as correlation id."""
    found: str = request._request.request_id  # type: ignore[attr-defined]  # set by RequestLogMiddleware
    return found


def key_of(request: Request, in_body: str | None) -> str | None:
    """The idempotency key, from the header or the body. Raises Invalid where they differ or it is not printable."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return in_body
    if not 1 <= len(header) <= 128 or not header.isascii() or not header.isprintable():
        raise errors.Invalid("Idempotency-Key", "1 to 128 printable ASCII characters.")
    if in_body is not None and in_body != header:
        raise errors.Invalid("idempotency_key", "It differs from the Idempotency-Key header; send one of them.")
    return header
