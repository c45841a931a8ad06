"""The rules of a plan applied to one ask: modes, caps, model class, price. Pure: no query, no clock.

`Entitlements` says what the tenant may do now; everything here is a function of it and of what was asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from plans import pricing
from plans.codes import Code
from plans.models import RolloutGate, RuleKey, RuleScope, TaskKind, Unit
from plans.terms import Entitlements, FeatureTerms, Rollout, Rule, TaskPromise, TaskTerms
from tenants.models import EnforcementMode

# The more specific scope wins.
SCOPE_RANKS = {RuleScope.GLOBAL: 0, RuleScope.PLAN: 1, RuleScope.TENANT: 2, RuleScope.USER: 3}
_MILDNESS = {EnforcementMode.ENFORCE: 0, EnforcementMode.OBSERVE: 1, EnforcementMode.OFF: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What an ask asks for; None = not said. Counts are not negative and at most 10^9."""

    input_tokens: int | None = None
    max_output_tokens: int | None = None
    api_calls: int | None = None
    items: int | None = None
    max_steps: int | None = None
    top_k: int | None = None
    files: int | None = None
    model_class: str | None = None
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """One parameter that was reduced, and the rule's key that says so."""

    param: str
    asked: int
    granted: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an ask cannot be permitted, found without looking at a meter."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The permit and its hold, which are the same: what may be spent is what is held.

    `cost` is nano-USD, None = unknown. `rates` are nano-USD per million input, cached, cache-written and
    output tokens, and per unit. `caps` are the rules that supplied each cap, for the explanation.
    """

    model_class: str | None
    allowed: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    api_calls: int
    items: int
    units: int
    cost: int | None
    rates: tuple[int | None, ...] | None
    max_steps: int | None
    top_k: int | None
    max_files: int | None
    ttl_seconds: int
    shaped: tuple[Shaping, ...]
    caps: tuple[str, ...]


class EstimateMissing(Exception):
    """Nothing bounds a call's tokens: neither the ask nor a cap. `field` names what to send."""

    def __init__(self, field: str) -> None:
        super().__init__(f"No cap bounds this: say how much the call may take, in {field}.")
        self.field = field


def mode_of_ask(entitled: Entitlements, feature: FeatureTerms) -> EnforcementMode:
    """The mildest of tenant, feature and the roll-out of all gates; OFF for everybody beats everything."""
    everybody = _latest(entitled.catalogue.rollouts, RolloutGate.ALL, entitled)
    if everybody is not None and everybody.mode == EnforcementMode.OFF:
        return EnforcementMode.OFF
    return _mildest(entitled.tenant.facts.mode, feature.mode, _rollout(entitled, RolloutGate.ALL))


def is_enforced(entitled: Entitlements, mode: EnforcementMode, gate: RolloutGate) -> bool:
    """Whether a gate binds an ask of this mode: where neither the ask nor the gate is only observed."""
    return _mildest(mode, _rollout(entitled, gate)) == EnforcementMode.ENFORCE


def _mildest(*modes: EnforcementMode) -> EnforcementMode:
    return max(modes, key=_MILDNESS.__getitem__)


def _rollout(entitled: Entitlements, gate: RolloutGate) -> EnforcementMode:
    rule = _latest(entitled.tenant.rollouts, gate, entitled) or _latest(entitled.catalogue.rollouts, gate, entitled)
    return rule.mode if rule else EnforcementMode.ENFORCE


def _latest(rollouts: Iterable[Rollout], gate: RolloutGate, entitled: Entitlements) -> Rollout | None:
    begun = (rule for rule in rollouts if rule.gate == gate and rule.starts_at <= entitled.now)
    return max(begun, key=lambda rule: rule.starts_at, default=None)


