"""The whole check of a draft: what it promises, what it is based on, and the tenants it would be given to."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from plans import entitlements, promises
from plans.models import Plan, PlanStatus, PolicyRule, RuleScope
from plans.publishing import changes, coverage, limits, trial
from plans.publishing.contradiction import Contradiction, Kind, warning
from plans.terms import Entitlements, PlanTerms
from tenants import versions
from tenants.models import ATIToken, Tenant, User, UserStatus
from tenants.words import first_of

_TEN_TIMES = 10
_NAMED = 5


def contradictions(draft: Plan, *, now: datetime) -> tuple[Contradiction, ...]:
    """Everything that a draft, or an exception of a tenant it would be given to, says against it; errors first."""
    entitled, plan = _as_if(draft, now)
    own = [*_based_on(draft), *_changes(draft), *coverage.check(entitled, plan), *limits.check(entitled, plan)]
    found = [*own, *_seats(draft), *_foreign_users(draft, now)]
    found += _exceptions(draft, entitled, plan, now, {each.text for each in own})
    return tuple(sorted(found, key=lambda each: not each.is_error))


def errors(draft: Plan, *, now: datetime) -> tuple[Contradiction, ...]:
    """Those that refuse its publication, without looking at every tenant's own numbers."""
    entitled, plan = _as_if(draft, now)
    found = [*_based_on(draft), *coverage.check(entitled, plan), *limits.check(entitled, plan)]
    found += _foreign_users(draft, now)
    return tuple(each for each in found if each.is_error)


def _as_if(draft: Plan, now: datetime) -> tuple[Entitlements, PlanTerms]:
    versions.refresh(versions.CATALOGUE)
    catalogue = entitlements.catalogue()
    plan = trial.plan_terms(draft, promises.of(draft), catalogue)
    return trial.entitled(catalogue, plan, now), plan


def _tenants(draft: Plan) -> QuerySet[Tenant]:
    """Those who hold the revision that the draft takes the place of."""
    if draft.predecessor is None:
        return Tenant.objects.none()
    return Tenant.objects.filter(pk__in=ATIToken.objects.holding(draft.predecessor).values("tenant"))


def _rules(draft: Plan, now: datetime) -> QuerySet[PolicyRule]:
    """The exceptions of these tenants that hold now."""
    in_time = Q(ends_at=None) | Q(ends_at__gt=now)
    return PolicyRule.objects.filter(in_time, tenant__in=_tenants(draft)).select_related("tenant")


def _based_on(draft: Plan) -> Iterator[Contradiction]:
    active = Plan.objects.filter(code=draft.code, status=PlanStatus.ACTIVE).exclude(pk=draft.pk).first()
    if active is not None and active.pk != draft.based_on_id:
        base = f"is based on {draft.based_on}" if draft.based_on else "is based on no revision"
        yield Contradiction(
            Kind.OUTDATED, f"{draft} {base}, but {active} is the active one. Make a new draft of {draft.code}."
        )


def _changes(draft: Plan) -> Iterator[Contradiction]:
    if draft.predecessor is None:
        return
    found = changes.diff(draft)
    if not found and draft.name == draft.predecessor.name:
        yield warning(Kind.NOTHING_CHANGES, f"{draft} promises exactly what {draft.based_on} does.")
    for each in found:
        if each.factor is not None and each.factor >= _TEN_TIMES:
            yield warning(Kind.TEN_TIMES, f"{each}: {each.factor:,} times. Is the number of zeros right?")


def _seats(draft: Plan) -> Iterator[Contradiction]:
    """Nobody is put out, but nobody joins until there is room again."""
    if draft.max_seats is None:
        return
    people = Count("users", filter=Q(users__status=UserStatus.ACTIVE))
    tenants = _tenants(draft).annotate(people=people)
    rows = tenants.filter(people__gt=draft.max_seats).order_by("ati_id").values_list("ati_id", "people")
    full = [f"{ati_id} ({count:,})" for ati_id, count in rows]
    if full:
        yield warning(Kind.SEATS_TAKEN, f"max_seats {draft.max_seats:,}: more people are in {first_of(full, _NAMED)}.")


def _foreign_users(draft: Plan, now: datetime) -> Iterator[Contradiction]:
    """A user's rule whose user key is the id of a person of another tenant binds nobody."""
    rules = list(_rules(draft, now).filter(scope=RuleScope.USER).order_by("tenant__ati_id", "user_key", "key"))
    people = User.objects.select_related("tenant").in_bulk({key for rule in rules if (key := _uuid(rule.user_key))})
    for rule in rules:
        person = people.get(_uuid(rule.user_key))
        if person is not None and person.tenant_id != rule.tenant_id:
            whose = f"one of {person.tenant}'s people" if person.tenant else "a super admin"
            text = f"{rule.tenant}: its rule {rule.key} is for the user {rule.user_key}, who is {whose}."
            yield Contradiction(Kind.FOREIGN_USER, text)


def _exceptions(
    draft: Plan, entitled: Entitlements, plan: PlanTerms, now: datetime, own: set[str]
) -> Iterator[Contradiction]:
    """What the exceptions of a tenant make of the plan: without effect, or in the way of its numbers."""
    on = {task.code for task in coverage.usable(entitled, plan)}
    on |= {code for code, promise in plan.features.items() if promise.enabled}
    for name, group in groupby(_rules(draft, now).order_by("tenant__ati_id", "key"), lambda rule: str(rule.tenant)):
        rules = list(group)
        for rule in rules:
            target = rule.task_id or rule.feature_id
            if target is not None and target not in on:
                text = f"{name}: its rule {rule.key}@{target} has no effect, {target} is not in the plan."
                yield warning(Kind.EXCEPTION_WITHOUT_EFFECT, text)
        terms = replace(trial.NOBODY, rules=entitlements.rules_by_key(rules))
        for each in limits.check(replace(entitled, tenant=terms), plan):
            if each.text not in own:
                yield warning(each.kind, f"{name}: by its own exceptions {each.text}")


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
