"""The order of the gates, and nowhere else: ask -> decision.

A gate either refuses, or lets through and is remembered where it is only observed. Everything before the ledger
call is decided from snapshots; the call confirms that they still held, and raises `Stale` where they did not:
the caller decides again with the instant it brings.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from enforcement.decisions import Ask, Decision, MeterState, binding_of, meter_states
from enforcement.errors import Invalid, KeyConflict, Unknown
from plans import charges, entitlements, policies, pricing
from plans.codes import Code
from plans.models import RolloutGate, TaskKind
from plans.policies import Refusal, Shape
from plans.terms import Catalogue, Entitlements, TaskTerms
from tenants import authentication, facts, versions
from tenants.authentication import Caller
from tenants.facts import TenantFacts
from tenants.models import EnforcementMode
from tenants.versions import Numbers
from usage import ledger, meters
from usage.ledger import Answer, Basis, Outcome, Reading, Reservation

_NOWHERE = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An ask decided as far as snapshots can: a refusal, a pass-through (mode OFF), or a reservation to make."""

    tenant: UUID
    ati_id: str
    basis: Basis
    user_key: str | None
    task: TaskTerms | None
    asked: str
    stored: Mapping[str, Any]
    refusal: Refusal | None = None
    reservation: Reservation | None = None


def enforce(caller: Caller, ask: Ask, *, key: str, now: datetime) -> Decision:
    """Decide, and hold what is granted. Raises Stale, Invalid, Unknown, KeyConflict.

    A refusal is recorded with its numbers; the same key may ask again. One query where it is granted, two where
    it is refused.
    """
    prepared = _prepare(caller, ask, key=key, now=now)
    if isinstance(prepared, Decision):
        return prepared
    if prepared.reservation is None:
        return _without_meters(prepared, key)
    try:
        answer = ledger.reserve(prepared.tenant, prepared.basis, prepared.reservation)
    except ledger.LostRace as lost:
        return _denied(prepared, prepared.reservation, lost.readings, now)
    return _decided(prepared, prepared.reservation, answer)


def enforce_batch(caller: Caller, asks: Sequence[tuple[str, Ask]], *, now: datetime) -> list[Decision | Exception]:
    """As `enforce` for many asks, in order; one that is invalid, unknown or in conflict fails alone. Raises Stale."""
    results: list[Decision | Exception | None] = [None] * len(asks)
    waiting: defaultdict[UUID, list[tuple[int, Prepared, Reservation]]] = defaultdict(list)
    for place, (key, ask) in enumerate(asks):
        try:
            prepared = _prepare(caller, ask, key=key, now=now)
            if isinstance(prepared, Decision):
                results[place] = prepared
            elif prepared.reservation is None:
                results[place] = _without_meters(prepared, key)
            else:
                waiting[prepared.tenant].append((place, prepared, prepared.reservation))
        except (Invalid, Unknown, KeyConflict) as error:
            results[place] = error
    if not waiting:
        confirm_caller(caller)
    for tenant, items in waiting.items():
        for place, result in _reserve_together(tenant, items, now):
            results[place] = result
    return [result for result in results if result is not None]


def _reserve_together(
    tenant: UUID, items: Sequence[tuple[int, Prepared, Reservation]], now: datetime
) -> list[tuple[int, Decision | Exception]]:
    basis = _common_basis([prepared.basis for _, prepared, _ in items])
    try:
        answers = ledger.reserve_batch(tenant, basis, [reservation for _, _, reservation in items])
    except ledger.LostRace:
        answers = None
    results: list[tuple[int, Decision | Exception]] = []
    for number, (place, prepared, reservation) in enumerate(items):
        try:
            answer = answers[number] if answers else ledger.reserve(tenant, basis, reservation)
            results.append((place, _decided(prepared, reservation, answer)))
        except ledger.LostRace as lost:
            results.append((place, _denied(prepared, reservation, lost.readings, now)))
        except KeyConflict as error:
            results.append((place, error))
    return results


def _common_basis(bases: Sequence[Basis]) -> Basis:
    return replace(bases[0], since=max(basis.since for basis in bases), until=min(basis.until for basis in bases))


