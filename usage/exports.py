"""Lists as files, CSV or NDJSON: whole, in the columns of the API, in the memory of one slice."""

import csv
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from io import StringIO
from itertools import chain
from operator import attrgetter
from threading import BoundedSemaphore
from typing import Any, Generic, TypeVar, cast

import orjson
import structlog
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError

from tenants.authentication import Throttled
from usage import filters, pagination, walks
from usage.answers import DenialEntry, LogEntry, Summary, SummaryEntry, SummaryFigures
from usage.models import UsageLog
from usage.sight import Sight

Entry = TypeVar("Entry")

PARAMETERS = frozenset({"format"})
VARY = {"Vary": "Accept"}
"""The header of whatever is to be had in several forms."""

log = structlog.get_logger()


class Form(StrEnum):
    """The forms that lists are to be had in."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"


_MEDIA = {Form.JSON: "application/json", Form.CSV: "text/csv", Form.NDJSON: "application/x-ndjson"}


class Busy(Throttled):
    """This process is writing as many long exports as it may."""

    def __init__(self) -> None:
        super().__init__(_AGAIN_SECONDS)
        self.args = (f"Other exports are being written; try again in {_AGAIN_SECONDS} s.",)


# A long export keeps a thread until its last row is sent, and the calls of services need the others.
_AT_ONCE = 1
_AGAIN_SECONDS = 5
_turns = BoundedSemaphore(_AT_ONCE)
_BROKEN = "INCOMPLETE: this export broke off here. Ask for it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Entry]):
    """What a file is called by, its columns, and how an entry fills them."""

    name: str
    columns: tuple[str, ...]
    cells: Callable[[Entry], Iterable[object]]


def _table(name: str, *columns: str) -> Table[Any]:
    return Table(name=name, columns=columns, cells=attrgetter(*columns))


LOGS: Table[LogEntry] = _table("usage-logs", *(field.name for field in fields(LogEntry)))
DENIALS: Table[DenialEntry] = _table("denials", *(field.name for field in fields(DenialEntry)))
SUMMARY: Table[SummaryEntry] = _table("usage-summary", "key", *(field.name for field in fields(SummaryFigures)))

_RENAMED = {"user": "user_key", "feature": "feature_id", "task": "task_id", "model_class": "model_class_id"}
_FIELDS = tuple(_RENAMED.get(name, name) for name in LOGS.columns)


def form_of(request: HttpRequest) -> Form:
    """The form that `?format=` asks for, else the Accept header; JSON where neither does. Raises ValidationError."""
    asked = request.GET.get("format")
    if asked is None:
        preferred = request.get_preferred_type(list(_MEDIA.values()))
        return next((form for form, media in _MEDIA.items() if media == preferred), Form.JSON)
    if asked not in list(Form):
        raise ValidationError({"format": f"One of {', '.join(Form)}."})
    return Form(asked)


def logs(sight: Sight, sent: QueryDict, form: Form) -> HttpResponseBase:
    """The log in sight, newest first, as the filter's parameters leave it. Raises ValidationError and Busy."""
    found = filters.logs(sight, sent)
    # Tuples with the same names: making models takes longer than everything else.
    plain = cast("QuerySet[UsageLog]", found.rows.values_list(*_FIELDS, named=True))
    slices = walks.newest_first(replace(found, rows=plain))
    return answer(LOGS, sight, sent, form, map(partial(map, LogEntry.of), slices))


def denials(sight: Sight, sent: QueryDict, form: Form) -> HttpResponseBase:
    """The refusals in sight, newest first, as the filter's parameters leave them. Raises ValidationError and Busy."""
    slices = walks.newest_first(filters.denials(sight, sent))
    return answer(DENIALS, sight, sent, form, map(partial(map, DenialEntry.of), slices))


def summary(sight: Sight, sent: QueryDict, form: Form, found: Summary) -> HttpResponseBase:
    """A summary's sums by key, without their totals."""
    return answer(SUMMARY, sight, sent, form, iter([found.results]))


def answer(
    table: Table[Entry], sight: Sight, sent: QueryDict, form: Form, slices: Iterator[Iterable[Entry]]
) -> HttpResponseBase:
    """The file of all entries; what takes more than one slice is written as it is fetched.

    The first slices are read here, so that what fails at once is answered with a problem. Raises ValidationError where
    a page is asked for, Busy where a long file is and too many are being written.
    """
    for name in sorted(pagination.PARAMETERS & sent.keys()):
        raise ValidationError({name: "An export is whole and has no pages: leave it out."})
    write = partial(_csv if form is Form.CSV else _ndjson, table)
    begun = (_lines([table.columns]) if form is Form.CSV else b"") + write(next(slices))
    name = f"{table.name}-{sight.tenant.ati_id}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **VARY}
    media = f"{_MEDIA[form]}; charset=utf-8"
    more = next(slices, None)
    if more is None:
        return HttpResponse(begun, content_type=media, headers=headers)
    content = _content(table.name, begun, map(write, chain([more], slices)), _last_words(form))
    next(content)
    return StreamingHttpResponse(content, content_type=media, headers=headers)


def csv_of(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows as these files have them: UTF-8, and a text that a spreadsheet would calculate has one ' before it."""
    return _lines(map(_cell, row) for row in rows)


def _content(name: str, begun: bytes, parts: Iterator[bytes], last_words: bytes) -> Generator[bytes, None, None]:
    """First nothing, once it is its turn; then all parts, and where one fails, the last words."""
    if not _turns.acquire(blocking=False):
        raise Busy
    told = log.bind(**structlog.contextvars.get_contextvars(), export=name)
    try:
        yield b""
        yield begun
        yield from filter(None, parts)
        told.info("exported")
    except Exception as error:
        # The web server ends the answer in good order whatever happens here, so that the transfer looks whole.
        told.error("export broke off", error=type(error).__name__)
        yield last_words
        raise
    finally:
        _turns.release()


def _last_words(form: Form) -> bytes:
    """A line that no reader takes for an entry."""
    return _lines([[_BROKEN]]) if form is Form.CSV else _json_line({"code": "UNAVAILABLE", "detail": _BROKEN})


def _ndjson(_: Table[Entry], entries: Iterable[Entry]) -> bytes:
    return b"".join(map(_json_line, entries))


def _json_line(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def _csv(table: Table[Entry], entries: Iterable[Entry]) -> bytes:
    return csv_of(table.cells(entry) for entry in entries)


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    """RFC 4180."""
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


# What a spreadsheet takes for a formula, also behind blanks or as its full-width twin; and what begins with the mark
# itself, so that the mark can be taken off again. A number is none, whatever its sign.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|['\t\r\n]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _cell(value: object) -> object:
    """As in JSON, but null is empty, and a text that a spreadsheet would calculate has one ' before it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{value}" if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case dict():
            return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
        case _:
            return value
