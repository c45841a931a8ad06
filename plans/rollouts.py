"""The roll-out as an operator changes it: a gate is switched, a rule ended, a plan's first cycle watched.

What has begun stays on record. So nothing is edited: a later rule takes the place of an earlier one, and an end is
written beside the rule that it ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from plans import calendars, periods
from plans.models import RolloutGate, RolloutRule
from tenants.models import EnforcementMode, Tenant

FIRST_CYCLE = "First cycle: the daily quota is watched until the month ends"


class Ended(ValueError):
    """The rule has ended already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a gate stands at an instant: everybody's rule in force (None: it binds), and tenants' own in force."""

    gate: RolloutGate
    everybody: RolloutRule | None
    own: tuple[RolloutRule, ...]

    @property
    def mode(self) -> EnforcementMode:
        """The mode for everybody without a rule of their own."""
        return EnforcementMode(self.everybody.mode) if self.everybody else EnforcementMode.ENFORCE


def standings(now: datetime) -> list[Standing]:
    """Every gate in order, by two queries."""
    rules = RolloutRule.objects.select_related("tenant").filter(starts_at__lte=now).exclude(ends_at__lte=now)
    latest: dict[tuple[str, object], RolloutRule] = {}
    for rule in rules.order_by("starts_at"):
        latest[rule.gate, rule.tenant_id] = rule
    return [
        Standing(
            gate=gate,
            everybody=latest.get((gate, None)),
            own=tuple(_by_tenant(rule for (of, whose), rule in latest.items() if of == gate and whose is not None)),
        )
        for gate in RolloutGate
    ]


def coming(now: datetime) -> QuerySet[RolloutRule]:
    """The rules that have not begun yet, the next one first."""
    waiting = RolloutRule.objects.select_related("tenant").filter(starts_at__gt=now, ends_at=None)
    return waiting.order_by("starts_at", "gate")


def _by_tenant(rules: Iterable[RolloutRule]) -> list[RolloutRule]:
    return sorted(rules, key=lambda rule: rule.tenant.ati_id if rule.tenant else "")


def switch(
    gate: RolloutGate, mode: EnforcementMode, *, at: datetime, reason: str, tenant: Tenant | None = None
) -> RolloutRule:
    """From `at` on the gate is in this mode, for everybody or one tenant. The reason is for those who come later.

    Raises IntegrityError where a single gate would be off, OFF has no reason, or a rule begins at this very instant.
    """
    return RolloutRule.objects.create(tenant=tenant, gate=gate, mode=mode, starts_at=at, reason=reason)


def end(rule: RolloutRule, *, at: datetime) -> None:
    """From `at` on it is as if the rule were not there. Raises Ended."""
    with transaction.atomic():
        locked = RolloutRule.objects.select_for_update(no_key=True).get(pk=rule.pk)
        if locked.ends_at is not None:
            raise Ended(f"It ended on {locked.ends_at:%Y-%m-%d %H:%M} UTC.")
        rule.ends_at = max(at, locked.starts_at)
        rule.save(update_fields=["ends_at"])


def first_cycle(tenant: Tenant, *, now: datetime) -> tuple[RolloutRule, RolloutRule]:
    """A tenant's first month: its daily quotas are watched from `now` on, and bind once the month has ended.

    Its own month, in its own zone. Written in one transaction.
    """
    ends = periods.month_end(calendars.stored(tenant), now)
    with transaction.atomic():
        return tuple(  # type: ignore[return-value]  # there are two
            switch(RolloutGate.DAILY_QUOTA, mode, at=at, reason=FIRST_CYCLE, tenant=tenant)
            for mode, at in ((EnforcementMode.OBSERVE, now), (EnforcementMode.ENFORCE, ends))
        )
