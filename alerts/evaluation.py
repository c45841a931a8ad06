"""Noticing that quotas reach their thresholds: at once, from the numbers that a booking returned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError

from alerts import nudging, policies, thresholds
from alerts.models import AlertKind
from alerts.noticing import Noticed, notice
from alerts.quotas import Quota
from alerts.thresholds import Rule, Step
from plans import entitlements

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Move:
    """A quota as a booking left it, and how much of it that booking used."""

    quota: Quota
    amount: int


def crossed(tenant: UUID, moves: Iterable[Move], at: datetime) -> int:
    """Notices the thresholds that one booking reached; how many were new.

    The meters were locked while it was booked, so of all bookings exactly one finds a threshold between what was used
    before it and after. Compared in memory: only where one was reached is a statement made. The booking stands
    whatever happens here; what could not be written down, the sweep finds.
    """
    try:
        rules = policies.of(tenant)
        found = [
            _noticed(tenant, move.quota, step)
            for move in moves
            if move.amount > 0 and (move.quota.ends_at is None or move.quota.ends_at > at)
            for step in thresholds.crossed(
                steps_of(rules, move.quota), move.quota.counted - move.amount, move.quota.counted
            )
        ]
        return tell(found, at) if found else 0
    except (DatabaseError, InterfaceError) as error:
        log.warning("crossing not noticed, the sweep will", tenant=str(tenant), error=str(error))
        return 0


def tell(found: Sequence[Noticed], at: datetime) -> int:
    """Writes down what was noticed and has it told soon; how many were new."""
    new = notice(found, at)
    if new:
        nudging.nudge()
    return len(new)


def steps_of(rules: Sequence[Rule], quota: Quota) -> tuple[Step, ...]:
    """The thresholds of a quota."""
    feature = entitlements.catalogue().tasks[quota.task].feature if quota.task else quota.feature
    return thresholds.steps(thresholds.choose(rules, feature, quota.measure, quota.period), quota.limit)


def reached(tenant: UUID, rules: Sequence[Rule], quota: Quota) -> list[Noticed]:
    """What a quota that reads so has reached, told already or not."""
    return [_noticed(tenant, quota, step) for step in thresholds.reached(steps_of(rules, quota), quota.counted)]


def _noticed(tenant: UUID, quota: Quota, step: Step) -> Noticed:
    return Noticed(
        tenant=tenant,
        kind=step.kind,
        severity=step.severity,
        subject=quota.subject,
        user_key=quota.user,
        threshold=step.value,
        episode=quota.episode if step.kind == AlertKind.THRESHOLD else quota.span,
        numbers=quota.numbers(),
    )