def check(caller: Caller, ask: Ask, *, now: datetime) -> Decision:
    """What `enforce` would say now; holds, records and promises nothing. Raises Stale, Invalid, Unknown."""
    prepared = _prepare(caller, ask, key="", now=now)
    if isinstance(prepared, Decision):
        return prepared
    reservation = prepared.reservation
    bound = [each.meter for each in reservation.charges] if reservation else []
    answer = ledger.confirm(prepared.tenant, prepared.basis, key=None, asked=prepared.asked, meters=bound)
    if prepared.refusal is not None:
        return _refused(prepared, prepared.refusal, answer.at, decision_id=None)
    if reservation is None:
        return _passed(prepared, answer.at)
    states = _states(reservation, answer.readings)
    binding = binding_of(states)
    return Decision(
        allowed=binding is None,
        code=binding.code if binding else Code.OK,
        message=binding.message() if binding else "",
        stored=prepared.stored if binding is None else _without_params(prepared.stored),
        states=states,
        now=answer.at,
    )


def basis_of(caller: Caller, entitled: Entitlements) -> Basis:
    """What an answer relies on that was decided by these entitlements for this caller.

    Raises Stale where the snapshot of the tenant's tokens and that of its terms are not of the same number.
    """
    if caller.numbers.tenant not in (None, entitled.tenant.number):
        raise ledger.Stale(versions.refresh(entitled.tenant.facts.id))
    return Basis(
        numbers=Numbers(entitled.catalogue.number, caller.numbers.keys, entitled.tenant.number),
        since=entitled.valid_from,
        until=min(entitled.valid_until, caller.until) if caller.until else entitled.valid_until,
    )


def confirm_caller(caller: Caller) -> Answer:
    """Confirms the credential alone, for an answer that reached no meter. Raises Stale."""
    basis = Basis(numbers=caller.numbers, since=entitlements.EVER[0], until=caller.until or entitlements.EVER[1])
    return ledger.confirm(caller.tenant or _NOWHERE, basis, key=None, asked="")


def tenant_of(caller: Caller, named: str | None) -> TenantFacts | None:
    """The tenant a caller acts for: its own, or the one it names. None where it names none and has none.

    Raises Unknown where the named one does not exist or is not the caller's.
    """
    try:
        return authentication.tenant_of(caller, named)
    except facts.TenantUnknown:
        raise Unknown(f"There is no tenant {named} here.") from None


def user_of(caller: Caller, named: str | None) -> str | None:
    """The user an ask is for: under an ATI token that token's. Raises Invalid where another is named."""
    if caller.user_key is None:
        return named
    if named not in (None, caller.user_key):
        raise Invalid("user", f"This ATI token is of user {caller.user_key}: leave the field out, or send that.")
    return caller.user_key


def task_of(catalogue: Catalogue, task: str | None, feature: str | None) -> TaskTerms:
    """The task an ask names, itself or through a feature that has only one. Raises Invalid, listing what is known."""
    if task is None and feature is None:
        raise Invalid("task", "Say which task or feature the call is for.")
    if feature is not None and feature not in catalogue.features:
        raise Invalid("feature", f"{feature} is not known. Known: {', '.join(catalogue.features)}.")
    if task is not None:
        found = catalogue.tasks.get(task)
        if found is None:
            raise Invalid("task", f"{task} is not known. Known: {', '.join(catalogue.tasks)}.")
        if feature is not None and found.feature != feature:
            raise Invalid("feature", f"{task} belongs to {found.feature}, not to {feature}.")
        return found
    candidates = catalogue.tasks_of(feature or "")
    if not candidates:
        raise Invalid("feature", f"{feature} has no task yet.")
    if len(candidates) != 1:
        raise Invalid("task", f"{feature} has several tasks, name one: {', '.join(candidates)}.")
    return catalogue.tasks[candidates[0]]