def cap(entitled: Entitlements, key: RuleKey, task: TaskTerms, user: str | None) -> Rule:
    """The most specific rule for a cap: user, tenant, plan, everybody; in each, the task's before the general."""
    return max(
        (
            rule
            for rule in entitled.rules(key)
            if rule.user in (None, user) and rule.task in (None, task.code) and rule.feature in (None, task.feature)
        ),
        key=lambda rule: (SCOPE_RANKS[rule.scope], rule.task is not None, rule.feature is not None),
    )


def choose_class(
    entitled: Entitlements, promise: TaskPromise | None, asked: str | None, *, enforced: bool
) -> tuple[str | None, Refusal | None]:
    """The model class of an LLM call: asked for, else the default, else the fallback if allowed.

    The refusal says why it may not be used; where the gate is only observed the class comes along with it.
    """
    allowed = promise.allowed if promise else ()
    fallback = next((each.code for each in entitled.catalogue.classes.values() if each.is_fallback), None)
    chosen = asked or (promise.default if promise else None) or fallback
    refusal = None
    if chosen is None or chosen not in allowed:
        names = ", ".join(allowed) or "none"
        refusal = Refusal(
            code=Code.MODEL_CLASS_UNAVAILABLE,
            message=f"{chosen or 'No model class'} is not in this plan for the task. Allowed: {names}.",
        )
    elif not entitled.catalogue.classes[chosen].active_models:
        refusal = Refusal(
            code=Code.MODEL_CLASS_UNAVAILABLE,
            message=f"{chosen} has no active model at present. Ask for another.",
        )
    return (None if refusal and enforced else chosen), refusal


@dataclass(slots=True)
class _Capping:
    """Reduces parameters by their caps, and remembers what was reduced and which rules were asked."""

    entitled: Entitlements
    task: TaskTerms
    user: str | None
    enforced: bool
    shaped: list[Shaping]
    rules: list[str]

    def limit(self, key: RuleKey) -> int | None:
        rule = cap(self.entitled, key, self.task, self.user)
        self.rules.append(str(rule))
        return rule.value

    def reduce(self, param: str, key: RuleKey, asked: int | None) -> int | None:
        limit = self.limit(key)
        if asked is None or limit is None:
            return limit if asked is None else asked
        if asked > limit and self.enforced:
            self.shaped.append(Shaping(param=param, asked=asked, granted=limit, because=key.value))
            return limit
        return asked


def too_much(entitled: Entitlements, task: TaskTerms, user: str | None, wants: Wants) -> tuple[Refusal, ...]:
    """What the caps refuse, for it cannot be reduced: too much input, too many files."""
    refusals = []
    most = cap(entitled, RuleKey.MAX_TOKENS_IN, task, user).value
    if wants.input_tokens is not None and most is not None and wants.input_tokens > most:
        text = f"{wants.input_tokens:,} input tokens asked, {most:,} allowed a call. Send a shorter input."
        refusals.append(Refusal(code=Code.INPUT_TOO_LARGE, message=text))
    most = cap(entitled, RuleKey.FILES_PER_REQUEST, task, user).value
    if wants.files is not None and most is not None and wants.files > most:
        text = f"{wants.files:,} files asked, {most:,} allowed a call. Send fewer files."
        refusals.append(Refusal(code=Code.POLICY_VIOLATION, message=text))
    return tuple(refusals)


