"""The rules of a plan applied to one ask: caps, model class, price, hold. Pure: no query, no clock.

`Entitlements` says what the tenant may do now; everything here is a function of it and of what was asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from plans import pricing
from plans.codes import Code
from plans.models import CAPS, RuleKey, RuleScope, TaskKind, Unit
from plans.permits import NOTHING, Hold, Refusal, Shape, Shaping, Typical, Wants
from plans.rates import PriceList
from plans.terms import Entitlements, Rule, TaskPromise, TaskTerms

# The more specific scope wins.
SCOPE_RANKS = {RuleScope.GLOBAL: 0, RuleScope.PLAN: 1, RuleScope.TENANT: 2, RuleScope.USER: 3}

Caps = Mapping[RuleKey, Rule]
"""The rule that supplies each cap of a task for a user."""


class EstimateMissing(Exception):
    """Nothing bounds a call's tokens: neither the ask nor a cap. `field` names what to send."""

    def __init__(self, field: str) -> None:
        super().__init__(f"No cap bounds this: say how much the call may take, in {field}.")
        self.field = field


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


def caps_of(entitled: Entitlements, task: TaskTerms, user: str | None) -> Caps:
    """Every cap of a task for a user. There is a rule for each, for everybody's cannot be deleted."""
    return {key: cap(entitled, key, task, user) for key in CAPS}


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


def too_much(caps: Caps, wants: Wants) -> tuple[Refusal, ...]:
    """What the caps refuse, for it cannot be reduced: too much input, too many files."""
    refusals = []
    most = caps[RuleKey.MAX_TOKENS_IN].value
    if wants.input_tokens is not None and most is not None and wants.input_tokens > most:
        text = f"{wants.input_tokens:,} input tokens asked, {most:,} allowed a call. Send a shorter input."
        refusals.append(Refusal(code=Code.INPUT_TOO_LARGE, message=text))
    most = caps[RuleKey.FILES_PER_REQUEST].value
    if wants.files is not None and most is not None and wants.files > most:
        text = f"{wants.files:,} files asked, {most:,} allowed a call. Send fewer files."
        refusals.append(Refusal(code=Code.POLICY_VIOLATION, message=text))
    return tuple(refusals)


@dataclass(slots=True)
class _Capping:
    """Reduces parameters by their caps, where they bind, and remembers what was reduced."""

    caps: Caps
    enforced: bool
    shaped: list[Shaping]

    def reduce(self, param: str, key: RuleKey, asked: int | None) -> int | None:
        limit = self.caps[key].value
        if asked is None or limit is None:
            return limit if asked is None else asked
        if asked > limit and self.enforced:
            self.shaped.append(Shaping(param=param, asked=asked, granted=limit, because=key.value))
            return limit
        return asked


def shape(
    entitled: Entitlements,
    task: TaskTerms,
    caps: Caps,
    wants: Wants,
    *,
    model_class: str | None,
    enforced: bool,
    typical: Typical | None = None,
) -> Shape:
    """The permit that the caps allow. Where they are only observed nothing is reduced.

    Raises EstimateMissing where nothing bounds the tokens, PriceOutOfBounds where it costs too much to count.
    """
    capping = _Capping(caps, enforced, [])
    tokens_in, tokens_out = _permitted_tokens(task, capping, wants)
    promise = entitled.plan.tasks.get(task.code) if entitled.plan else None
    bare = Shape(
        model_class=model_class,
        allowed=promise.allowed if promise else (),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        api_calls=1 if wants.api_calls is None else wants.api_calls,
        items=1 if wants.items is None else wants.items,
        units=0,
        cost=None,
        rates=None,
        max_steps=capping.reduce("max_steps", RuleKey.AGENT_MAX_STEPS, wants.max_steps),
        top_k=capping.reduce("top_k", RuleKey.RETRIEVAL_TOP_K, wants.top_k),
        max_files=caps[RuleKey.FILES_PER_REQUEST].value if wants.files is None else wants.files,
        ttl_seconds=wants.ttl_seconds or caps[RuleKey.RESERVATION_TTL_SECONDS].value or 1,
        hold=NOTHING.hold,
        web_searches=wants.web_searches or 0,
        typical=typical,
        shaped=tuple(capping.shaped),
    )
    return reshape(entitled, task, bare, model_class=model_class, output_tokens=tokens_out)


def _permitted_tokens(task: TaskTerms, capping: _Capping, wants: Wants) -> tuple[int, int]:
    """Tokens in and out of a permit: an LLM task's estimate, else its cap; of an API task what was asked for."""
    most_in = capping.caps[RuleKey.MAX_TOKENS_IN].value
    if task.kind == TaskKind.API and wants.max_output_tokens is None:
        return wants.input_tokens or 0, 0
    most_out = capping.reduce("max_tokens_out", RuleKey.MAX_TOKENS_OUT, wants.max_output_tokens)
    if task.kind == TaskKind.API:
        return wants.input_tokens or 0, most_out or 0
    tokens_in = _bounded("estimate.input_tokens", wants.input_tokens, most_in)
    return tokens_in, _bounded("estimate.max_output_tokens", most_out)