def _prepare(caller: Caller, ask: Ask, *, key: str, now: datetime) -> Prepared | Decision:
    """Everything before the ledger call, in the order of the gates."""
    if caller.has_bad_ati_token or (caller.tenant is None and ask.tenant is None):
        return _nobody(caller, now)
    tenant = tenant_of(caller, ask.tenant)
    assert tenant is not None  # noqa: S101 - just checked
    user = user_of(caller, ask.user)
    entitled = entitlements.of(tenant.id, now)
    basis = basis_of(caller, entitled)
    asked = ledger.fingerprint("enforce", tenant.id, {**ask.body, "user": user})
    start = Prepared(
        tenant=tenant.id, ati_id=tenant.ati_id, basis=basis, user_key=user, task=None, asked=asked, stored={}
    )
    try:
        task = task_of(entitled.catalogue, ask.task, ask.feature)
        _require_class(entitled.catalogue, ask.wants.model_class)
        return _through_the_gates(replace(start, task=task), entitled, task, ask, key)
    except (Invalid, policies.EstimateMissing, pricing.PriceOutOfBounds) as error:
        # The refusal of a request rests on the catalogue too: it is confirmed, and a replay answered first.
        answer = ledger.confirm(tenant.id, basis, key=key or None, asked=asked)
        if answer.outcome != Outcome.CONFIRMED:
            return _replayed(answer)
        if isinstance(error, policies.EstimateMissing):
            raise Invalid(error.field, str(error)) from None
        if isinstance(error, pricing.PriceOutOfBounds):
            raise Invalid("estimate", "It costs more than one operation can: ask for less.") from None
        raise


def _require_class(catalogue: Catalogue, model_class: str | None) -> None:
    if model_class is not None and model_class not in catalogue.classes:
        raise Invalid("model_class", f"{model_class} is not known. Known: {', '.join(catalogue.classes)}.")


def _nobody(caller: Caller, now: datetime) -> Decision:
    """Who the call is for cannot be told: nothing is recorded, for there is nobody to record it for."""
    answer = confirm_caller(caller)
    if caller.has_bad_ati_token:
        code, message = Code.INVALID_ATI_TOKEN, "X-ATI-Token is unknown, expired, revoked or an invitation."
    else:
        code, message = Code.TENANT_UNRESOLVED, "Say who the call is for: “tenant” in the body, or X-ATI-Token."
    return Decision(allowed=False, code=code, message=message, stored={"mode": "ENFORCE"}, now=answer.at)


def _through_the_gates(start: Prepared, entitled: Entitlements, task: TaskTerms, ask: Ask, key: str) -> Prepared:
    terms = entitled.tenant.facts
    feature = entitled.catalogue.features[task.feature]
    numbers = start.basis.numbers
    mode = policies.mode_of_ask(entitled, feature)
    stored: dict[str, Any] = {
        "mode": mode,
        "on_failure": feature.on_failure,
        "policy_version": f"{numbers.catalogue}.{numbers.keys or 0}.{numbers.tenant}",
        "plan": entitled.plan.code if entitled.plan else None,
    }
    start = replace(start, stored=stored)
    if not terms.is_active:
        return _no(start, Code.TENANT_SUSPENDED, f"{terms.ati_id} is suspended. Only the operator can lift that.")
    if mode == EnforcementMode.OFF:
        return replace(start, stored=stored | {"params": _params_as_asked(ask)})
    if entitled.plan is None:
        return _no(start, Code.PLAN_EXPIRED, f"{terms.ati_id} has no plan in force now. The operator can renew it.")

    found = _promised(entitled, task)
    binds = mode == EnforcementMode.ENFORCE
    if found and binds:
        return replace(start, refusal=found[0])
    chosen: str | None = None
    if task.kind == TaskKind.LLM:
        access_binds = policies.is_enforced(entitled, mode, RolloutGate.MODEL_ACCESS)
        promise = entitled.plan.tasks.get(task.code)
        chosen, refusal = policies.choose_class(entitled, promise, ask.wants.model_class, enforced=access_binds)
        if refusal and access_binds:
            return replace(start, refusal=refusal)
        found += (refusal,) if refusal else ()
    caps_bind = policies.is_enforced(entitled, mode, RolloutGate.CAPS)
    refusals = policies.too_much(entitled, task, start.user_key, ask.wants)
    if refusals and caps_bind:
        return replace(start, refusal=refusals[0])
    found += refusals
    permit = policies.shape(entitled, task, start.user_key, ask.wants, model_class=chosen, enforced=caps_bind)
    return _charged(replace(start, stored=stored), entitled, task, permit, ask, key, mode, found)