def shape(
    entitled: Entitlements,
    task: TaskTerms,
    user: str | None,
    wants: Wants,
    *,
    model_class: str | None,
    enforced: bool,
) -> Shape:
    """The permit that the caps allow. Where they are only observed nothing is reduced.

    Raises EstimateMissing where nothing bounds the tokens, pricing.PriceOutOfBounds where it costs too much to count.
    """
    unit = entitled.catalogue.features[task.feature].unit
    capping = _Capping(entitled, task, user, enforced, [], [])
    tokens_in, tokens_out = _held_tokens(capping, wants)
    api_calls = 1 if wants.api_calls is None else wants.api_calls
    items = 1 if wants.items is None else wants.items
    units = units_of(unit, tokens=tokens_in + tokens_out, api_calls=api_calls, items=items)
    known = rates(entitled, task, model_class, tokens_in)
    cost = _cost(entitled, task, model_class, tokens_in, tokens_out, units) if known else None
    promise = entitled.plan.tasks.get(task.code) if entitled.plan else None
    max_files = capping.limit(RuleKey.FILES_PER_REQUEST)
    return Shape(
        model_class=model_class,
        allowed=promise.allowed if promise else (),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        api_calls=api_calls,
        items=items,
        units=units,
        cost=cost,
        rates=known,
        max_steps=capping.reduce("max_steps", RuleKey.AGENT_MAX_STEPS, wants.max_steps),
        top_k=capping.reduce("top_k", RuleKey.RETRIEVAL_TOP_K, wants.top_k),
        max_files=max_files if wants.files is None else wants.files,
        ttl_seconds=wants.ttl_seconds or capping.limit(RuleKey.RESERVATION_TTL_SECONDS) or 1,
        shaped=tuple(capping.shaped),
        caps=tuple(capping.rules),
    )


def _held_tokens(capping: _Capping, wants: Wants) -> tuple[int, int]:
    """Tokens in and out that are held: an LLM task's estimate, else its cap; of an API task what was asked for."""
    most_in = capping.limit(RuleKey.MAX_TOKENS_IN)
    if capping.task.kind == TaskKind.API and wants.max_output_tokens is None:
        return wants.input_tokens or 0, 0
    most_out = capping.reduce("max_tokens_out", RuleKey.MAX_TOKENS_OUT, wants.max_output_tokens)
    if capping.task.kind == TaskKind.API:
        return wants.input_tokens or 0, most_out or 0
    tokens_in = _bounded("estimate.input_tokens", wants.input_tokens, most_in)
    return tokens_in, _bounded("estimate.max_output_tokens", most_out)


def _bounded(field: str, *bounds: int | None) -> int:
    for bound in bounds:
        if bound is not None:
            return bound
    raise EstimateMissing(field)


def units_of(unit: Unit, *, tokens: int, api_calls: int, items: int) -> int:
    """What a call counts on its feature's quotas."""
    return {Unit.REQUESTS: 1, Unit.TOKENS: tokens, Unit.API_CALLS: api_calls, Unit.ITEMS: items}[unit]


def rates(
    entitled: Entitlements, task: TaskTerms, model_class: str | None, tokens_in: int
) -> tuple[int | None, ...] | None:
    """The rates by which a call is settled that names no model, see `Shape`; None where a price is unknown."""
    if task.kind == TaskKind.API:
        return None if task.price_per_unit is None else (None, None, None, None, task.price_per_unit)
    try:
        flat = pricing.flat_rates(_price_lists(entitled, model_class), tokens_in)
    except pricing.PriceUnknown:
        return None
    return flat.input, flat.cached_input, flat.cache_write, flat.output, None


def _cost(
    entitled: Entitlements, task: TaskTerms, model_class: str | None, tokens_in: int, tokens_out: int, units: int
) -> int | None:
    """The most a call can cost, in nano-USD; None where a price is unknown."""
    if task.kind == TaskKind.API:
        return None if task.price_per_unit is None else pricing.unit_cost(task.price_per_unit, units)
    try:
        return pricing.worst_case_nano_usd(_price_lists(entitled, model_class), tokens_in, tokens_out)
    except pricing.PriceUnknown:
        return None


def _price_lists(entitled: Entitlements, model_class: str | None) -> list[pricing.PriceList]:
    """Those in force of a class's active models. Raises PriceUnknown where one of them, or the class, has none."""
    chosen = entitled.catalogue.classes.get(model_class or "")
    found = [model.price_at(entitled.now) for model in chosen.active_models] if chosen else []
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        raise pricing.PriceUnknown(model_class)
    return known
