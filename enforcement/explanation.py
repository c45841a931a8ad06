"""A decision told gate by gate, from what was recorded when it was made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from enforcement.answers import Binding, Shaped
from enforcement.decisions import GATE_CODES, MeterState, meter_states
from plans import pricing
from plans.charges import PeriodKind
from plans.codes import Code
from plans.models import RolloutGate
from usage.ledger import readings_of
from usage.queries import Decided

# The gates before the meters, in their order, and the codes with which each refuses.
_FIRST: dict[str, tuple[Code, ...]] = {
    "TENANT": (Code.TENANT_SUSPENDED,),
    "MODE": (),
    "PLAN": (Code.PLAN_EXPIRED,),
    "FEATURE": (Code.FEATURE_UNAVAILABLE,),
    "TASK": (Code.TASK_UNAVAILABLE,),
    RolloutGate.MODEL_ACCESS: (Code.MODEL_CLASS_UNAVAILABLE,),
    RolloutGate.CAPS: (Code.INPUT_TOO_LARGE, Code.POLICY_VIOLATION),
    "PRICE": (Code.PRICE_UNKNOWN,),
}
_GATE_OF = {code: gate for gate, codes in _FIRST.items() for code in codes} | {
    code: gate for gate, code in GATE_CODES.items()
}
_CLASSES = ("model_class", "allowed_model_classes")
_CAPPED = ("max_tokens_in", "max_tokens_out", "max_steps", "top_k", "max_files")


class Verdict(StrEnum):
    """What a gate did; OBSERVED: it would have refused, had it been enforced."""

    PASSED = "PASSED"
    SHAPED = "SHAPED"
    OBSERVED = "OBSERVED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate: what it looked at, which rule set its limit, and what it made of that."""

    gate: str
    verdict: Verdict
    inputs: Mapping[str, Any]
    rule: str | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The numbers of the configuration a decision was made with; keys 0: none was involved."""

    catalogue: int
    keys: int
    tenant: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a call was permitted or refused. After a refusal no further gate was asked."""

    id: UUID
    allowed: bool
    code: Code
    message: str
    user: str | None
    feature: str | None
    task: str | None
    versions: Versions
    gates: list[Gate]
    binding: Binding | None
    shaped: list[Shaped]


def explain(decision_id: UUID, kept: Decided) -> Explanation:
    """The explanation of what was kept of a decision."""
    catalogue, keys, tenant = (int(number) for number in kept.stored["policy_version"].split("."))
    code = Code(kept.code)
    return Explanation(
        id=decision_id,
        allowed=code == Code.OK,
        code=code,
        message=kept.message,
        user=kept.user,
        feature=kept.feature,
        task=kept.task,
        versions=Versions(catalogue=catalogue, keys=keys, tenant=tenant),
        gates=[*_first(kept, code), *(_metered(kept) if code == Code.OK else _refusing(kept, code))],
        binding=cast("Binding | None", kept.binding),
        shaped=list(kept.stored.get("shaped", [])) if code == Code.OK else [],
    )


def _first(kept: Decided, code: Code) -> Iterator[Gate]:
    """The gates before the meters, as far as the decision came."""
    watched = {_GATE_OF[Code(each)]: each for each in kept.stored.get("would_deny", [])}
    for gate, codes in _FIRST.items():
        inputs, rule, why = _seen(gate, kept)
        verdict = Verdict.PASSED
        if code in codes:
            verdict, why = Verdict.REFUSED, kept.message
        elif gate in watched:
            verdict, why = Verdict.OBSERVED, f"It would have refused with {watched[gate]}."
        elif gate == RolloutGate.CAPS and kept.stored.get("shaped"):
            verdict, why = Verdict.SHAPED, "What was asked was reduced to the caps."
        yield Gate(gate=str(gate), verdict=verdict, inputs=inputs, rule=rule, why=why)
        if verdict == Verdict.REFUSED:
            return


def _seen(gate: str, kept: Decided) -> tuple[dict[str, Any], str | None, str]:
    """What a gate looked at, its rule, and what it says where it lets through."""
    stored = kept.stored
    params: Mapping[str, Any] = stored.get("params") or {}
    match gate:
        case "TENANT":
            return {}, None, "The tenant is active."
        case "MODE":
            return {"mode": stored.get("mode")}, None, "The mildest mode of tenant, feature and roll-out."
        case "PLAN":
            return {"plan": stored.get("plan")}, None, "It is in force."
        case "FEATURE":
            return {"feature": kept.feature}, None, "It is in the plan and enabled."
        case "TASK":
            return {"task": kept.task}, None, "It is in the plan."
        case RolloutGate.MODEL_ACCESS:
            return {name: params.get(name) for name in _CLASSES}, None, "What the plan allows for the task."
        case RolloutGate.CAPS:
            rules = "; ".join(rule for rule, _ in stored.get("caps", []))
            return {name: params.get(name) for name in _CAPPED}, rules or None, "Within the caps."
        case _:
            cost = stored.get("estimated_cost")
            why = "The most it can cost." if cost else "What it costs is not known, and no budget applies."
            return {"estimated_cost": cost}, None, why


def _metered(kept: Decided) -> Iterator[Gate]:
    """The meters that a permit touched, in the order of the gates."""
    order = list(GATE_CODES)
    if kept.charges is not None:
        states = meter_states(kept.charges, kept.stored["limits"], kept.amounts, readings_of(kept.readings))
        touched = [state for state in states if state.amount]
        touched.sort(key=lambda each: (order.index(each.gate), each.task or "", list(PeriodKind).index(each.period)))
        yield from (_meter(state) for state in touched)
        return
    # The log keeps no minutes, which are the rates' alone, and no readings.
    limits = [each for each in kept.stored.get("limits", []) if each[0] != RolloutGate.RATES]
    held = list(zip(limits, kept.amounts, strict=False))
    for (gate, limit, _, rule), amount in sorted(held, key=lambda each: order.index(RolloutGate(each[0][0]))):
        if amount:
            inputs = {"requested": _shown(gate, amount), "limit": _shown(gate, limit)}
            yield Gate(gate=gate, verdict=Verdict.PASSED, inputs=inputs, rule=rule, why="What was held.")


def _meter(state: MeterState) -> Gate:
    inputs = state.binding()
    why = "No limit."
    if state.limit is not None:
        asked, left, limit = (_words(inputs[name]) for name in ("requested", "remaining", "limit"))
        why = f"{asked} asked, {left} left of {limit}."
    verdict = Verdict.OBSERVED if state.binds else Verdict.PASSED
    return Gate(gate=state.gate, verdict=verdict, inputs=inputs, rule=state.rule, why=why)


def _words(amount: int | str) -> str:
    return f"{amount:,}" if isinstance(amount, int) else f"USD {amount}"


def _refusing(kept: Decided, code: Code) -> Iterator[Gate]:
    """The meter that refused; of the others only what it took is known."""
    if kept.binding is None:
        return
    gate = _GATE_OF[code]
    rules = [each for each in kept.stored.get("limits", []) if each[0] == gate]
    rule = next((each[3] for each in rules if _shown(gate, each[1]) == kept.binding["limit"]), None)
    yield Gate(gate=gate, verdict=Verdict.REFUSED, inputs=kept.binding, rule=rule, why=kept.message)


def _shown(gate: str, amount: int | None) -> int | str | None:
    return pricing.usd(amount) if gate == RolloutGate.BUDGET and amount is not None else amount
