"""The telling: every gate in its order, with what it looked at and what it made of that."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from enforcement.answers import Binding
from enforcement.decisions import GATE_CODES
from enforcement.explanation.answer import Explanation, Gate, Held, SourceRule, Step, Verdict, Versions
from enforcement.explanation.metered import metered
from enforcement.explanation.rules import Precedence, Source
from enforcement.explanation.tale import Tale
from plans.codes import Code
from plans.models import RolloutGate, RuleKey
from tenants.models import EnforcementMode

# The gates before the meters, in their order, and the codes with which each refuses.
FIRST: dict[str, tuple[Code, ...]] = {
    "IDENTITY": (Code.TENANT_UNRESOLVED, Code.INVALID_ATI_TOKEN),
    "TENANT": (Code.TENANT_SUSPENDED,),
    "MODE": (),
    "PLAN": (Code.PLAN_EXPIRED,),
    "FEATURE": (Code.FEATURE_UNAVAILABLE,),
    "TASK": (Code.TASK_UNAVAILABLE,),
    RolloutGate.MODEL_ACCESS: (Code.MODEL_CLASS_UNAVAILABLE,),
    RolloutGate.CAPS: (Code.INPUT_TOO_LARGE, Code.POLICY_VIOLATION),
    "PRICE": (Code.PRICE_UNKNOWN,),
}
GATE_OF = {code: gate for gate, codes in FIRST.items() for code in codes} | {
    code: str(gate) for gate, code in GATE_CODES.items()
}
_REFUSING_CAPS = {Code.INPUT_TOO_LARGE: RuleKey.MAX_TOKENS_IN, Code.POLICY_VIOLATION: RuleKey.FILES_PER_REQUEST}
_CLASSES = ("model_class", "allowed_model_classes")
_CAPPED = ("max_tokens_in", "max_tokens_out", "max_steps", "top_k", "max_files")
_PARAMS = {
    "max_tokens_out": "output tokens", "max_steps": "steps", "top_k": "passages", "model_class": "model class",
}  # fmt: skip
_MODE_PARTS = {"tenant": "the tenant", "feature": "the feature", "rollout": "the roll-out of all gates"}


def explain(tale: Tale) -> Explanation:
    """The explanation of a decision."""
    version = tale.stored.get("policy_version")
    shaped = steps(tale)
    gates = list(_gates(tale, shaped))
    return Explanation(
        id=tale.id,
        decided_at=tale.at.replace(microsecond=0),
        allowed=tale.code == Code.OK,
        code=tale.code,
        message=tale.message,
        times=tale.times,
        tenant=tale.tenant,
        user=tale.user,
        feature=tale.feature,
        task=tale.task,
        mode=EnforcementMode(tale.stored["mode"]),
        versions=None if version is None else Versions(**_numbers(version)),
        gates=gates,
        binding=cast("Binding | None", tale.binding),
        would_deny=_would_deny(tale, gates),
        shaped=shaped,
        hold=_hold(tale.stored),
    )


def _numbers(version: str) -> dict[str, int]:
    return dict(zip(("catalogue", "keys", "tenant"), map(int, version.split(".")), strict=True))


def _would_deny(tale: Tale, gates: list[Gate]) -> list[Code]:
    stored = [Code(code) for code in tale.stored.get("would_deny", [])]
    metered_codes = [
        GATE_CODES[RolloutGate(gate.gate)] for gate in gates if gate.gate not in FIRST and gate.verdict == "OBSERVED"
    ]
    return list(dict.fromkeys(stored + metered_codes))


def _gates(tale: Tale, shaped: list[Step]) -> Iterator[Gate]:
    """All of them; those after the one that gave the answer were not asked."""
    answered = False
    for gate in (*_first(tale, shaped), *metered(tale, precedence(tale), shaped)):
        if answered and (gate.gate in FIRST or tale.binding_state is None):
            yield _not_asked(gate)
            continue
        yield gate
        is_off = gate.gate == "MODE" and tale.stored["mode"] == EnforcementMode.OFF
        answered = answered or is_off or gate.verdict == Verdict.REFUSED


def _not_asked(gate: Gate) -> Gate:
    return replace(gate, verdict=Verdict.NOT_ASKED, inputs={}, rule=None, rules=[], why="The answer was given before.")


def precedence(tale: Tale) -> Precedence:
    """Who could have a say in this call's numbers."""
    return Precedence(plan=tale.stored.get("plan"), user=tale.user, feature=tale.feature, task=tale.task)


def _first(tale: Tale, shaped: list[Step]) -> Iterator[Gate]:
    watched = {GATE_OF[Code(each)]: each for each in tale.stored.get("would_deny", [])}
    caps = _caps(tale)
    for gate, codes in FIRST.items():
        inputs, why = _seen(gate, tale)
        verdict = Verdict.PASSED
        if tale.code in codes:
            verdict, why = Verdict.REFUSED, tale.message
        elif gate in watched:
            verdict, why = Verdict.OBSERVED, f"It would have refused with {watched[gate]}; it is only observed."
        rules: list[SourceRule] = []
        if gate == RolloutGate.CAPS:
            rules = caps
            reduced = [step["why"] for step in shaped if step["because"] in RuleKey.values]
            if reduced and verdict == Verdict.PASSED:
                verdict, why = Verdict.SHAPED, " ".join(reduced)
        yield Gate(gate=str(gate), verdict=verdict, inputs=inputs, rule=_rule_of(tale, gate), rules=rules, why=why)