def _no(start: Prepared, code: Code, message: str) -> Prepared:
    return replace(start, refusal=Refusal(code=code, message=message))


def _promised(entitled: Entitlements, task: TaskTerms) -> tuple[Refusal, ...]:
    """Whether the plan has the feature, enabled, and the task."""
    plan = entitled.plan
    promise = plan.features.get(task.feature) if plan else None
    if promise is None or not promise.enabled:
        message = f"{task.feature} is not in the plan {plan.code if plan else ''}."
        return (Refusal(code=Code.FEATURE_UNAVAILABLE, message=message),)
    if plan is not None and task.code not in plan.tasks:
        return (Refusal(code=Code.TASK_UNAVAILABLE, message=f"{task.code} is not in the plan {plan.code}."),)
    return ()


def _charged(
    start: Prepared,
    entitled: Entitlements,
    task: TaskTerms,
    permit: Shape,
    ask: Ask,
    key: str,
    mode: EnforcementMode,
    found: tuple[Refusal, ...],
) -> Prepared:
    charged = charges.of(entitled, task, start.user_key, permit, mode)
    if permit.cost is None:
        limited = charges.money_limits(charged)
        if limited:
            message = f"What {permit.model_class or task.code} costs is not known, and a budget applies."
            refusal = Refusal(code=Code.PRICE_UNKNOWN, message=message)
            if any(charge.enforced for charge in limited):
                return replace(start, refusal=refusal)
            found += (refusal,)
    bound = meters.bind(entitled.tenant.facts, charged, entitled.now)
    since, until = meters.window(bound, start.basis.since, start.basis.until)
    stored = dict(start.stored) | {
        "params": _params(permit, task),
        "shaped": [
            {"param": each.param, "asked": each.asked, "granted": each.granted, "because": each.because}
            for each in permit.shaped
        ],
        "estimated_cost": None if permit.cost is None else pricing.usd(permit.cost),
        "would_deny": [refusal.code for refusal in found],
        "caps": permit.caps,
        "limits": [[each.charge.gate, each.charge.limit, each.charge.enforced, each.charge.rule] for each in bound],
    }
    reservation = Reservation(
        key=key,
        fingerprint=start.asked,
        ttl_seconds=permit.ttl_seconds,
        user_key=start.user_key,
        feature=task.feature,
        task=task.code,
        model_class=permit.model_class,
        plan=entitled.plan.id if entitled.plan else None,
        unit=entitled.catalogue.features[task.feature].unit,
        rates=permit.rates,
        charges=bound,
        held_totals=(permit.input_tokens, 0, 0, permit.output_tokens, 0, permit.api_calls, permit.items),
        held_cost=permit.cost,
        correlation_id=ask.correlation_id,
        ask={name: value for name, value in ask.body.items() if name != "metadata"},
        metadata=ask.metadata,
        decision=stored,
    )
    return replace(start, basis=replace(start.basis, since=since, until=until), stored=stored, reservation=reservation)


def _params(permit: Shape, task: TaskTerms) -> dict[str, Any]:
    is_llm = task.kind == TaskKind.LLM
    return {
        "model_class": permit.model_class,
        "allowed_model_classes": permit.allowed,
        "max_tokens_in": permit.input_tokens if is_llm or permit.input_tokens else None,
        "max_tokens_out": permit.output_tokens if is_llm or permit.output_tokens else None,
        "max_steps": permit.max_steps,
        "top_k": permit.top_k,
        "max_files": permit.max_files,
    }


def _params_as_asked(ask: Ask) -> dict[str, Any]:
    wants = ask.wants
    return {
        "model_class": wants.model_class,
        "allowed_model_classes": [],
        "max_tokens_in": wants.input_tokens,
        "max_tokens_out": wants.max_output_tokens,
        "max_steps": wants.max_steps,
        "top_k": wants.top_k,
        "max_files": wants.files,
    }


