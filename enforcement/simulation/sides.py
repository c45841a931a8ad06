"""One side of a simulation: a tenant under one set of terms, with its meters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

from enforcement import gates
from enforcement.decisions import MeterState, binding_of
from enforcement.gates import EstimateOf, Passage, Terms
from enforcement.simulation.meters import MEASURES, Amounts, Meters, Spot
from plans import charges, policies, pricing, shaping
from plans.calendars import calendar_of
from plans.charges import Charge, Measure
from plans.models import RuleKey, TaskKind, Unit
from plans.permits import Shape, Wants
from plans.policies import EstimateMissing
from plans.rates import PriceOutOfBounds
from plans.terms import Entitlements
from usage.entries import Reading
from usage.operations import Operation

INVALID = "INVALID"
"""The code of a call that would not be answered: nothing bounds its tokens, or it costs too much to count."""

_NOBODY = "\x00"  # no user key has a NUL
_numbers = count()


class Verdict(NamedTuple):
    """What a side makes of a call: the code that refuses it, or the permit it holds with its amounts.

    `watched` are the codes of gates that would refuse it, were they enforced.
    """

    code: str | None
    permit: Shape | None = None
    spots: tuple[Spot, ...] = ()
    held: Amounts = ()
    watched: tuple[str, ...] = ()


PASSED = Verdict(None)
"""Let through with nothing held (mode OFF)."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The terms of all calls of a task by users alike. Calls of two lanes with one `likeness` get the same permit."""

    terms: Terms
    charged: tuple[Charge, ...]
    is_personal: bool
    may_degrade: bool
    likeness: tuple[object, ...]


@dataclass(slots=True)
class Side:
    """One tenant under one set of terms."""

    entitled: Entitlements
    estimate_of: EstimateOf
    meters: Meters = field(init=False)
    _lanes: dict[tuple[str, str | None], Lane] = field(init=False, default_factory=dict)
    _named: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        tenant = self.entitled.tenant
        self.meters = Meters(calendar_of(tenant.facts))
        self._named = frozenset(rule.user for rules in tenant.rules.values() for rule in rules if rule.user is not None)

    def lane(self, task: str, user: str | None) -> Lane:
        """The terms of a call. Users without a rule of their own have the same."""
        alike = user if user is None or user in self._named else _NOBODY
        found = self._lanes.get((task, alike))
        if found is None:
            found = self._lanes[task, alike] = _lane(self.entitled, task, alike)
        return found

    def spots(self, lane: Lane, task: str, user: str | None, at: int) -> tuple[Spot, ...]:
        """The meters of a call."""
        return self.meters.bind(task, user if lane.is_personal else None, at, lane.charged)

    def permit(self, lane: Lane, wants: Wants) -> Passage | None:
        """The gates before any meter; None where the call would not be answered at all."""
        try:
            return gates.permit(lane.terms, wants, self.estimate_of)
        except (EstimateMissing, PriceOutOfBounds):
            return None

    def decide(self, lane: Lane, passage: Passage | None, held: Amounts, operation: Operation) -> Verdict:
        """What becomes of a call that came so far; `held` is what its permit holds. Nothing is held yet."""
        if passage is None:
            return Verdict(INVALID)
        if passage.refusal is not None:
            return Verdict(passage.refusal.code.value)
        permit = passage.permit
        if permit is None:
            return PASSED
        spots = self.spots(lane, operation.task, operation.user, operation.started)
        refusing = False
        watching: list[Spot] = []
        for spot in spots:
            meter, place, limit, charge = spot
            if limit is not None and 0 < held[place] > limit - meter.used - meter.reserved:
                if charge.enforced:
                    refusing = True
                else:
                    watching.append(spot)
        if refusing or lane.may_degrade or permit.cost is None:
            return self._at_second_sight(lane, passage, permit, spots, held)
        watched = _watched(passage, watching, held) if watching or passage.found else ()
        return Verdict(None, permit, spots, held, watched)

    def _at_second_sight(
        self, lane: Lane, passage: Passage, permit: Shape, spots: tuple[Spot, ...], held: Amounts
    ) -> Verdict:
        """As the gatekeeper: where the whole does not fit, or passes a comfortable level, what is left is tried."""
        binding = _binding(spots, held)
        if binding is not None and permit.cost is not None and _fits_never(lane, permit, spots):
            return Verdict(binding)
        passage = gates.charge(lane.terms, passage)
        if passage.refusal is not None:
            return Verdict(passage.refusal.code.value)
        rooms = [shaping.room(spot.charge, spot.meter.used + spot.meter.reserved) for spot in spots]
        is_high = any(shaping.is_above(each, room) for each, room in zip(passage.charged, rooms, strict=True))
        if binding is not None or is_high:
            second = gates.second(lane.terms, passage, passage.charged, rooms)
            if second is not None and second.permit is not None:
                passage, permit = second, second.permit
                held = _amounts(permit)
                binding = None
        if binding is not None:
            return Verdict(binding)
        return Verdict(None, permit, spots, held, _watched(passage, spots, held))

    def used(self, lane: Lane, operation: Operation, permit: Shape | None) -> Amounts:
        """What a call books that ends: what it really used, or less where it was permitted less."""
        tokens_out, units, cost = operation.tokens_out, operation.units, operation.cost
        task = lane.terms.task
        if permit is not None:
            is_cut = bool(permit.shaped) and permit.output_tokens < tokens_out
            if is_cut:
                if lane.terms.feature.unit == Unit.TOKENS:
                    units -= tokens_out - permit.output_tokens
                tokens_out = permit.output_tokens
            if is_cut or (task.kind == TaskKind.LLM and permit.model_class != operation.model_class):
                cost = self._most(lane, permit.model_class, operation.tokens_in, tokens_out, units)
        return booked(units, operation.tokens_in + tokens_out, cost)

    def _most(self, lane: Lane, model_class: str | None, tokens_in: int, tokens_out: int, units: int) -> int | None:
        price = policies.price_of(self.entitled, lane.terms.task, model_class)
        try:
            return price.most(tokens_in, tokens_out, units)
        except PriceOutOfBounds:
            return pricing.MAX_OPERATION_NANO_USD


