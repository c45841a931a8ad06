"""The reads of the API that need nothing but the ledger. Parse, call one function, answer."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from plans.calendars import calendar_of
from tenants.models import Scope
from tenants.views import CallerView, caller_of, json_answer, note
from usage import exports, filters, pagination, sight, summaries
from usage.answers import DenialEntry, LogEntry
from usage.exports import Form
from usage.filters import DenialFilter, LogFilter
from usage.sight import Sight


class ReadView(CallerView):
    """A read of one tenant's usage: the caller's own, or the one that an any-tenant key names by ?tenant=."""

    scope = Scope.READ
    parameters: ClassVar[AbstractSet[str]] = frozenset()
    """What may stand in the query beside `tenant`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - DRF's own signature
        super().initial(request, *args, **kwargs)
        filters.require_known(request.query_params, {"tenant", *self.parameters})

    def sight(self, request: Request) -> Sight:
        """Whose usage the request may read. Raises as `usage.sight.of`."""
        seen = sight.of(caller_of(request), request.query_params.get("tenant"))
        note(request, tenant=seen.tenant.ati_id)
        return seen


class LogsView(ReadView):
    """The log, newest first."""

    parameters = LogFilter.base_filters.keys() | pagination.PARAMETERS | exports.PARAMETERS

    def get(self, request: Request) -> HttpResponseBase:
        seen, sent, form = self.sight(request), request.query_params, exports.form_of(request)
        if form is not Form.JSON:
            return exports.logs(seen, sent, form)
        found = pagination.newest_page(request, filters.logs(seen, sent), LogEntry.of)
        return json_answer(found, headers=exports.VARY)


class DenialsView(ReadView):
    """The refusals, newest first."""

    parameters = DenialFilter.base_filters.keys() | pagination.PARAMETERS | exports.PARAMETERS

    def get(self, request: Request) -> HttpResponseBase:
        seen, sent, form = self.sight(request), request.query_params, exports.form_of(request)
        if form is not Form.JSON:
            return exports.denials(seen, sent, form)
        found = pagination.newest_page(request, filters.denials(seen, sent), DenialEntry.of)
        return json_answer(found, headers=exports.VARY)


class SummaryView(ReadView):
    """Sums of the log by day, hour or name."""

    parameters = summaries.PARAMETERS | exports.PARAMETERS

    def get(self, request: Request) -> HttpResponseBase:
        now = datetime.now(UTC)
        seen, sent, form = self.sight(request), request.query_params, exports.form_of(request)
        found = summaries.of(seen, summaries.question(sent.dict(), calendar_of(seen.tenant), now), now)
        if form is not Form.JSON:
            return exports.summary(seen, sent, form, found)
        return json_answer(found, headers=exports.VARY)
