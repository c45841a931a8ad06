"""Whether a plan's features, tasks, model classes and rules fit each other. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from plans import charges, policies, shaping
from plans.models import Overage, RuleKey, RuleScope, TaskKind
from plans.permits import Shape, Wants
from plans.policies import EstimateMissing
from plans.publishing.contradiction import Contradiction, Kind, warning
from plans.rates import PriceOutOfBounds
from plans.terms import Entitlements, PlanTerms, TaskPromise, TaskTerms
from tenants.models import EnforcementMode

ANYBODY = "-"
"""A user whom no rule names."""


def usable(entitled: Entitlements, plan: PlanTerms) -> list[TaskTerms]:
    """The tasks of a plan that calls can be made for: their feature is promised and enabled."""
    tasks = (entitled.catalogue.tasks[code] for code in sorted(plan.tasks))
    return [task for task in tasks if _is_on(plan, task)]


def _is_on(plan: PlanTerms, task: TaskTerms) -> bool:
    promise = plan.features.get(task.feature)
    return promise is not None and promise.enabled


def check(entitled: Entitlements, plan: PlanTerms) -> Iterator[Contradiction]:
    """What is promised and cannot be used, or used and not promised."""
    catalogue = entitled.catalogue
    on = {code for code, promise in plan.features.items() if promise.enabled}
    if not on:
        yield warning(Kind.NOTHING_PROMISED, "The plan has no feature that is enabled.")
    for code in sorted(plan.tasks):
        feature = catalogue.tasks[code].feature
        if feature not in on:
            state = "disabled" if feature in plan.features else "not promised"
            yield Contradiction(Kind.FEATURE_NOT_PROMISED, f"{code}: its feature {feature} is {state}.")
    for feature in sorted(on - {catalogue.tasks[code].feature for code in plan.tasks}):
        tasks = ", ".join(catalogue.tasks_of(feature)) or "none yet"
        yield Contradiction(
            Kind.FEATURE_WITHOUT_TASK, f"{feature} is promised, but none of its tasks is in the plan ({tasks})."
        )
    yield from _rules_without_effect(entitled, plan, on)
    for task in usable(entitled, plan):
        if task.kind == TaskKind.LLM:
            yield from _classes(entitled, task, plan.tasks[task.code])
    yield from _models(entitled, plan)
    yield from _prices(entitled, plan)
    yield from _cheaper(entitled, plan)
    yield from _overage(entitled, plan, on)


def _rules_without_effect(entitled: Entitlements, plan: PlanTerms, on: set[str]) -> Iterator[Contradiction]:
    for rule in (rule for rules in plan.rules.values() for rule in rules):
        target = rule.task or rule.feature
        has_effect = rule.task in plan.tasks or rule.feature in on if target else True
        if not has_effect:
            yield warning(Kind.RULE_WITHOUT_EFFECT, f"{rule.key}@{target}: {target} is not in the plan.")


def _classes(entitled: Entitlements, task: TaskTerms, promise: TaskPromise) -> Iterator[Contradiction]:
    allowed = ", ".join(promise.allowed)
    if not promise.allowed:
        yield Contradiction(Kind.NO_CLASS, f"{task.code} calls a model, and no model class is allowed for it.")
    elif promise.default is not None and promise.default not in promise.allowed:
        text = f"{task.code}: the default class {promise.default} is not among the allowed ({allowed})."
        yield Contradiction(Kind.DEFAULT_NOT_ALLOWED, text)
    elif policies.choose_class(entitled, promise, None, enforced=True)[0] is None and promise.default is None:
        text = f"{task.code} has no default class, and the fallback is not among the allowed ({allowed}): "
        yield warning(Kind.NO_DEFAULT, text + "a call that names no class is refused.")


def _allowed_for(entitled: Entitlements, plan: PlanTerms) -> dict[str, list[TaskTerms]]:
    """The classes that calls may be made with, each with its tasks."""
    found: defaultdict[str, list[TaskTerms]] = defaultdict(list)
    for task in usable(entitled, plan):
        for code in plan.tasks[task.code].allowed:
            found[code].append(task)
    return found


def _models(entitled: Entitlements, plan: PlanTerms) -> Iterator[Contradiction]:
    for code, tasks in _allowed_for(entitled, plan).items():
        if not entitled.catalogue.classes[code].active_models:
            yield Contradiction(Kind.NO_ACTIVE_MODEL, f"{code} has no active model; it is allowed for {_named(tasks)}.")


def _prices(entitled: Entitlements, plan: PlanTerms) -> Iterator[Contradiction]:
    """A call whose cost is not known is refused under a money limit."""
    for code, tasks in _allowed_for(entitled, plan).items():
        terms = entitled.catalogue.classes[code]
        limited = [task for task in tasks if _has_budget(entitled, task)]
        if limited and terms.active_models and not _is_priced(entitled, limited[0], code):
            names = ", ".join(each.model_id for each in terms.active_models if each.price_at(entitled.now) is None)
            text = f"{code}: {names or 'one of its models'} has no price, and a budget applies to {_named(limited)}."
            yield Contradiction(Kind.PRICE_UNKNOWN, text)
    for task in usable(entitled, plan):
        is_unpriced = task.kind == TaskKind.API and task.price_per_unit is None
        if is_unpriced and _has_budget(entitled, task):
            yield Contradiction(Kind.PRICE_UNKNOWN, f"{task.code} has no price, and a budget applies to it.")


def _is_priced(entitled: Entitlements, task: TaskTerms, model_class: str) -> bool:
    return policies.price_of(entitled, task, model_class).rates(1) is not None


def _has_budget(entitled: Entitlements, task: TaskTerms) -> bool:
    return bool(charges.money_limits(charges.of(entitled, task, ANYBODY, EnforcementMode.ENFORCE)))


def _cheaper(entitled: Entitlements, plan: PlanTerms) -> Iterator[Contradiction]:
    """Classes that a downgrade passes over, and a level of degrading with nowhere to go."""
    dearer: defaultdict[str, dict[str, None]] = defaultdict(dict)
    nowhere = []
    for task in usable(entitled, plan):
        promise = plan.tasks[task.code]
        for code in promise.allowed if promise.allow_downgrade else ():
            for below in _passed_over(entitled, task, promise, code):
                dearer[below][code] = None
        if _degrades_to_nothing(entitled, task, promise):
            nowhere.append(task)
    for below, codes in dearer.items():
        text = f"{below} ranks below {', '.join(codes)} but costs more for some calls, so it is never given instead."
        yield warning(Kind.DOWNGRADE_DEARER, text)
    if nowhere:
        text = f"DEGRADE_AT_PERCENT: no cheaper class may be given for {_named(nowhere)}."
        yield warning(Kind.NOTHING_TO_DEGRADE_TO, text)


def _passed_over(entitled: Entitlements, task: TaskTerms, promise: TaskPromise, code: str) -> list[str]:
    """The priced classes below a class that are not cheaper than it."""
    permit = full_permit(entitled, task, code)
    if permit is None or permit.rates is None:
        return []
    given = policies.cheaper_classes(entitled, task, promise, permit)
    below = promise.allowed[: promise.allowed.index(code)]
    return [each for each in below if each not in given and _is_priced(entitled, task, each)]


def _degrades_to_nothing(entitled: Entitlements, task: TaskTerms, promise: TaskPromise) -> bool:
    caps = policies.caps_of(entitled, task, None)
    level = caps[RuleKey.DEGRADE_AT_PERCENT]
    permit = full_permit(entitled, task, promise.default) if promise.allowed else None
    if level.scope != RuleScope.PLAN or level.value is None or permit is None:
        return False
    return shaping.degrade_at(entitled, task, caps, promise, permit) is None


def full_permit(entitled: Entitlements, task: TaskTerms, model_class: str | None) -> Shape | None:
    """The permit of a call that estimates nothing; None where it is refused because nothing bounds its tokens."""
    caps = policies.caps_of(entitled, task, None)
    try:
        return policies.shape(entitled, task, caps, Wants(), model_class=model_class, enforced=True)
    except (EstimateMissing, PriceOutOfBounds):
        return None


def _overage(entitled: Entitlements, plan: PlanTerms, on: set[str]) -> Iterator[Contradiction]:
    for feature in sorted(on):
        tasks = [task for task in usable(entitled, plan) if task.feature == feature]
        is_free = plan.features[feature].overage == Overage.ALLOW
        if is_free and tasks and not any(_has_budget(entitled, task) for task in tasks):
            text = f"{feature} is allowed beyond its quotas, and no budget bounds what that costs."
            yield warning(Kind.OVERAGE_UNBOUNDED, text)


def _named(tasks: Iterable[TaskTerms]) -> str:
    return ", ".join(sorted(task.code for task in tasks))
