"""What was noticed, as a tenant's people see it: the list, what still holds, and how many that is."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from alerts import messages, places, queries
from alerts.messages import Message
from alerts.models import QuotaAlert
from usage.pages.viewer import TenantPage, Viewer

_LISTED = 100
_SHOWN = 5
_COUNTED = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An alert with its words."""

    alert: QuotaAlert
    message: Message


class AlertsPage(TenantPage):
    """The latest alerts, those that are over too."""

    page = "alerts"

    def get(self, request: HttpRequest) -> HttpResponse:
        rows = queries.alerts(self.viewer.sight).order_by("-id")[:_LISTED]
        return self.show("alerts/list.html", alerts=told(self.viewer, rows), most=_LISTED)


class OpenAlerts(TenantPage):
    """A part of a page: the latest alerts that still hold."""

    page = "alerts"

    def get(self, request: HttpRequest) -> HttpResponse:
        rows = queries.alerts(self.viewer.sight).open().order_by("-id")[: _SHOWN + 1]
        found = told(self.viewer, rows)
        return self.show("alerts/open.html", alerts=found[:_SHOWN], has_more=len(found) > _SHOWN)


class Bell(TenantPage):
    """A part of the header: how many alerts still hold."""

    page = "alerts"

    def get(self, request: HttpRequest) -> HttpResponse:
        count = queries.alerts(self.viewer.sight).open()[: _COUNTED + 1].count()
        return self.show("alerts/bell.html", count=min(count, _COUNTED), has_more=count > _COUNTED)


def told(viewer: Viewer, rows: Iterable[QuotaAlert]) -> list[Told]:
    """The alerts in the words that somebody reads; one query at most, for the names of people."""
    found = list(rows)
    users = {row.user_key for row in found if row.user_key}
    place = places.place_of(viewer.tenant, users, viewer.now)
    return [Told(alert=row, message=messages.of_alert(row, place, str(row.id))) for row in found]
