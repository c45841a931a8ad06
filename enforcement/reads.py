"""The reads that need the gatekeeper's modules. Parse, call one function, answer."""

from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from enforcement import errors, explanation, holds, quotas, settlement
from enforcement.answers import Quota
from enforcement.explanation import Tale
from enforcement.quotas import Limits
from plans import entitlements
from plans.charges import PeriodKind
from tenants.models import Scope
from tenants.views import caller_of, json_answer, note
from usage import decided, exports, pagination, queries, walks
from usage.exports import Form, Table
from usage.models import UsageMeter
from usage.pagination import Order
from usage.sight import Sight
from usage.views import ReadView

_MAX_USER = 128
_BY: Order[UsageMeter] = Order("order_key", False, str)
_METERS = Table(name="usage-meters", columns=tuple(Quota.__annotations__), cells=itemgetter(*Quota.__annotations__))


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

    parameters = frozenset({"user", "feature", "period"}) | pagination.PARAMETERS | exports.PARAMETERS

    def get(self, request: Request) -> HttpResponseBase:
        now = datetime.now(UTC)
        seen, form = self.sight(request), exports.form_of(request)
        rows, show = queries.running_meters(seen, now, **_choice(request)), Limits(seen.tenant.id, now).quota
        if form is not Form.JSON:
            slices = map(partial(map, show), walks.by_key(rows, _BY.field))
            return exports.answer(_METERS, seen, request.query_params, form, slices)
        return json_answer(pagination.page(request, rows, _BY, show), headers=exports.VARY)


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
            raise errors.Unknown(_nothing_of(decision_id))
        return json_answer(explanation.explain(Tale.of_kept(decision_id, seen.tenant.ati_id, kept)))


def _nothing_of(decision: UUID) -> str:
    archived = decided.archived(decision)
    if archived is not None:
        return f"There is no decision with this id here any more: the log of {archived} is archived."
    return "There is no decision with this id here, or it was pruned."


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
