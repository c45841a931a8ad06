"""Lists in pages: a cursor says after (or before) which row a page begins, so new rows shift nothing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from django.core.exceptions import DisallowedHost
from django.db.models import Model, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from usage.answers import Page

Row = TypeVar("Row", bound=Model)
Entry = TypeVar("Entry")

PARAMETERS = frozenset({"cursor", "page_size"})
DEFAULT_SIZE = 100
MAX_SIZE = 500


@dataclass(frozen=True, slots=True)
class Order(Generic[Row]):
    """How a list is ordered: by a unique field that never changes, whose values `parse` reads from a cursor."""

    field: str
    is_descending: bool
    parse: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class _Cursor:
    position: object
    goes_back: bool


def newest_first() -> Order[Row]:
    """By UUIDv7, whose order is that of time."""
    return Order("id", True, UUID)


def page(request: Request, rows: QuerySet[Row], order: Order[Row], show: Callable[[Row], Entry]) -> Page[Entry]:
    """The page of `rows` that the request asks for, by one query. Raises ValidationError."""
    size = _size(request)
    cursor = _cursor(request, order)
    goes_back = cursor is not None and cursor.goes_back
    descends = order.is_descending != goes_back
    if cursor is not None:
        rows = rows.filter(**{f"{order.field}__{'lt' if descends else 'gt'}": cursor.position})
    found = list(rows.order_by(f"-{order.field}" if descends else order.field)[: size + 1])
    goes_on = len(found) > size
    found = found[:size]
    if goes_back:
        found.reverse()
    has_next = goes_back or goes_on
    has_previous = goes_on if goes_back else cursor is not None
    return Page(
        results=[show(row) for row in found],
        next=_address(request, "n", getattr(found[-1], order.field)) if found and has_next else None,
        previous=_address(request, "p", getattr(found[0], order.field)) if found and has_previous else None,
    )


def _size(request: Request) -> int:
    text = request.query_params.get("page_size")
    if text is None:
        return DEFAULT_SIZE
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_SIZE:
        raise ValidationError({"page_size": f"A number from 1 to {MAX_SIZE}."})
    return int(text)


def _cursor(request: Request, order: Order[Row]) -> _Cursor | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        direction, position = (decoded := urlsafe_b64decode(text.encode("ascii")).decode())[:1], decoded[1:]
        if direction not in ("n", "p") or "\x00" in position:
            raise ValueError(direction)
        return _Cursor(order.parse(position), direction == "p")
    except ValueError:
        message = "Take it from “next” or “previous” of an answer, unchanged, or leave it out."
        raise ValidationError({"cursor": message}) from None


def _address(request: Request, direction: str, position: object) -> str:
    query = request.query_params.copy()
    query["cursor"] = urlsafe_b64encode(f"{direction}{position}".encode()).decode()
    path = f"{request.path}?{query.urlencode()}"
    try:
        return request.build_absolute_uri(path)
    except DisallowedHost:
        return path  # the API may be called by a name that pages may not be; this leads there too
