"""The log and the refusals as a list, newest first, and as files."""

from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from usage import exports, filters, pagination
from usage.exports import Busy, Form
from usage.pages.activity.form import ActivityForm
from usage.pages.viewer import TenantPage, Viewer
from usage.walks import Found


class ActivityPage(TenantPage):
    """A page of calls or of refusals, as the filters leave them."""

    page = "activity"

    def get(self, request: HttpRequest) -> HttpResponse:
        form = ActivityForm(request.GET, self.viewer)
        context: dict[str, Any] = {"form": form, "as_of": self.viewer.now}
        if not form.is_valid():
            return self.show("usage/activity.html", status=422, **context)
        try:
            rows = pagination.newest_page(Request(request), _found(form, self.viewer), lambda row: row)
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
        try:
            return export(self.viewer.sight, form.parameters(), kind)
        except Busy as busy:
            later = {"Retry-After": str(busy.retry_after_seconds)}
            return HttpResponse(str(busy), status=429, content_type="text/plain", headers=later)


def _found(form: ActivityForm, viewer: Viewer) -> Found[Any]:
    if form.is_of_refusals:
        return filters.denials(viewer.sight, form.parameters())
    return filters.logs(viewer.sight, form.parameters())
