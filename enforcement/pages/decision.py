"""Why a call of a tenant was permitted or refused, for its own people; a part of other pages where htmx asks."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse

from enforcement.explanation import Tale, explain
from enforcement.pages.why import rows
from usage import decided
from usage.pages.viewer import TenantPage


class DecisionPage(TenantPage):
    """The gates of a decision in order, as they stood then."""

    page = "activity"

    def get(self, request: HttpRequest, decision_id: UUID) -> HttpResponse:
        sight = self.viewer.sight
        kept = decided.of(sight, decision_id)
        if kept is None:
            raise Http404
        told = explain(Tale.of_kept(decision_id, sight.tenant.ati_id, kept))
        return self.show("enforcement/decision.html", told=told, gates=rows(told))
