"""The reads of the API that need nothing but the ledger. Parse, call one function, answer."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from plans.calendars import calendar_of
from tenants.models import Scope
from tenants.views import CallerView, caller_of, json_answer, note
from usage import filters, pagination, queries, sight, summaries
from usage.answers import DenialEntry, LogEntry
from usage.filters import DenialFilter, LogFilter
from usage.models import Denial, UsageLog
from usage.pagination import Order, newest_first
from usage.sight import Sight


class ReadView(CallerView):
    """A read of one tenant's usage: the caller's own, or the one that an any-tenant key names by ?tenant=."""

    scope = Scope.READ
    parameters: ClassVar[AbstractSet[str]] = frozenset()
    """What may stand in the query beside `tenant`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - DRF's own signature
        super().initial(request, *args, **kwargs)
        filters.require_known(request, {"tenant", *self.parameters})

    def sight(self, request: Request) -> Sight:
        """Whose usage the request may read. Raises as `usage.sight.of`."""
        seen = sight.of(caller_of(request), request.query_params.get("tenant"))
        note(request, tenant=seen.tenant.ati_id)
        return seen


class LogsView(ReadView):
    """The log, newest first."""

    parameters = LogFilter.base_filters.keys() | pagination.PARAMETERS

    def get(self, request: Request) -> HttpResponse:
        rows = filters.filtered(LogFilter, request, queries.logs(self.sight(request)))
        order: Order[UsageLog] = newest_first()
        return json_answer(pagination.page(request, rows, order, LogEntry.of))


class DenialsView(ReadView):
    """The refusals, newest first."""

    parameters = DenialFilter.base_filters.keys() | pagination.PARAMETERS

    def get(self, request: Request) -> HttpResponse:
        rows = filters.filtered(DenialFilter, request, queries.denials(self.sight(request)))
        order: Order[Denial] = newest_first()
        return json_answer(pagination.page(request, rows, order, DenialEntry.of))


class SummaryView(ReadView):
    """Sums of the log by day, hour or name."""

    parameters = summaries.PARAMETERS

    def get(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        seen = self.sight(request)
        asked = summaries.question(request.query_params.dict(), calendar_of(seen.tenant), now)
        return json_answer(summaries.of(seen, asked, now))
