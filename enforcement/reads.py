"""The reads that need the gatekeeper's modules. Parse, call one function, answer."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from enforcement import errors, explanation, holds, quotas, settlement
from enforcement.explanation import Tale
from enforcement.quotas import Limits
from plans import entitlements
from plans.charges import PeriodKind
from tenants.models import Scope
from tenants.views import caller_of, json_answer, note
from usage import decided, pagination, queries
from usage.models import UsageMeter
from usage.pagination import Order
from usage.sight import Sight
from usage.views import ReadView

_MAX_USER = 128


class EntitlementsView(ReadView):
    """What the plan in force promises, and how much of it is left now."""

    parameters = frozenset({"user"})

    def get(self, request: Request) -> HttpResponse:
        seen = self.sight(request)
        user = _user(request, seen)
        return json_answer(quotas.entitled_to(seen.tenant, user, datetime.now(UTC)))


def _user(request: Request, seen: Sight) -> str | None:
    """The user to answer for: the one asked for, else the caller itself where it is one."""
    named = request.query_params.get("user")
    if named is None:
        return caller_of(request).user_key
    if len(named) > _MAX_USER:
        raise ValidationError({"user": f"At most {_MAX_USER} characters."})
    if seen.user not in (None, named):
        raise errors.Unknown(f"There is no user {named} that this token may look at.")
    return named


class MetersView(ReadView):
    """The meters of the running periods that count something, by user, feature and measure."""

    parameters = frozenset({"user", "feature", "period"}) | pagination.PARAMETERS

    def get(self, request: Request) -> HttpResponse:
        now = datetime.now(UTC)
        seen = self.sight(request)
        rows = queries.running_meters(seen, now, **_choice(request))
        order: Order[UsageMeter] = Order("order_key", False, str)
        return json_answer(pagination.page(request, rows, order, Limits(seen.tenant.id, now).quota))


def _choice(request: Request) -> dict[str, Any]:
    """Which meters to show. Raises ValidationError, listing what is known."""
    sent = request.query_params
    catalogue = entitlements.catalogue()
    feature, period = sent.get("feature"), sent.get("period")
    if feature is not None and feature not in catalogue.features:
        raise ValidationError({"feature": f"{feature} is not known. Known: {', '.join(catalogue.features)}."})
    if period is not None and period not in PeriodKind.values:
        raise ValidationError({"period": f"One of {', '.join(PeriodKind.values)}."})
    return {
        "kinds": [PeriodKind(period)] if period else list(PeriodKind),
        "user": sent.get("user"),
        "feature": feature,
        "tasks": catalogue.tasks_of(feature) if feature else (),
    }


class DecisionView(ReadView):
    """Why a call was permitted or refused, gate by gate."""

    def get(self, request: Request, decision_id: UUID) -> HttpResponse:
        seen = self.sight(request)
        kept = decided.of(seen, decision_id)
        if kept is None:
            raise errors.Unknown("There is no decision with this id here, or it was pruned.")
        return json_answer(explanation.explain(Tale.of_kept(decision_id, seen.tenant.ati_id, kept)))


class ReservationView(ReadView):
    """A reservation as it stands."""

    scope = Scope.ENFORCE

    def get(self, request: Request, reservation_id: UUID) -> HttpResponse:
        caller = caller_of(request)
        tenant = settlement.tenant_for(caller, request.query_params.get("tenant"))
        found = queries.reservation(tenant, reservation_id, caller.user_key)
        if found is None:
            raise errors.Unknown("There is no such reservation here, or it was pruned.")
        note(request, tenant=found.tenant_id, reservation_id=found.id)
        return json_answer(holds.standing(found))
