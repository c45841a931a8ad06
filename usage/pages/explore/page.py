"""Explore: one question about usage, its chart, and its table."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase

from usage import exports
from usage.exports import Form
from usage.pages.explore import drawing, shown, tables, telling, times
from usage.pages.explore.form import Asked, ExploreForm
from usage.pages.explore.found import Found, find, names
from usage.pages.viewer import TenantPage

PAGE = 50
_FILES = {"csv": Form.CSV, "ndjson": Form.NDJSON}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A filter that can be taken away."""

    label: str
    name: str
    href: str


class ExplorePage(TenantPage):
    """Explore."""

    page = "explore"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        form = ExploreForm(request.GET.dict(), self.viewer)
        if not form.is_valid():
            return self.show("usage/explore.html", status=HTTPStatus.UNPROCESSABLE_ENTITY, **form.laid_out())
        asked = form.asked()
        if request.GET.get("format") in _FILES:
            return self._file(request, asked, _FILES[request.GET["format"]])
        rows = slice((asked.page - 1) * PAGE, asked.page * PAGE)
        found = find(self.viewer, asked, rows)
        if asked.page > 1 and asked.page > (last := _pages(found)):
            return HttpResponseRedirect(request.path + _address(request, page=str(last)))
        return self.show("usage/explore.html", **form.laid_out(), **self._context(form, found, rows))

    def _context(self, form: ExploreForm, found: Found, rows: slice) -> dict[str, Any]:
        asked = found.asked
        parts = times.named(found.starts, asked.step, self.viewer.calendar, self.viewer.zone)
        pages = _pages(found)
        return {
            "asked": asked,
            "found": found,
            "as_of": found.as_of,
            "chips": self._chips(asked),
            "chart": drawing.chart(self.viewer, found, parts),
            "caption": telling.caption(found, self.viewer.zone, self.viewer.now),
            "heading": asked.step.capitalize() if asked.group_by == "none" else shown.GROUPS[asked.group_by],
            "lines": [(line, self._more(form, asked, line.key)) for line in tables.lines(found, parts, rows)],
            "empty": telling.nothing(found),
            "total": tables.total(found),
            "time_lines": tables.time_lines(found, parts) if asked.group_by != "none" else [],
            "series": tables.series_totals(found),
            "pages": pages,
            "before_page": asked.page - 1 if asked.page > 1 else None,
            "after_page": asked.page + 1 if asked.page < pages else None,
            "first_row": rows.start + 1,
            "last_row": min(rows.stop, found.count),
        }

    def _more(self, form: ExploreForm, asked: Asked, key: str | None) -> str | None:
        """Where one key of the split is looked at closer."""
        if key is None:
            return None
        return _address(self.request, **{asked.group_by: key, "group_by": _next(form, asked)})

    def _chips(self, asked: Asked) -> list[Chip]:
        return [
            Chip(
                label=shown.GROUPS[field], name=names(self.viewer, field, [key])[key],
                href=_address(self.request, **{field: None}),
            )
            for field, key in asked.filters.items()
        ]  # fmt: skip

    def _file(self, request: HttpRequest, asked: Asked, form: Form) -> HttpResponseBase:
        """What is shown as a file: the table under the chart whole, or with ?table=times what the chart shows."""
        found = find(self.viewer, asked, slice(None))
        parts = times.named(found.starts, asked.step, self.viewer.calendar, self.viewer.zone)
        as_file = tables.file_of_times if request.GET.get("table") == "times" else tables.file_of_lines
        table, entries = as_file(found, parts)
        return exports.answer(table, self.viewer.sight, QueryDict(), form, iter([entries]))


def _next(form: ExploreForm, asked: Asked) -> str:
    """What one key of the split is split by next: the first that it is not narrowed to yet."""
    possible = form.groups_of(asked.measure)
    group_by = asked.group_by
    for _ in shown.NEXT:
        group_by = shown.NEXT.get(group_by, "none")
        if group_by in possible and group_by not in asked.filters and group_by != asked.group_by:
            return group_by
    return "none"


def _pages(found: Found) -> int:
    """How many pages the table has, one at least."""
    return max(1, -(-found.count // PAGE))


def _address(request: HttpRequest, **changes: str | None) -> str:
    """The query of this page with some of it changed, from the first page of the table on; None takes out."""
    query = request.GET.copy()
    query.pop("page", None)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return f"?{query.urlencode()}"
