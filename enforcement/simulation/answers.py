"""What a simulation answers, as types: what the description says of it."""

from dataclasses import dataclass
from typing import Any, TypedDict
from uuid import UUID

from enforcement.models import Simulation, SimulationStatus
from usage.answers import Instant, Usd


class Calls(TypedDict):
    """How many calls, what they really cost, and when the first was made."""

    requests: int
    cost: Usd
    first_at: Instant | None


class CallsByCode(Calls):
    """Calls with the code that refuses them; `gate` null: before any meter."""

    code: str
    gate: str | None


class CallsByParam(Calls):
    """Calls with what the plan gives less of, or (model_class) another."""

    param: str


class Refused(Calls):
    """Calls that are refused, and by what."""

    by: list[CallsByCode]


class SimulationFindings(TypedDict):
    """What became of calls. `booked_alone` is usage that nobody asked for: it fills quotas and is not refused."""

    requests: int
    cost: Usd
    refused_now: int
    refused_then: int
    booked_alone: int
    newly_refused: Refused
    newly_permitted: Refused
    shaped: list[CallsByParam]
    observed: list[CallsByCode]


class TenantFindings(SimulationFindings):
    """Those of one tenant."""

    tenant: str


SimulationResult = TypedDict(
    "SimulationResult",
    {
        "from": Instant,
        "until": Instant,
        "tenants_simulated": int,
        "tenants_newly_refused": int,
        "total": SimulationFindings,
        "tenants": list[TenantFindings],
        "is_draft_simulated": bool,
    },
)
"""What a simulation found of all tenants, and of those it would hit most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationNow:
    """A simulation as it stands. `progress` is the share that is done, 0 to 1; `result` is there once it is DONE."""

    id: UUID
    status: SimulationStatus
    progress: float
    operations: int
    plan: str | None
    revision: int | None
    changes: list[str]
    tenant: str | None
    days: int
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    result: SimulationResult | None
    error: str | None


def standing(row: Simulation) -> SimulationNow:
    """A stored simulation, with its plan and tenant."""
    result: Any = row.result
    return SimulationNow(
        id=row.id,
        status=SimulationStatus(row.status),
        progress=row.progress,
        operations=row.operations,
        plan=row.plan.code if row.plan else None,
        revision=row.plan.revision if row.plan else None,
        changes=row.changes,
        tenant=row.tenant.ati_id if row.tenant else None,
        days=row.days,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        result=result,
        error=row.error or None,
    )
