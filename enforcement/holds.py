"""A reservation as it stands: what it took from which meter, and what of that is left."""

from dataclasses import dataclass
from uuid import UUID

from enforcement.answers import Amount, Params, Scope
from enforcement.decisions import MeterState, meter_states
from enforcement.settlement import started_at
from plans.charges import Measure, PeriodKind
from plans.money import usd
from usage.answers import Instant, Usd
from usage.entries import readings_of
from usage.models import ReservationStatus, UsageReservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a reservation took from one meter: held at first, booked since, and still held."""

    scope: Scope
    feature: str | None
    task: str | None
    user: str | None
    measure: Measure
    unit: str
    period: PeriodKind
    amount: Amount
    booked: Amount
    left: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationNow:
    """A reservation as it stands. `cost` is what was booked so far, null where nothing was or it is not known."""

    reservation_id: UUID
    status: ReservationStatus
    created_at: Instant
    expires_at: Instant
    ended_at: Instant | None
    user: str | None
    feature: str
    task: str
    params: Params
    holds: list[Hold]
    cost: Usd | None
    metadata: dict[str, str] | None


def standing(row: UsageReservation) -> ReservationNow:
    """A stored reservation with its holds."""
    states = meter_states(row.charges, row.decision["limits"], row.amounts, readings_of(row.readings))
    is_open = row.status == ReservationStatus.OPEN
    return ReservationNow(
        reservation_id=row.id,
        status=ReservationStatus(row.status),
        created_at=started_at(row.id),
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        user=row.user_key,
        feature=row.feature_id,
        task=row.task_id,
        params=row.decision["params"],
        holds=[
            _hold(state, amount, booked, is_open=is_open)
            for state, amount, booked in zip(states, row.amounts, row.booked, strict=True)
        ],
        cost=None if row.cost is None else usd(row.cost),
        metadata=row.metadata,
    )


def _hold(state: MeterState, amount: int, booked: int, *, is_open: bool) -> Hold:
    left = max(0, amount - booked) if is_open else 0
    return Hold(**state.scope(), amount=state.shown(amount), booked=state.shown(booked), left=state.shown(left))
