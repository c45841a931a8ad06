"""What is kept of a decision: of a permit with its reservation or its log, of a refusal with its denial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from plans.models import RolloutGate
from tenants.ids import instant_of
from usage import queries
from usage.entries import Reading, readings_of
from usage.models import Denial, LogArchive, UsageLog, UsageMeter
from usage.sight import Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One charge as it is kept. `limit` is [gate, limit, enforced, rule].

    `scope` is BoundCharge.scope() and `amount` what was asked of the meter; both None where that is forgotten: the
    log keeps no minutes.
    """

    limit: Sequence[Any]
    reading: Reading
    scope: Sequence[Any] | None
    amount: int | None
    is_overage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision as it is kept. `message` and `binding` are the refusal's; `times`: how often it was made alike.

    `charges` are empty where no meter was asked.
    """

    at: datetime
    code: str = "OK"
    message: str = ""
    stored: Mapping[str, Any]
    ask: Mapping[str, Any] | None
    user: str | None
    feature: str | None
    task: str | None
    charges: Sequence[Kept] = ()
    binding: Mapping[str, Any] | None = None
    times: int = field(default=1)


def of(sight: Sight, id_: UUID) -> Decided | None:
    """The decision with this id, which is its reservation's or its refusal's: one to four queries.

    None where there is none, or where the row was kept without it.
    """
    return _held(sight, id_) or _refused(sight, id_) or _logged(sight, id_)


def archived(id_: UUID) -> str | None:
    """The month of a decision, such as 2025-08, where its log is kept in files and tells of it no more."""
    found = LogArchive.objects.of(id_).first()
    return None if found is None else str(found)


def _held(sight: Sight, id_: UUID) -> Decided | None:
    row = queries.reservation(sight.tenant.id, id_, sight.user)
    if row is None or not _is_whole(row.decision, "limits"):
        return None
    return Decided(
        at=instant_of(id_), stored=row.decision, ask=row.ask, user=row.user_key, feature=row.feature_id,
        task=row.task_id, charges=_charges(row.decision, row.readings, row.charges, row.amounts),
    )  # fmt: skip


def _refused(sight: Sight, id_: UUID) -> Decided | None:
    row: Denial | None = queries.seen(Denial.objects.for_tenant(sight.tenant.id), sight).filter(id=id_).first()
    if row is None or not _is_whole(row.decision):
        return None
    stored = row.decision
    charges: Sequence[Kept] = ()
    if "charges" in stored:
        charges = _charges(stored, stored["readings"], stored["charges"], stored["amounts"])
    return Decided(
        at=instant_of(id_), code=row.code, message=row.message, stored=stored, ask=stored.get("ask"), user=row.user_key,
        feature=row.feature_id, task=row.task_id, charges=charges, binding=row.binding, times=row.count,
    )  # fmt: skip


def _logged(sight: Sight, id_: UUID) -> Decided | None:
    """Of a reservation that was pruned; the ids of its log rows are not older than its own."""
    first = UUID(int=id_.int >> 80 << 80)
    rows = queries.seen(UsageLog.objects.for_tenant(sight.tenant.id), sight)
    row: UsageLog | None = rows.filter(reservation_id=id_, id__gte=first, decision__isnull=False).order_by("id").first()
    if row is None or row.decision is None or not _is_whole(row.decision, "limits", "readings"):
        return None
    meters = {meter.id: meter for meter in UsageMeter.objects.for_tenant(sight.tenant.id).filter(id__in=row.meters)}
    lasting = iter(zip(row.meters, row.helds, strict=True))
    scopes: list[Sequence[Any] | None] = []
    amounts: list[int | None] = []
    for gate, *_ in row.decision["limits"]:
        # Minutes are the rates' and nobody else's.
        meter, held = (None, None) if gate == RolloutGate.RATES else next(lasting)
        found = meters.get(meter) if meter is not None else None
        scopes.append(None if found is None else _scope(found, row.unit))
        amounts.append(held)
    return Decided(
        at=instant_of(id_), stored=row.decision, ask=row.ask, user=row.user_key, feature=row.feature_id,
        task=row.task_id, charges=_charges(row.decision, row.decision["readings"], scopes, amounts),
    )  # fmt: skip


def _is_whole(stored: Mapping[str, Any], *parts: str) -> bool:
    """Whether a row has what a decision is told from; one of another hand than the gatekeeper's need not."""
    return all(part in stored for part in ("mode", *parts))


def _scope(meter: UsageMeter, unit: str) -> list[Any]:
    """As BoundCharge.scope() gives it."""
    return [
        meter.user_key, meter.feature_id, meter.task_id, meter.measure, meter.period, meter.period_start.isoformat(),
        meter.period_end.isoformat() if meter.period_end else None, unit if meter.measure == "UNITS" else None,
    ]  # fmt: skip


def _charges(
    stored: Mapping[str, Any],
    readings: Sequence[int],
    scopes: Sequence[Sequence[Any] | None],
    amounts: Sequence[int | None],
) -> list[Kept]:
    passed = set(stored.get("overage", ()))
    parts = zip(stored["limits"], readings_of(readings), scopes, amounts, strict=True)
    return [
        Kept(limit=limit, reading=reading, scope=scope, amount=amount, is_overage=place in passed)
        for place, (limit, reading, scope, amount) in enumerate(parts)
    ]
