"""The API's read of alerts. Parse, call one function, answer."""

from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from alerts import queries
from alerts.answers import AlertEntry
from alerts.models import QuotaAlert
from tenants.views import json_answer
from usage import pagination
from usage.pagination import Order
from usage.views import ReadView

_NEWEST: Order[QuotaAlert] = Order("id", True, UUID)


class AlertsView(ReadView):
    """What was noticed, newest first."""

    parameters = queries.PARAMETERS.keys() | pagination.PARAMETERS

    def get(self, request: Request) -> HttpResponseBase:
        seen = self.sight(request)
        rows = queries.chosen(queries.alerts(seen), request.query_params)
        return json_answer(pagination.page(request, rows, _NEWEST, AlertEntry.of))
