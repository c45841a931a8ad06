"""What is kept of a decision, with its reservation or its refusal, and sent in the answer."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from enforcement.decisions import Ask, MeterState, meter_states
from enforcement.gates import Passage, Terms
from plans import modes, money
from plans.models import TaskKind
from plans.permits import Shape
from tenants.models import EnforcementMode
from tenants.versions import Numbers
from usage.entries import Reading, Reservation
from usage.meters import BoundCharge


def begun(at: Terms, numbers: Numbers) -> dict[str, Any]:
    """What every decision keeps, also a refusal before any meter."""
    return {
        "mode": at.mode,
        **({} if at.mode == EnforcementMode.ENFORCE else {"modes": modes.parts(at.entitled, at.feature)}),
        "on_failure": at.feature.on_failure,
        "policy_version": f"{numbers.catalogue}.{numbers.keys or 0}.{numbers.tenant}",
        "plan": at.entitled.plan.code if at.entitled.plan else None,
        "caps": [[str(rule), rule.value] for rule in at.caps.values()],
    }


def permitted(at: Terms, passage: Passage, permit: Shape, bound: Sequence[BoundCharge]) -> dict[str, Any]:
    """What a decision adds that came to its meters."""
    return {
        "params": _params(at, permit),
        "shaped": [
            {"param": each.param, "asked": each.asked, "granted": each.granted, "because": each.because}
            for each in permit.shaped
        ],
        "estimated_cost": None if permit.cost is None else money.usd(permit.cost),
        "hold": _hold(permit),
        **({"would_deny": [refusal.code for refusal in passage.found]} if passage.found else {}),
        "limits": limits_of(bound),
        **_overage(bound),
    }


def _overage(bound: Sequence[BoundCharge]) -> dict[str, Any]:
    """The places of the limits that the plan lets usage pass: not to be mistaken for what is only observed."""
    places = [place for place, each in enumerate(bound) if each.charge.is_overage and each.charge.limit is not None]
    return {"overage": places} if places else {}


def refused(
    stored: Mapping[str, Any], ask: Ask, bound: Sequence[BoundCharge], readings: Sequence[Reading]
) -> dict[str, Any]:
    """What is kept of a refusal by a meter: the permit that did not fit, and every meter as it read then."""
    return dict(stored) | {
        "ask": asked(ask),
        "charges": [each.scope() for each in bound],
        "amounts": [each.charge.amount for each in bound],
        "readings": [number for each in readings for number in (each.used, each.reserved, each.overrun)],
    }  # fmt: skip


def asked(ask: Ask) -> dict[str, Any]:
    """What was asked, without the caller's own metadata."""
    return {name: value for name, value in ask.body.items() if name != "metadata"}


def without_permit(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What a refusal answers: nothing of the permit that it is not."""
    return {name: stored[name] for name in stored if name not in ("params", "shaped", "estimated_cost", "hold")}


def limits_of(bound: Sequence[BoundCharge]) -> list[list[Any]]:
    """The limits of charges, as decisions keep them."""
    return [[each.charge.gate, each.charge.limit, each.charge.enforced, each.charge.rule] for each in bound]


def states_of(bound: Sequence[BoundCharge], readings: Sequence[Reading]) -> tuple[MeterState, ...]:
    """The charges with what their meters read."""
    return meter_states(
        [each.scope() for each in bound], limits_of(bound), [each.charge.amount for each in bound], readings
    )


def reservation(
    at: Terms,
    permit: Shape,
    bound: Sequence[BoundCharge],
    *,
    key: str,
    fingerprint: str,
    ask: Ask,
    stored: Mapping[str, Any],
) -> Reservation:
    """What the ledger holds of a permit."""
    plan: UUID | None = at.entitled.plan.id if at.entitled.plan else None
    return Reservation(
        key=key,
        fingerprint=fingerprint,
        ttl_seconds=permit.ttl_seconds,
        user_key=at.user,
        feature=at.task.feature,
        task=at.task.code,
        model_class=permit.model_class,
        plan=plan,
        unit=at.feature.unit,
        rates=permit.rates,
        charges=tuple(bound),
        held_totals=(
            permit.hold.input_tokens, 0, 0, permit.hold.output_tokens, 0, permit.api_calls, permit.items,
        ),
        held_cost=permit.hold.cost,
        correlation_id=ask.correlation_id,
        ask=asked(ask),
        metadata=ask.metadata,
        decision=stored,
    )  # fmt: skip


def params_as_asked(ask: Ask) -> dict[str, Any]:
    """The parameters of a call that nothing was decided about (mode OFF)."""
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


def _params(at: Terms, permit: Shape) -> dict[str, Any]:
    is_llm = at.task.kind == TaskKind.LLM
    return {
        "model_class": permit.model_class,
        "allowed_model_classes": permit.allowed,
        "max_tokens_in": permit.input_tokens if is_llm or permit.input_tokens else None,
        "max_tokens_out": permit.output_tokens if is_llm or permit.output_tokens else None,
        "max_steps": permit.max_steps,
        "top_k": permit.top_k,
        "max_files": permit.max_files,
    }


def _hold(permit: Shape) -> dict[str, Any] | None:
    """What is held where that is less than the permit, and by how much the call may pass it; else None."""
    hold, typical = permit.hold, permit.typical
    permitted_tokens = permit.input_tokens + permit.output_tokens
    held_tokens = hold.input_tokens + hold.output_tokens
    if typical is None or held_tokens == permitted_tokens:
        return None
    return {
        "percentile": typical.percentile,
        "samples": typical.samples,
        "input_tokens": hold.input_tokens,
        "output_tokens": hold.output_tokens,
        "cost": None if hold.cost is None else money.usd(hold.cost),
        "overshoot_tokens": permitted_tokens - held_tokens,
        "overshoot_cost": None if permit.cost is None or hold.cost is None else money.usd(permit.cost - hold.cost),
    }