def _without_params(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if name not in ("params", "shaped", "estimated_cost")}


def _without_meters(prepared: Prepared, key: str) -> Decision:
    """A refusal or pass-through found before any meter: confirmed, a replay answered first."""
    answer = ledger.confirm(prepared.tenant, prepared.basis, key=key, asked=prepared.asked)
    if answer.outcome != Outcome.CONFIRMED:
        return _replayed(answer)
    if prepared.refusal is None:
        return _passed(prepared, answer.at)
    refusal = prepared.refusal
    denial = _record(prepared, refusal.code, refusal.message, None, None, answer.at)
    return _refused(prepared, refusal, answer.at, decision_id=denial)


def _passed(prepared: Prepared, now: datetime) -> Decision:
    return Decision(allowed=True, code=Code.OK, message="", stored=prepared.stored, now=now)


def _refused(prepared: Prepared, refusal: Refusal, now: datetime, *, decision_id: UUID | None) -> Decision:
    return Decision(
        allowed=False, code=refusal.code, message=refusal.message, stored=prepared.stored,
        decision_id=decision_id, now=now,
    )  # fmt: skip


def _decided(prepared: Prepared, reservation: Reservation, answer: Answer) -> Decision:
    if answer.outcome in (Outcome.REPLAY, Outcome.CONFLICT):
        return _replayed(answer)
    if answer.outcome != Outcome.GRANTED:
        return _denied(prepared, reservation, answer.readings, answer.at)
    return Decision(
        allowed=True,
        code=Code.OK,
        message="",
        stored=prepared.stored,
        states=_states(reservation, answer.readings),
        reservation_id=answer.id,
        decision_id=answer.id,
        expires_at=answer.expires_at,
        now=answer.at,
    )


def _replayed(answer: Answer) -> Decision:
    """The first answer to this key, with the reservation's present status and remaining time."""
    if answer.outcome == Outcome.CONFLICT:
        raise KeyConflict("This key was used with another body. Send a new key for a new request.")
    body = answer.body or {}
    stored = body["decision"]
    return Decision(
        allowed=True,
        code=Code.OK,
        message="",
        stored=stored,
        states=meter_states(body["charges"], stored["limits"], body["amounts"], answer.readings),
        reservation_id=answer.id,
        decision_id=answer.id,
        expires_at=answer.expires_at,
        now=answer.at,
        status=answer.status,
        is_replayed=True,
    )


def _denied(prepared: Prepared, reservation: Reservation, readings: Sequence[Reading], now: datetime) -> Decision:
    """A refusal by a meter, recorded with its numbers."""
    states = _states(reservation, readings)
    binding = binding_of(states)
    if binding is None:  # the meters had room again by the time they were read for the answer
        raise ledger.Stale(now)
    place = states.index(binding)
    message = binding.message()
    denial = _record(prepared, binding.code, message, reservation.charges[place].meter, binding.binding(), now)
    return Decision(
        allowed=False,
        code=binding.code,
        message=message,
        stored=_without_params(prepared.stored),
        states=states,
        decision_id=denial,
        now=now,
    )


def _record(
    prepared: Prepared,
    code: Code,
    message: str,
    meter: UUID | None,
    binding: Mapping[str, Any] | None,
    now: datetime,
) -> UUID:
    task = prepared.task
    return ledger.deny(
        prepared.tenant, code=code, message=message, user_key=prepared.user_key,
        feature=task.feature if task else None, task=task.code if task else None, meter=meter, binding=binding,
        decision=prepared.stored, now=now,
    )  # fmt: skip


def _states(reservation: Reservation, readings: Sequence[Reading]) -> tuple[MeterState, ...]:
    charged = [each.charge for each in reservation.charges]
    return meter_states(
        [each.scope() for each in reservation.charges],
        [[charge.gate, charge.limit, charge.enforced, charge.rule] for charge in charged],
        [charge.amount for charge in charged],
        readings,
    )
