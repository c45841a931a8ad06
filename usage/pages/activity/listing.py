"""The log and the refusals as a list, newest first, and as files."""

from typing import Any, TypeVar

from django.core.exceptions import BadRequest
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from usage import exports, filters, pagination, queries
from usage.exports import Form
from usage.filters import DenialFilter, LogFilter
from usage.pages.activity.form import ActivityForm
from usage.pages.viewer import TenantPage, Viewer
from usage.pagination import Order
from usage.walks import Found

Row = TypeVar("Row", bound=Model)


class ActivityPage(TenantPage):
    """A page of calls or of refusals, as the filters leave them."""

    page = "activity"

    def get(self, request: HttpRequest) -> HttpResponse:
        form = ActivityForm(request.GET, self.viewer)
        context: dict[str, Any] = {"form": form, "as_of": self.viewer.now}
        if not form.is_valid():
            return self.show("usage/activity.html", status=422, **context)
        try:
            rows = _page(request, _found(form, self.viewer))
        except ValidationError as error:
            raise BadRequest(str(error)) from error
        return self.show(
            "usage/activity.html",
            rows=rows,
            names=self.viewer.names({row.user_key for row in rows.results if row.user_key}),
            is_filtered=any(name != "show" for name in form.changed_data),
            **context,
        )


class ActivityExport(TenantPage):
    """What the filters leave, whole, as a file."""

    page = "activity"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        form = ActivityForm(request.GET, self.viewer)
        if not form.is_valid():
            return self.show("usage/activity.html", status=422, form=form)
        kind = Form.NDJSON if request.GET.get("format") == Form.NDJSON else Form.CSV
        export = exports.denials if form.is_of_refusals else exports.logs
        return export(self.viewer.sight, form.parameters(), kind)


def _found(form: ActivityForm, viewer: Viewer) -> Found[Any]:
    if form.is_of_refusals:
        return filters.filtered(DenialFilter, form.parameters(), queries.denials(viewer.sight))
    return filters.filtered(LogFilter, form.parameters(), queries.logs(viewer.sight))


def _page(request: HttpRequest, found: Found[Row]) -> Any:  # noqa: ANN401 - a page of rows of either kind
    order: Order[Row] = pagination.newest_first()
    return pagination.page(Request(request), found.rows, order, lambda row: row)
