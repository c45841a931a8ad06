"""Whether the numbers of a plan leave room for a call, and for each other. Pure.

They are the gatekeeper's own charges, with every gate enforced; a limit of 0 is meant and is nobody's mistake.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations

from plans import charges, policies
from plans.charges import Charge, Measure, PeriodKind
from plans.models import RuleKey, RuleScope, TaskKind, Unit
from plans.permits import Shape, Wants
from plans.publishing.changes import usd
from plans.publishing.contradiction import Contradiction, Kind, warning
from plans.publishing.coverage import ANYBODY, full_permit, usable
from plans.terms import Entitlements, PlanTerms, TaskTerms
from tenants.models import EnforcementMode

_MONTH_DAYS = 31


@dataclass(frozen=True, slots=True)
class _Meter:
    """A limit as it is said: such as “10 API calls a day of PRIOR_ART_SEARCH”."""

    charge: Charge

    def __str__(self) -> str:
        charge = self.charge
        target = charge.task or charge.feature
        period = {PeriodKind.OPEN: "at once"}.get(charge.period, f"a {charge.period.label.lower()}")
        each = " for each user" if charge.user else ""
        return f"{amount(charge, charge.limit or 0)} {period}{f' of {target}' if target else ''}{each}"


def amount(charge: Charge, value: int) -> str:
    """An amount on a charge's meter, with its unit."""
    if charge.measure == Measure.COST:
        return usd(value)
    unit = {Measure.UNITS: Unit(charge.unit).label if charge.unit else "units", Measure.SLOTS: "open"}
    return f"{value:,} {unit.get(charge.measure, charge.measure.label.lower())}"


def check(entitled: Entitlements, plan: PlanTerms) -> Iterator[Contradiction]:
    """Limits too small for any call, or in each other's way."""
    meters: dict[Charge, None] = {}
    small: defaultdict[Charge, list[tuple[TaskTerms, int]]] = defaultdict(list)
    tight: defaultdict[Charge, list[tuple[TaskTerms, int]]] = defaultdict(list)
    for task in usable(entitled, plan):
        yield from _caps(entitled, task)
        charged = _limited(charges.of(entitled, task, ANYBODY, EnforcementMode.ENFORCE))
        meters |= dict.fromkeys(charged)
        smallest, full = _smallest(entitled, plan, task), _full(entitled, plan, task)
        for charge in charged:
            least = min((charges.amount_of(charge.measure, each) for each in smallest), default=0)
            most = charges.amount_of(charge.measure, full) if full else 0
            if charge.enforced and 0 < (charge.limit or 0) < least:
                small[charge].append((task, least))
            elif charge.enforced and 0 < (charge.limit or 0) < most:
                tight[charge].append((task, most))
    for charge, holds in small.items():
        text = f"{_Meter(charge)}: no call fits, the smallest holds {_holds(charge, holds)}."
        yield Contradiction(Kind.BELOW_SMALLEST_HOLD, text)
    for charge, holds in tight.items():
        text = f"{_Meter(charge)}: a call that estimates nothing holds {_holds(charge, holds)}, and is given less."
        yield warning(Kind.BELOW_FULL_HOLD, text)
    yield from _pairs(list(meters))


def _limited(charged: Iterable[Charge]) -> list[Charge]:
    return [charge for charge in charged if charge.limit is not None]


def _holds(charge: Charge, holds: Iterable[tuple[TaskTerms, int]]) -> str:
    return ", ".join(f"{amount(charge, held)} ({task.code})" for task, held in holds)


def _caps(entitled: Entitlements, task: TaskTerms) -> Iterator[Contradiction]:
    if task.kind != TaskKind.LLM:
        return
    caps = policies.caps_of(entitled, task, None)
    fewest, most = caps[RuleKey.MIN_TOKENS_OUT], caps[RuleKey.MAX_TOKENS_OUT].value
    # Everybody's fewest gives way to a plan's most: then the plan speaks of short answers on purpose.
    if fewest.scope != RuleScope.GLOBAL and most and (fewest.value or 0) > most:
        text = f"{task.code}: MIN_TOKENS_OUT {fewest.value:,} is above MAX_TOKENS_OUT {most:,}."
        yield Contradiction(Kind.MIN_ABOVE_MAX, text)
    unbounded = [key for key in (RuleKey.MAX_TOKENS_IN, RuleKey.MAX_TOKENS_OUT) if caps[key].value is None]
    if unbounded:
        text = f"{task.code}: {' and '.join(unbounded)} unlimited, so a call that estimates nothing is refused."
        yield warning(Kind.TOKENS_UNBOUNDED, text)


def _classes(plan: PlanTerms, task: TaskTerms) -> tuple[str | None, ...]:
    return plan.tasks[task.code].allowed if task.kind == TaskKind.LLM else (None,)


def _smallest(entitled: Entitlements, plan: PlanTerms, task: TaskTerms) -> list[Shape]:
    """The least a call of a task can hold, by class; of a class with unknown prices as if it cost nothing."""
    caps = policies.caps_of(entitled, task, None)
    most_in, most_out = caps[RuleKey.MAX_TOKENS_IN].value, caps[RuleKey.MAX_TOKENS_OUT].value
    fewest = max(1, caps[RuleKey.MIN_TOKENS_OUT].value or 0)
    wants = Wants()
    if task.kind == TaskKind.LLM:
        wants = Wants(
            input_tokens=1 if most_in is None else min(1, most_in),
            max_output_tokens=fewest if most_out is None else min(fewest, most_out),
        )
    return [
        policies.shape(entitled, task, caps, wants, model_class=code, enforced=True) for code in _classes(plan, task)
    ]


def _full(entitled: Entitlements, plan: PlanTerms, task: TaskTerms) -> Shape | None:
    """What a call holds that estimates nothing and names no class."""
    promise = plan.tasks[task.code]
    chosen, _ = policies.choose_class(entitled, promise, None, enforced=False) if promise.allowed else (None, None)
    return full_permit(entitled, task, chosen)


def _pairs(meters: list[Charge]) -> Iterator[Contradiction]:
    """A day against its month, a user against the whole tenant. A limit of 0 is meant."""
    for one, other in permutations((each for each in meters if each.limit), 2):
        mine, others = one.limit or 0, other.limit or 0
        if (one.period, other.period) == (PeriodKind.DAY, PeriodKind.MONTH) and _what(one) == _what(other):
            if mine > others:
                text = f"{_Meter(one)} can never be used up: the limit is {_Meter(other)}."
                yield Contradiction(Kind.DAY_ABOVE_MONTH, text)
            elif others > _MONTH_DAYS * mine:
                text = f"{_Meter(other)} cannot be reached with {_Meter(one)} in {_MONTH_DAYS} days."
                yield warning(Kind.MONTH_OUT_OF_REACH, text)
        is_share = one.user is not None and other.user is None and one.period == other.period
        if is_share and _what(replace(one, user=None)) == _what(other) and mine > others:
            text = f"{_Meter(one)} is more than all users have together: {_Meter(other)}."
            yield Contradiction(Kind.USER_ABOVE_TENANT, text)


def _what(charge: Charge) -> tuple[object, ...]:
    return charge.measure, charge.feature, charge.task, charge.user
