"""The order of the gates before the ledger, and what each makes of an ask. Pure: no query, no clock.

The gatekeeper asks them for a call that is about to be made, the simulation for calls that were made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from plans import charges, modes, policies, shaping
from plans.charges import Charge
from plans.codes import Code
from plans.models import RolloutGate, RuleKey, TaskKind
from plans.permits import Refusal, Shape, Typical, Wants
from plans.policies import Caps
from plans.shaping import Rooms
from plans.terms import Entitlements, FeatureTerms, TaskPromise, TaskTerms
from tenants.models import EnforcementMode
from usage.estimates import Estimate

EstimateOf = Callable[[str], Estimate | None]
"""What calls of a task really use, where enough is known; asked only where HOLD_PERCENTILE wants it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What does not depend on the ask's numbers: the same for all calls of a task by a user in one window.

    `refusal` refuses every one of them; `found` is what an observed gate says against them. `charged` are the
    charges of nothing.
    """

    entitled: Entitlements
    task: TaskTerms
    feature: FeatureTerms
    user: str | None
    mode: EnforcementMode
    promise: TaskPromise | None = None
    refusal: Refusal | None = None
    found: tuple[Refusal, ...] = ()
    is_access_enforced: bool = True
    are_caps_enforced: bool = True
    caps: Caps
    charged: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """How an ask comes through the gates: refused, or with a permit and its charges, or (mode OFF) with neither.

    `found` is what gates that are only observed would have refused.
    """

    refusal: Refusal | None = None
    permit: Shape | None = None
    charged: tuple[Charge, ...] = ()
    found: tuple[Refusal, ...] = ()


def terms(entitled: Entitlements, task: TaskTerms, user: str | None) -> Terms:
    """The gates that look at who asks for what: tenant active, mode, plan in force, feature and task in the plan."""
    feature = entitled.catalogue.features[task.feature]
    mode = modes.of_ask(entitled, feature)
    start = Terms(entitled=entitled, task=task, feature=feature, user=user, mode=mode, caps={})
    facts = entitled.tenant.facts
    if not facts.is_active:
        return _refusing(start, Code.TENANT_SUSPENDED, f"{facts.ati_id} is suspended. Only the operator can lift that.")
    if mode == EnforcementMode.OFF:
        return start
    if entitled.plan is None:
        message = f"{facts.ati_id} has no plan in force now. The operator can renew it."
        return _refusing(start, Code.PLAN_EXPIRED, message)
    missing = _missing_from_plan(entitled, task)
    if missing is not None and mode == EnforcementMode.ENFORCE:
        return replace(start, refusal=missing)
    return replace(
        start,
        promise=entitled.plan.tasks.get(task.code),
        found=(missing,) if missing else (),
        is_access_enforced=modes.is_enforced(entitled, mode, RolloutGate.MODEL_ACCESS),
        are_caps_enforced=modes.is_enforced(entitled, mode, RolloutGate.CAPS),
        caps=policies.caps_of(entitled, task, user),
        charged=charges.of(entitled, task, user, mode),
    )


def _refusing(start: Terms, code: Code, message: str) -> Terms:
    return replace(start, refusal=Refusal(code=code, message=message))


def _missing_from_plan(entitled: Entitlements, task: TaskTerms) -> Refusal | None:
    """Whether the plan lacks the feature, has it disabled, or lacks the task."""
    plan = entitled.plan
    if plan is None:
        return None
    enabled = [code for code, promise in plan.features.items() if promise.enabled]
    if task.feature not in enabled:
        has = f"It has {', '.join(enabled)}." if enabled else "It has no feature."
        return Refusal(code=Code.FEATURE_UNAVAILABLE, message=f"{task.feature} is not in the plan {plan.code}. {has}")
    if task.code not in plan.tasks:
        tasks = [code for code in entitled.catalogue.tasks_of(task.feature) if code in plan.tasks]
        has = f"Of {task.feature} it has {', '.join(tasks) or 'no task'}."
        return Refusal(code=Code.TASK_UNAVAILABLE, message=f"{task.code} is not in the plan {plan.code}. {has}")
    return None


def decide(at: Terms, wants: Wants, estimate_of: EstimateOf) -> Passage:
    """The gates that look at the numbers: model class, caps, price; and what a permit charges to which meters.

    Raises policies.EstimateMissing and PriceOutOfBounds as `policies.shape` does.
    """
    return charge(at, permit(at, wants, estimate_of))


def permit(at: Terms, wants: Wants, estimate_of: EstimateOf) -> Passage:
    """The first half of `decide`: model class and caps. It looks at no limit of a meter, and charges nothing yet."""
    if at.refusal is not None or at.mode == EnforcementMode.OFF:
        return Passage(refusal=at.refusal)
    found = at.found
    chosen: str | None = None
    if at.task.kind == TaskKind.LLM:
        chosen, refusal = policies.choose_class(
            at.entitled, at.promise, wants.model_class, enforced=at.is_access_enforced
        )
        if refusal and at.is_access_enforced:
            return Passage(refusal=refusal)
        found += (refusal,) if refusal else ()
    refusals = policies.too_much(at.caps, wants)
    if refusals and at.are_caps_enforced:
        return Passage(refusal=refusals[0])
    found += refusals
    permitted = policies.shape(
        at.entitled, at.task, at.caps, wants,
        model_class=chosen, enforced=at.are_caps_enforced, typical=_typical(at, wants, estimate_of),
    )  # fmt: skip
    return Passage(permit=permitted, found=found)


def _typical(at: Terms, wants: Wants, estimate_of: EstimateOf) -> Typical | None:
    """What is held in place of the maximum, where a rule says so and enough calls were made to know it."""
    rule = at.caps[RuleKey.HOLD_PERCENTILE]
    if at.task.kind == TaskKind.API or rule.value is None or rule.value >= 100:
        return None
    estimate = estimate_of(at.task.code)
    if estimate is None:
        return None
    tokens_in, tokens_out = estimate.at(rule.value)
    return Typical(
        percentile=rule.value,
        samples=estimate.samples,
        input_tokens=tokens_in if wants.input_tokens is None else None,
        output_tokens=tokens_out,
        includes_money=rule.includes_money,
    )


def charge(at: Terms, passage: Passage) -> Passage:
    """The second half of `decide`: the charges of a permit, and whether its price may be unknown."""
    permit, found = passage.permit, passage.found
    if permit is None:
        return passage
    degrade_at = None
    if at.are_caps_enforced:
        degrade_at = shaping.degrade_at(at.entitled, at.task, at.caps, at.promise, permit)
    charged = charges.filled(at.charged, permit, degrade_at=degrade_at)
    if permit.cost is None:
        limited = charges.money_limits(charged)
        if limited:
            subject = permit.model_class or at.task.code
            message = f"What {subject} costs is not known, and a budget applies. The operator can enter its price."
            refusal = Refusal(code=Code.PRICE_UNKNOWN, message=message)
            if any(charge.enforced for charge in limited):
                return Passage(refusal=refusal)
            found += (refusal,)
    return Passage(permit=permit, charged=charged, found=found)


def second(at: Terms, first: Passage, charged: Sequence[Charge], rooms: Rooms) -> Passage | None:
    """The permit shaped to what is left, where the first does not fit or passes its comfortable level.

    `charged` are the first's charges in the order of `rooms`, and so are the answer's. None: nothing fits.
    """
    if first.permit is None:
        return None
    found = shaping.fit(at.entitled, at.task, at.caps, at.promise, first.permit, charged, rooms)
    return None if found is None else replace(first, permit=found[0], charged=found[1])
