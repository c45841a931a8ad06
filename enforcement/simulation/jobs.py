"""Simulations asked for here and done by a worker: queued, claimed, carried out, and picked up again where lost.

A worker claims a row by a conditional update and says in it every few seconds that it is alive. Two that work on one
row do no harm: the later claim has the higher attempt, and the earlier finds that out when it next writes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from enforcement.errors import KeyConflict
from enforcement.models import UNDER_WAY, Simulation, SimulationStatus
from enforcement.simulation import runs, trials
from enforcement.simulation.runs import Progress
from enforcement.simulation.trials import NothingToTry, Trial
from plans.models import Plan

log = structlog.get_logger()

TENANTS_SHOWN = 50
SILENT_AFTER = timedelta(minutes=2)
KEPT_FOR = timedelta(days=90)
_SPEAKS_EVERY = 2.0  # seconds
_ATTEMPTS = 3
_TASK = "enforcement.tasks.simulate"


class Superseded(Exception):
    """Another worker has claimed the row: this one stops."""


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key: whose it is, and the fingerprint of the body it came with."""

    service_key: UUID
    text: str
    fingerprint: str


def queue(
    *,
    plan: Plan | None,
    changes: Sequence[str],
    tenant: UUID | None,
    days: int,
    asked_by: str,
    key: Key | None = None,
) -> tuple[Simulation, bool]:
    """The simulation asked for, and whether it was there before under this key. Raises NothingToTry, KeyConflict."""
    found = None if key is None else _of_key(key)
    if found is not None:
        return found, True
    trials.require_something(plan, changes)
    named: Mapping[str, Any] = (
        {}
        if key is None
        else {"service_key": key.service_key, "idempotency_key": key.text, "fingerprint": key.fingerprint}
    )
    try:
        with transaction.atomic():
            made = Simulation.objects.create(
                plan=plan, changes=list(changes), tenant_id=tenant, days=days, asked_by=asked_by, **named
            )
            transaction.on_commit(partial(_publish, made.pk))
    except IntegrityError:
        found = None if key is None else _of_key(key)
        if found is None:
            raise
        return found, True
    return made, False


def _of_key(key: Key) -> Simulation | None:
    found = Simulation.objects.filter(service_key=key.service_key, idempotency_key=key.text).first()
    if found is not None and found.fingerprint != key.fingerprint:
        raise KeyConflict("This key was used with another body. Send a new key for a new request.")
    return found


def _publish(simulation: UUID) -> None:
    """Tell the workers. With Redis away nobody hears it, and the sweep tells them again."""
    try:
        current_app.send_task(_TASK, [str(simulation)], retry=False)
    except OperationalError as error:
        log.warning("simulation.waits", simulation=str(simulation), error=str(error))


def sweep(now: datetime) -> int:
    """Tells the workers of every simulation that waits or whose worker is silent, and forgets old ones; how many."""
    Simulation.objects.filter(created_at__lt=now - KEPT_FOR).exclude(status__in=UNDER_WAY).delete()
    waiting = list(Simulation.objects.filter(_is_claimable(now)).values_list("id", flat=True))
    for simulation in waiting:
        _publish(simulation)
    return len(waiting)


def _is_claimable(now: datetime) -> Q:
    is_silent = Q(status=SimulationStatus.RUNNING, heard_at__lt=now - SILENT_AFTER)
    return Q(status=SimulationStatus.QUEUED) | is_silent


def carry_out(simulation: UUID) -> None:
    """Does a simulation that nobody else does; what fails is told in the row."""
    now = timezone.now()
    claimed = Simulation.objects.filter(_is_claimable(now), pk=simulation).update(
        status=SimulationStatus.RUNNING,
        started_at=now,
        heard_at=now,
        attempt=F("attempt") + 1,
        progress=0,
        operations=0,
    )
    if not claimed:
        return
    row = Simulation.objects.select_related("plan").get(pk=simulation)
    try:
        if row.attempt > _ATTEMPTS:
            raise NothingToTry("", f"Its worker was lost {_ATTEMPTS} times. Try fewer days, or fewer tenants.")
        result = _result(row, now)
    except Superseded:
        return
    except NothingToTry as refused:
        _end(row, status=SimulationStatus.FAILED, error=str(refused))
    except Exception:
        _end(
            row, status=SimulationStatus.FAILED, error="It failed here. The operator finds out why in the worker's log."
        )
        raise
    else:
        _end(row, status=SimulationStatus.DONE, result=result, progress=1, operations=row.operations)


def _result(row: Simulation, now: datetime) -> dict[str, Any]:
    trial = Trial(plan=row.plan, changes=row.changes)
    tenants = trials.whom(row.plan, row.tenant_id)
    voice = _Voice(row)
    report = runs.run(trial, tenants, now=now, days=row.days, tell=voice.tell)
    row.operations = voice.operations
    is_noted = row.tenant_id is None and trials.note(trial, now)
    return report.wire(TENANTS_SHOWN) | {"is_draft_simulated": is_noted}


@dataclass(slots=True)
class _Voice:
    """Says in the row how far it is, every few seconds."""

    row: Simulation
    spoke: float = 0.0
    operations: int = 0

    def tell(self, progress: Progress) -> None:
        self.operations = progress.operations
        at = time.monotonic()
        if at - self.spoke >= _SPEAKS_EVERY:
            self.spoke = at
            _write(
                self.row,
                progress=round(progress.share, 4), operations=progress.operations, heard_at=timezone.now(),
            )  # fmt: skip


def _end(row: Simulation, **values: Any) -> None:  # noqa: ANN401 - columns
    try:
        _write(row, finished_at=timezone.now(), **values)
    except Superseded:
        log.info("simulation.superseded", simulation=str(row.pk), attempt=row.attempt)


def _write(row: Simulation, **values: Any) -> None:  # noqa: ANN401 - columns
    mine = Simulation.objects.filter(pk=row.pk, status=SimulationStatus.RUNNING, attempt=row.attempt)
    if not mine.update(**values):
        raise Superseded
