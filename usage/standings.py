"""How a tenant's quotas stand now: every meter that its tasks charge, with its limit and what it reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from plans import charges, modes
from plans.charges import Charge, Measure, PeriodKind
from plans.terms import Entitlements, TaskTerms
from usage import meters, queries
from usage.entries import Reading
from usage.meters import BoundCharge


@dataclass(frozen=True, slots=True)
class Standing:
    """A quota now: the charge that names it, its running period, and what its meter reads."""

    bound: BoundCharge
    reading: Reading

    @property
    def charge(self) -> Charge:
        """Which meter it is, and its limit."""
        return self.bound.charge

    @property
    def counted(self) -> int:
        """What is used of it; of calls open at once, those that are open."""
        return self.reading.reserved if self.charge.measure == Measure.SLOTS else self.reading.used

    @property
    def held(self) -> int:
        """What open calls hold beside it."""
        return 0 if self.charge.measure == Measure.SLOTS else self.reading.reserved

    @property
    def left(self) -> int | None:
        """What may still be granted; None where nothing limits it."""
        limit = self.charge.limit
        return None if limit is None else max(0, limit - self.counted - self.held)

    @property
    def resets_at(self) -> datetime | None:
        """When it starts again at zero; None for what never does."""
        return self.bound.period.end


def tasks_of(entitled: Entitlements) -> list[TaskTerms]:
    """The tasks that the plan in force has: those with a row in it whose feature is enabled."""
    plan = entitled.plan
    if plan is None:
        return []
    enabled = {code for code, promise in plan.features.items() if promise.enabled}
    return [task for task in entitled.catalogue.tasks.values() if task.code in plan.tasks and task.feature in enabled]


Key = tuple[str | None, str | None, str | None, Measure, PeriodKind]
"""Which meter a charge is on: user, feature, task, measure, period."""


def charged(entitled: Entitlements, tasks: Iterable[TaskTerms], user: str | None) -> dict[Key, Charge]:
    """Every charge of these tasks, each meter once, in the order in which they are made."""
    found: dict[Key, Charge] = {}
    for task in tasks:
        mode = modes.of_ask(entitled, entitled.catalogue.features[task.feature])
        for charge in charges.of(entitled, task, user, mode):
            found.setdefault((charge.user, charge.feature, charge.task, charge.measure, charge.period), charge)
    return found


def of(entitled: Entitlements, tasks: Iterable[TaskTerms], user: str | None) -> tuple[Standing, ...]:
    """Every meter that these tasks charge, once, in the order in which they do; one query."""
    order = {charge: place for place, charge in enumerate(charged(entitled, tasks, user).values())}
    bound = sorted(meters.bind(entitled.tenant.facts, order, entitled.now), key=lambda each: order[each.charge])
    read = queries.readings(entitled.tenant.facts.id, [each.meter for each in bound])
    return tuple(Standing(each, read.get(each.meter, Reading(0, 0, 0))) for each in bound)
