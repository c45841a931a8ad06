"""Noticing that quotas reach their thresholds: at once, from the numbers that a booking returned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError

from alerts import nudging, policies, thresholds
from alerts.models import AlertKind
from alerts.noticing import Noticed, notice
from alerts.quotas import Quota
from alerts.thresholds import Step
from plans import entitlements
from plans.charges import Measure, PeriodKind
from usage.entries import Reading

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Move:
    """What a booking did to one meter: its `scope` as BoundCharge gives it, the limit in force, how much was used
    of it, and what it then read.
    """

    scope: Sequence[Any]
    limit: int | None
    amount: int
    reading: Reading

    def quota(self) -> Quota:
        """The quota as the booking left it."""
        user, feature, task, measure, period, start, end, unit = self.scope
        return Quota(
            user=user, feature=feature, task=task, measure=Measure(measure), period=PeriodKind(period), unit=unit,
            starts_at=datetime.fromisoformat(start), ends_at=datetime.fromisoformat(end) if end else None,
            limit=self.limit, reading=self.reading,
        )  # fmt: skip


def crossed(tenant: UUID, moves: Iterable[Move], at: datetime) -> int:
    """Notices the thresholds that one booking reached; how many were new.

    The meters were locked while it was booked, so of all bookings exactly one finds a threshold between what was used
    before it and after. Compared in memory: only where one was reached is a statement made. The booking stands
    whatever happens here; what could not be written down, the sweep finds.
    """
    try:
        found = [noticed for move in moves if move.amount > 0 for noticed in _reached_by(tenant, move, at)]
        return tell(found, at) if found else 0
    except (DatabaseError, InterfaceError) as error:
        log.warning("crossing not noticed, the sweep will", tenant=str(tenant), error=str(error))
        return 0


def _reached_by(tenant: UUID, move: Move, at: datetime) -> list[Noticed]:
    """Nothing where the period is over: who reads of it could do nothing about it."""
    _, feature, task, measure, period, *_ = move.scope
    used = move.reading.used
    steps = policies.steps(tenant, _about(feature, task), measure, period, move.limit)
    found = thresholds.crossed(steps, used - move.amount, used)
    if not found:
        return []
    quota = move.quota()
    return [_noticed(tenant, quota, step) for step in found] if quota.ends_at is None or quota.ends_at > at else []


def tell(found: Sequence[Noticed], at: datetime) -> int:
    """Writes down what was noticed and has it told soon; how many were new."""
    new = notice(found, at)
    if new:
        nudging.nudge()
    return len(new)


def reached(tenant: UUID, quota: Quota) -> list[Noticed]:
    """What a quota that reads so has reached, told already or not."""
    about = _about(quota.feature, quota.task)
    steps = policies.steps(tenant, about, quota.measure, quota.period, quota.limit)
    return [_noticed(tenant, quota, step) for step in thresholds.reached(steps, quota.counted)]


def _about(feature: str | None, task: str | None) -> str | None:
    """The feature whose policies hold for a meter."""
    return entitlements.catalogue().tasks[task].feature if task else feature


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