def booked(units: int, tokens: int, cost: int | None) -> Amounts:
    """What an operation books on a meter of each measure; a fact has no REQUESTS."""
    return units, 1, tokens, cost or 0, 0


def held_by(passage: Passage | None) -> Amounts:
    """What a permit holds on a meter of each measure; nothing where there is none."""
    return () if passage is None or passage.permit is None else _amounts(passage.permit)


def _amounts(permit: Shape) -> Amounts:
    return tuple([charges.amount_of(measure, permit) for measure in MEASURES])


def _lane(entitled: Entitlements, code: str, user: str | None) -> Lane:
    task = entitled.catalogue.tasks[code]
    terms = gates.terms(entitled, task, user)
    # Usage of what may not be had any more counts all the same, where it was booked alone.
    charged = terms.charged or charges.of(entitled, task, user, terms.mode)
    may_degrade = (
        terms.promise is not None
        and terms.promise.allow_downgrade
        and terms.are_caps_enforced
        and terms.caps[RuleKey.DEGRADE_AT_PERCENT].value is not None
    )
    is_personal = any(charge.user is not None for charge in charged)
    return Lane(terms, charged, is_personal, may_degrade, _likeness(terms))


def _likeness(terms: Terms) -> tuple[object, ...]:
    """All that the gates before any meter look at, but for prices, which both sides share."""
    if terms.refusal is not None:
        return (next(_numbers),)
    caps = tuple((key, rule.value, rule.includes_money) for key, rule in sorted(terms.caps.items()))
    in_force = terms.entitled.plan is not None
    return (
        terms.mode, in_force, terms.promise, terms.found, terms.is_access_enforced, terms.are_caps_enforced, caps,
    )  # fmt: skip


def _binding(spots: Iterable[Spot], held: Amounts) -> str | None:
    """The code of the meter that refuses, as the gatekeeper names it; None where all fits."""
    binding = binding_of(_state(spot, held) for spot in spots if spot.charge.enforced and spot.limit is not None)
    return None if binding is None else binding.code.value


def _watched(passage: Passage, spots: Iterable[Spot], held: Amounts) -> tuple[str, ...]:
    """What is only observed and would refuse, each code once."""
    before = [refusal.code.value for refusal in passage.found]
    states = [_state(spot, held) for spot in spots if not spot.charge.enforced]
    return tuple(dict.fromkeys([*before, *(state.code.value for state in states if state.binds)]))


def _state(spot: Spot, held: Amounts) -> MeterState:
    meter, place, limit, charge = spot
    return MeterState(
        user=charge.user, feature=charge.feature, task=charge.task, measure=charge.measure, period=charge.period,
        resets_at=meter.period.end, unit="", gate=charge.gate, rule=charge.rule, limit=limit,
        enforced=charge.enforced, amount=held[place], reading=Reading(meter.used, meter.reserved, 0),
    )  # fmt: skip


def _fits_never(lane: Lane, permit: Shape, spots: Sequence[Spot]) -> bool:
    """Whether no smaller permit can fit either: more than it would hold at the very least is not left.

    A smaller one has fewer output tokens, or another class; the input and what is counted one by one stay.
    """
    nothing_out = replace(permit.hold, output_tokens=0)
    if lane.terms.feature.unit == Unit.TOKENS:
        nothing_out = replace(nothing_out, units=permit.hold.input_tokens)
    least = _amounts(replace(permit, hold=nothing_out))
    return any(
        0 < least[place] > limit - meter.used - meter.reserved
        for meter, place, limit, charge in spots
        if limit is not None and charge.enforced and charge.measure != Measure.COST
    )