def _caps(tale: Tale) -> list[SourceRule]:
    """The rule that supplied each cap."""
    who = precedence(tale)
    told = [who.of_cap(name, value) for name, value in tale.stored.get("caps", [])]
    return sorted(told, key=lambda rule: RuleKey.values.index(rule.key))


def _rule_of(tale: Tale, gate: str) -> str | None:
    """The name of the cap that refused."""
    key = _REFUSING_CAPS.get(tale.code) if gate == RolloutGate.CAPS else None
    return next((name for name, _ in tale.stored.get("caps", []) if Source.of(name).key == key), None)


def _seen(gate: str, tale: Tale) -> tuple[dict[str, Any], str]:
    """What a gate before the meters looked at, and what it says where it lets through."""
    stored = tale.stored
    params: Mapping[str, Any] = stored.get("params") or {}
    match gate:
        case "IDENTITY":
            return {"tenant": tale.tenant, "user": tale.user}, "The credential is good for this tenant."
        case "TENANT":
            return {"tenant": tale.tenant}, "The tenant is active."
        case "MODE":
            return {"mode": stored["mode"], "made_of": stored.get("modes")}, _why_mode(stored)
        case "PLAN":
            return {"plan": stored.get("plan")}, "It is in force."
        case "FEATURE":
            return {"feature": tale.feature}, "It is in the plan and enabled."
        case "TASK":
            return {"task": tale.task}, "It is in the plan."
        case RolloutGate.MODEL_ACCESS:
            asked = {"asked": tale.ask.get("model_class")}
            if params and params.get("model_class") is None:
                return asked, "An API task has no model class."
            return asked | {name: params.get(name) for name in _CLASSES}, "The plan allows the class for the task."
        case RolloutGate.CAPS:
            granted = {name: params.get(name) for name in _CAPPED} if params else None
            return {"asked": _asked(tale.ask), "granted": granted}, "Within the caps."
        case _:
            return _priced(tale)


def _why_mode(stored: Mapping[str, Any]) -> str:
    mode = stored["mode"]
    if mode == EnforcementMode.ENFORCE:
        return "Tenant, feature and roll-out all enforce: what is beyond a limit is refused."
    said = [words for part, words in _MODE_PARTS.items() if stored.get("modes", {}).get(part) == mode]
    because = f", as {' and '.join(said)} {'says' if len(said) == 1 else 'say'}" if said else ""
    if mode == EnforcementMode.OFF:
        return f"Everything is off{because}: nothing is checked, held or recorded."
    return f"Limits are only observed{because}: what would have refused lets through and says so."


def _asked(ask: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that were asked for; what was not said is left out."""
    parts: list[Mapping[str, Any]] = [ask.get("estimate") or {}, ask.get("requested") or {}]
    return {name: value for part in parts for name, value in part.items() if value is not None}


def _priced(tale: Tale) -> tuple[dict[str, Any], str]:
    stored = tale.stored
    cost = stored.get("estimated_cost")
    if cost is None and "estimated_cost" not in stored:  # a refusal that was only checked keeps no permit
        amounts = [each.state for each in tale.charged if each.state is not None and each.state.measure == "COST"]
        cost = next((state.shown(state.amount) for state in amounts if state.amount), None)
    if cost is None:
        return {"estimated_cost": None}, "What it costs is not known, and no budget that is enforced asks for it."
    return {"estimated_cost": cost}, f"It can cost USD {cost} at most."


def steps(tale: Tale) -> list[Step]:
    """The steps by which the permit was reduced."""
    if tale.code != Code.OK:
        return []
    values = {Source.of(name).key: (name, value) for name, value in tale.stored.get("caps", [])}
    return [cast("Step", {**each, "why": _why_step(each, values)}) for each in tale.stored.get("shaped", [])]


def _why_step(step: Mapping[str, Any], values: Mapping[str | None, tuple[str, Any]]) -> str:
    what = _PARAMS.get(step["param"], step["param"])
    asked, granted = (f"{n:,}" if isinstance(n, int) else n for n in (step["asked"], step["granted"]))
    reduced = f"Of {asked} {what} asked {granted} are granted"
    if step["param"] == "model_class":
        reduced = f"{granted} is given in place of {asked}"
    because = step["because"]
    if because == RuleKey.DEGRADE_AT_PERCENT:
        _, level = values.get(because, ("", None))
        return f"{reduced}: with it a quota or budget would be used by more than {level} %."
    if because in RuleKey.values:
        return f"{reduced}: that is the cap {because}."
    return f"{reduced}: of “{RolloutGate(because).label}” too little was left for more."


def _hold(stored: Mapping[str, Any]) -> Held | None:
    hold = stored.get("hold")
    if hold is None:
        return None
    cost = f", USD {hold['overshoot_cost']}" if hold["overshoot_cost"] not in (None, "0", "0.00") else ""
    why = (
        f"{hold['percentile']} of 100 calls use no more than is held: {hold['input_tokens']:,} tokens in and "
        f"{hold['output_tokens']:,} out, by {hold['samples']:,} calls of the task. This one may pass its hold by "
        f"{hold['overshoot_tokens']:,} tokens{cost} at most."
    )
    return cast("Held", {**hold, "why": why})