def _bounded(field: str, *bounds: int | None) -> int:
    for bound in bounds:
        if bound is not None:
            return bound
    raise EstimateMissing(field)


def reshape(
    entitled: Entitlements,
    task: TaskTerms,
    permit: Shape,
    *,
    model_class: str | None,
    output_tokens: int,
    steps: Iterable[Shaping] = (),
) -> Shape:
    """A permit for another class and other output tokens, with what it costs and holds; `steps` say why.

    Raises PriceOutOfBounds where it costs too much to count.
    """
    unit = entitled.catalogue.features[task.feature].unit
    held_in, held_out = permit.input_tokens, output_tokens
    typical = permit.typical
    if typical is not None:
        held_in = min(held_in, held_in if typical.input_tokens is None else typical.input_tokens)
        held_out = min(held_out, typical.output_tokens)

    def units(tokens: int) -> int:
        return units_of(unit, tokens=tokens, api_calls=permit.api_calls, items=permit.items)

    most_units = units(permit.input_tokens + output_tokens)
    price = price_of(entitled, task, model_class)
    most = partial(price.most, units=most_units, api_calls=permit.api_calls, web_searches=permit.web_searches)
    cost = held_cost = most(permit.input_tokens, output_tokens)
    if typical is not None and typical.includes_money:
        held_cost = most(held_in, held_out)
    return replace(
        permit,
        model_class=model_class,
        output_tokens=output_tokens,
        units=most_units,
        cost=cost,
        rates=price.rates(permit.input_tokens) if cost is not None else None,
        hold=Hold(input_tokens=held_in, output_tokens=held_out, units=units(held_in + held_out), cost=held_cost),
        shaped=(*permit.shaped, *steps),
    )


def units_of(unit: Unit, *, tokens: int, api_calls: int, items: int) -> int:
    """What a call counts on its feature's quotas."""
    return {Unit.REQUESTS: 1, Unit.TOKENS: tokens, Unit.API_CALLS: api_calls, Unit.ITEMS: items}[unit]


@dataclass(frozen=True, slots=True)
class Price:
    """What calls cost at most: by the unit, or the dearest of a class's models. Both None = unknown."""

    per_unit: int | None
    lists: tuple[PriceList, ...] | None

    def most(
        self, tokens_in: int, tokens_out: int, units: int, *, api_calls: int = 1, web_searches: int = 0
    ) -> int | None:
        """The most that up to these counts cost, in nano-USD; None = unknown. Raises PriceOutOfBounds."""
        if self.per_unit is not None:
            return pricing.unit_cost(self.per_unit, units)
        if self.lists is None:
            return None
        try:
            return pricing.worst_case_nano_usd(
                self.lists, tokens_in, tokens_out, api_calls=api_calls, web_searches=web_searches
            )
        except pricing.PriceUnknown:
            return None

    def rates(self, tokens_in: int) -> tuple[int | None, ...] | None:
        """The rates by which a call is settled that names no model, see `Shape`; None where a price is unknown."""
        if self.per_unit is not None:
            return (None, None, None, None, self.per_unit)
        if self.lists is None:
            return None
        try:
            flat = pricing.flat_rates(self.lists, tokens_in)
        except pricing.PriceUnknown:
            return None
        return flat.input, flat.cached_input, flat.cache_write, flat.output, None, flat.call, flat.web_search


def price_of(entitled: Entitlements, task: TaskTerms, model_class: str | None) -> Price:
    """What a task costs now; an LLM task by its class, whose active models must all have a price."""
    if task.kind == TaskKind.API:
        return Price(task.price_per_unit, None)
    chosen = entitled.catalogue.classes.get(model_class or "")
    found = [model.price_at(entitled.now) for model in chosen.active_models] if chosen else []
    known = tuple(each for each in found if each is not None)
    return Price(None, known if known and len(known) == len(found) else None)


def cheaper_classes(
    entitled: Entitlements, task: TaskTerms, promise: TaskPromise | None, permit: Shape
) -> tuple[str, ...]:
    """The allowed classes that rank below a permit's and cost it no more, the dearest first.

    By rank alone a class could be dearer for some calls: then more budget might give a worse permit.
    """
    if task.kind == TaskKind.API or promise is None or permit.model_class is None or permit.cost is None:
        return ()
    classes = entitled.catalogue.classes
    rank = classes[permit.model_class].rank
    # What a call costs is a straight line over its output tokens: cheaper at both ends is cheaper between.
    ends = [reshape(entitled, task, permit, model_class=permit.model_class, output_tokens=0), permit]
    return tuple(
        code
        for code in reversed(promise.allowed)
        if classes[code].rank < rank and all(_costs_no_more(entitled, task, code, end) for end in ends)
    )


def _costs_no_more(entitled: Entitlements, task: TaskTerms, code: str, permit: Shape) -> bool:
    other = reshape(entitled, task, permit, model_class=code, output_tokens=permit.output_tokens)
    return all(
        mine is not None and dear is not None and mine <= dear
        for mine, dear in ((other.cost, permit.cost), (other.hold.cost, permit.hold.cost))
    )
