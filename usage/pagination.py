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
from usage.walks import Found

Row = TypeVar("Row", bound=Model)
Entry = TypeVar("Entry")

PARAMETERS = frozenset({"cursor", "page_size"})
DEFAULT_SIZE = 100
MAX_SIZE = 500
REACH = 100_000
"""How many rows one request looks at: what it does stays short, however few of them are asked for."""


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


def newest_page(request: Request, found: Found[Row], show: Callable[[Row], Entry]) -> Page[Entry]:
    """The page of what was found that the request asks for, by UUIDv7, whose order is that of time.

    Where few of many are asked for it looks at REACH rows, by two queries, and may be short, or empty, while it names
    a page that goes on from there. Raises ValidationError.
    """
    order: Order[Row] = Order("id", True, UUID)
    return page(request, found.rows, order, show, among=None if found.is_all else found.among)


def page(
    request: Request,
    rows: QuerySet[Row],
    order: Order[Row],
    show: Callable[[Row], Entry],
    *,
    among: QuerySet[Row] | None = None,
) -> Page[Entry]:
    """The page of `rows` that the request asks for, by one query, two where `among` is given. Raises ValidationError.

    `among`: more rows, in the order of an index, of which REACH are looked at.
    """
    size, cursor = _size(request), _cursor(request, order)
    goes_back = cursor is not None and cursor.goes_back
    descends = order.is_descending != goes_back
    by = f"-{order.field}" if descends else order.field
    beyond = {} if cursor is None else {f"{order.field}__{'lt' if descends else 'gt'}": cursor.position}
    edge = None
    if among is not None:
        edge = among.filter(**beyond).order_by(by).values_list(order.field, flat=True)[REACH - 1 : REACH].first()
        if edge is not None:
            beyond[f"{order.field}__{'gte' if descends else 'lte'}"] = edge
    found = list(rows.filter(**beyond).order_by(by)[: size + 1])
    goes_on = len(found) > size
    shown = found[:size]
    stop = getattr(shown[-1], order.field) if goes_on else edge
    start = getattr(shown[0], order.field) if shown and cursor is not None else None
    if goes_back:
        shown.reverse()
        start, stop = stop, start
    return Page(
        results=[show(row) for row in shown],
        next=None if stop is None else _address(request, "n", stop),
        previous=None if start is None else _address(request, "p", start),
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
