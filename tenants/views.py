"""What every API view has: the caller, its scope, and JSON answers."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

import orjson
from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from tenants.authentication import Caller, Credentials
from tenants.models import Scope


class ScopeMissing(Exception):
    """The caller's key may not do this; `scope` is what it lacks."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"This credential lacks the scope “{scope.value}”. Ask for a key that has it.")
        self.scope = scope


class JsonAlone(BaseContentNegotiation):
    """Bodies and answers are JSON, whatever the headers call them: the answer then says what is wrong, not a 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        only = next(iter(renderers))
        return only, only.media_type


class CallerView(APIView):
    """An endpoint of the API that needs one scope.

    Where `is_confirmed_by_ledger` the caller comes from this process's snapshots, which the ledger call confirms;
    elsewhere the credential is verified by query first.
    """

    content_negotiation_class = JsonAlone
    scope: ClassVar[Scope]
    is_confirmed_by_ledger: ClassVar[bool] = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - DRF's own signature
        super().initial(request, *args, **kwargs)
        self.require_scope(caller_of(request))

    def require_scope(self, caller: Caller) -> None:
        """Raises ScopeMissing."""
        if self.scope not in caller.scopes:
            raise ScopeMissing(self.scope)


def caller_of(request: Request) -> Caller:
    """Who calls."""
    return cast("Caller", request.user)


def credentials_of(request: Request) -> Credentials:
    """What it called with."""
    return cast("Credentials", request.auth)


def note(request: Request, **fields: object) -> None:
    """Puts fields (tenant, code, reservation_id) on the request's log line."""
    request._request.log_fields.update(  # type: ignore[attr-defined]  # set by RequestLogMiddleware
        {name: str(value) for name, value in fields.items() if value is not None}
    )


def json_answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A JSON answer; dates, ids and enums render as in the contract."""
    content = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return HttpResponse(content, status=status, content_type="application/json", headers=headers)
