"""The endpoints of simulations: ask for one, and look how far it is. Parse, call one function, answer."""

from uuid import UUID

import msgspec
from django.http import HttpResponse
from django.urls import reverse
from rest_framework.request import Request

from enforcement import errors
from enforcement.base import LedgerView, key_of
from enforcement.models import Simulation
from enforcement.simulation import jobs, trials
from enforcement.simulation.answers import standing
from enforcement.simulation.jobs import Key
from enforcement.simulation.trials import NothingToTry
from enforcement.wire import SimulateBody, parse
from tenants import authentication
from tenants.authentication import Caller, Unauthenticated
from tenants.models import Scope
from tenants.views import CallerView, caller_of, json_answer, note
from usage import ledger


class SimulateView(LedgerView):
    """What a plan would have done to the calls of the last days. A worker does it: ask its address for the result."""

    scope = Scope.ADMIN
    is_confirmed_by_ledger = False
    initial = CallerView.initial

    def post(self, request: Request) -> HttpResponse:
        body = parse(self.body(request), SimulateBody)
        found, was_there = _asked(_sure(caller_of(request)), body, key_of(request, body.idempotency_key))
        note(request, tenant=body.tenant)
        headers = {"Location": reverse("simulation", args=[found.pk])}
        if was_there:
            headers["Idempotent-Replayed"] = "true"
        return json_answer(standing(found), status=202, headers=headers)


def _sure(caller: Caller) -> Caller:
    """Raises Unauthenticated where the token beside the key, which would name the tenant, is no good."""
    if caller.has_bad_ati_token:
        raise Unauthenticated("X-ATI-Token is unknown, expired, revoked or an invitation.")
    return caller


def _asked(caller: Caller, body: SimulateBody, key: str | None) -> tuple[Simulation, bool]:
    tenant = authentication.tenant_of(caller, body.tenant)
    whose = None if tenant is None else tenant.id
    assert caller.key is not None  # noqa: S101 - only service keys have the scope
    sent = {name: value for name, value in msgspec.to_builtins(body).items() if name != "idempotency_key"}
    fingerprint = ledger.fingerprint("simulate", whose, sent)
    try:
        if body.revision is not None and body.plan is None:
            raise NothingToTry("revision", "A revision is of a plan: name it in “plan”.")
        plan = None if body.plan is None else trials.plan_named(body.plan, body.revision)
        return jobs.queue(
            plan=plan,
            changes=body.edits(),
            tenant=whose,
            days=body.days,
            asked_by=f"key {caller.key}",
            key=None if key is None else Key(caller.key, key, fingerprint),
        )
    except NothingToTry as refused:
        raise errors.Invalid(refused.field, str(refused)) from None


class SimulationView(CallerView):
    """How far a simulation is, and what it found."""

    scope = Scope.ADMIN

    def get(self, request: Request, simulation_id: UUID) -> HttpResponse:
        rows = Simulation.objects.for_tenant(_sure(caller_of(request)).tenant).select_related("plan", "tenant")
        found = rows.filter(pk=simulation_id).first()
        if found is None:
            raise errors.Unknown("There is no such simulation here, or it was forgotten.")
        return json_answer(standing(found))
