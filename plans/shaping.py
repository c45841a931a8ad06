"""Shaping by what is left: the best permit that still fits its meters. Pure.

The order, best first (design.md section 6): the class asked for with as many output tokens as fit, no fewer than
MIN_TOKENS_OUT; then, where the plan allows downgrades, each cheaper allowed class in the same way, the dearest
first; else none. Above DEGRADE_AT_PERCENT the class asked for is left out: a cheaper one fits whenever it would.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plans import charges, policies
from plans.charges import Charge
from plans.models import RolloutGate, RuleKey, TaskKind
from plans.permits import Shape, Shaping
from plans.policies import Caps
from plans.terms import Entitlements, TaskPromise, TaskTerms

Rooms = Sequence[int | None]
"""What is left under the limit of each charge, in their order; None where nothing refuses. May be below 0."""


def degrade_at(
    entitled: Entitlements, task: TaskTerms, caps: Caps, promise: TaskPromise | None, permit: Shape
) -> int | None:
    """The share of a quota, in percent, above which a cheaper class is to be chosen; None = never, or there is none."""
    percent = caps[RuleKey.DEGRADE_AT_PERCENT].value
    if percent is None or promise is None or not promise.allow_downgrade:
        return None
    return percent if policies.cheaper_classes(entitled, task, promise, permit) else None


def fit(
    entitled: Entitlements,
    task: TaskTerms,
    caps: Caps,
    promise: TaskPromise | None,
    permit: Shape,
    charged: Sequence[Charge],
    rooms: Rooms,
) -> tuple[Shape, tuple[Charge, ...]] | None:
    """The best permit that fits, with its charges in the given order; None where none does.

    It asks for no more than `permit`, whose charges these are, and holds no more than the rooms. An API task has
    nothing that could be reduced. More room never gives a worse permit.
    """
    if task.kind == TaskKind.API or permit.model_class is None:
        return None
    cheaper = policies.cheaper_classes(entitled, task, promise, permit) if promise and promise.allow_downgrade else ()
    is_degraded = any(is_above(charge, room) for charge, room in zip(charged, rooms, strict=True))
    fitting = _Fitting(entitled, task, caps, permit, charged, rooms)
    for model_class in cheaper if is_degraded else (permit.model_class, *cheaper):
        output_tokens = fitting.most_output(model_class)
        if output_tokens is not None:
            why = RuleKey.DEGRADE_AT_PERCENT if is_degraded else fitting.refusing(permit.model_class, fitting.fewest)
            found = fitting.permit_of(model_class, output_tokens, why)
            return found, charges.filled(charged, found)
    return None


def room(charge: Charge, taken: int) -> int | None:
    """What is left for a charge of whose limit so much is used or held; None where nothing refuses. May be below 0."""
    return charge.limit - taken if charge.enforced and charge.limit is not None else None


def fits(charged: Sequence[Charge], rooms: Rooms) -> bool:
    """Whether the ledger would grant these: each fits, and passes no comfortable level."""
    return all(
        room is None or charge.amount == 0 or (charge.amount <= room and not is_above(charge, room))
        for charge, room in zip(charged, rooms, strict=True)
    )


def is_above(charge: Charge, room: int | None) -> bool:
    """Whether a charge passes its comfortable level: used + reserved is what of the limit is not left."""
    if charge.degrade_above is None or charge.limit is None or room is None:
        return False
    return charge.limit - room + charge.amount > charge.degrade_above


@dataclass(frozen=True, slots=True)
class _Fitting:
    entitled: Entitlements
    task: TaskTerms
    caps: Caps
    permit: Shape
    charged: Sequence[Charge]
    rooms: Rooms

    @property
    def fewest(self) -> int:
        """The fewest output tokens that are worth a call: MIN_TOKENS_OUT, or fewer where fewer are asked for."""
        return min(self.caps[RuleKey.MIN_TOKENS_OUT].value or 0, self.permit.output_tokens)

    def most_output(self, model_class: str) -> int | None:
        """The most output tokens of a class that fit; None where even the fewest do not."""
        fewest, most = self.fewest, self.permit.output_tokens
        if self.refusing(model_class, fewest):
            return None
        if not self.refusing(model_class, most):
            return most
        between = range(fewest + 1, most)
        return fewest + bisect_left(between, True, key=lambda tokens: self.refusing(model_class, tokens) is not None)

    def refusing(self, model_class: str, output_tokens: int) -> RolloutGate | None:
        """The first gate, in their order, that has too little left for a permit; None where it fits."""
        shaped = self._shaped(model_class, output_tokens)
        short = (
            charge.gate
            for charge, room in zip(self.charged, self.rooms, strict=True)
            if room is not None and 0 < charges.amount_of(charge.measure, shaped) > room
        )
        return min(short, key=list(RolloutGate).index, default=None)

    def permit_of(self, model_class: str, output_tokens: int, why_class: str | None) -> Shape:
        """The permit, with the steps that led to it."""
        asked = self.permit
        steps = []
        if model_class != asked.model_class:
            steps.append(
                Shaping(
                    param="model_class", asked=asked.model_class or "", granted=model_class, because=why_class or ""
                )
            )
        if output_tokens < asked.output_tokens:
            why = self.refusing(model_class, output_tokens + 1)
            steps.append(
                Shaping(param="max_tokens_out", asked=asked.output_tokens, granted=output_tokens, because=why or "")
            )
        return self._shaped(model_class, output_tokens, steps)

    def _shaped(self, model_class: str, output_tokens: int, steps: Iterable[Shaping] = ()) -> Shape:
        return policies.reshape(
            self.entitled, self.task, self.permit, model_class=model_class, output_tokens=output_tokens, steps=steps
        )
