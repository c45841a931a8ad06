"""Asks and decisions as values, and how a decision reads on the wire."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from plans import money
from plans.charges import Measure, PeriodKind
from plans.codes import Code
from plans.models import RolloutGate
from plans.permits import Wants
from usage.entries import Reading

# The gates in the order in which they are tried, and the code of each refusal.
GATE_CODES = {
    RolloutGate.CONCURRENCY: Code.CONCURRENCY_LIMIT,
    RolloutGate.RATES: Code.RATE_LIMITED,
    RolloutGate.DAILY_QUOTA: Code.DAILY_QUOTA_EXCEEDED,
    RolloutGate.MONTHLY_QUOTA: Code.MONTHLY_QUOTA_EXCEEDED,
    RolloutGate.TOKEN_LIMITS: Code.TOKEN_LIMIT_EXCEEDED,
    RolloutGate.USER_QUOTA: Code.USER_QUOTA_EXCEEDED,
    RolloutGate.BUDGET: Code.BUDGET_EXCEEDED,
}
_GATE_ORDER = {gate: place for place, gate in enumerate(GATE_CODES)}
_RETRYABLE = frozenset({Code.CONCURRENCY_LIMIT, Code.RATE_LIMITED})
_UNIT_WORDS = {"TOKENS": "tokens", "REQUESTS": "requests", "API_CALLS": "API calls", "ITEMS": "items", "USD": "USD"}
_PERIOD_WORDS = {PeriodKind.MINUTE: "this minute", PeriodKind.DAY: "today", PeriodKind.MONTH: "this month"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a service asks before an expensive call, as it was sent.

    `body` is every field of it with defaults filled in; it makes the fingerprint.
    """

    tenant: str | None
    user: str | None
    task: str | None
    feature: str | None
    wants: Wants
    metadata: Mapping[str, str] | None
    body: Mapping[str, Any]
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """One charge of a decision with what its meter read when it was decided."""

    user: str | None
    feature: str | None
    task: str | None
    measure: Measure
    period: PeriodKind
    resets_at: datetime | None
    unit: str
    gate: RolloutGate
    rule: str | None
    limit: int | None
    enforced: bool
    amount: int
    reading: Reading

    @property
    def remaining(self) -> int:
        """What is left under the limit; 0 where it is over, or where there is none to count down from."""
        return max(0, (self.limit or 0) - self.reading.used - self.reading.reserved)

    @property
    def binds(self) -> bool:
        """Whether the amount does not fit."""
        return self.limit is not None and 0 < self.amount > self.remaining

    @property
    def code(self) -> Code:
        """The reason its refusal has."""
        return GATE_CODES[self.gate]

    @property
    def fits_never(self) -> bool:
        """Whether the amount is more than the whole limit."""
        return self.limit is not None and self.amount > self.limit

    def urgency(self) -> tuple[float, int]:
        """Of several that bind, the largest is named: what resets last (SLOTS at once), then gate order."""
        return self.resets_at.timestamp() if self.resets_at else 0.0, -_GATE_ORDER[self.gate]

    def shown(self, amount: int) -> int | str:
        """An amount of this measure on the wire: money as USD, anything else as its count."""
        return money.usd(amount) if self.measure == Measure.COST else amount

    def share_left(self, held: int = 0) -> float:
        """The share of the limit that is left once `held` more is taken; what is tightest sorts first."""
        return (self.remaining - held) / self.limit if self.limit else 0.0

    def scope(self) -> dict[str, Any]:
        """Which meter this is: the first keys of every object about one."""
        return {
            "scope": "USER" if self.user is not None else "TENANT",
            "feature": self.feature,
            "task": self.task,
            "user": self.user,
            "measure": self.measure,
            "unit": self.unit,
            "period": self.period,
        }

    def quota(self, held: int = 0) -> dict[str, Any]:
        """The quota object of the API, `held` added to what is reserved."""
        return self.scope() | {
            "limit": None if self.limit is None else self.shown(self.limit),
            "used": self.shown(self.reading.used),
            "reserved": self.shown(self.reading.reserved + held),
            "overrun": self.shown(self.reading.overrun),
            "remaining": None if self.limit is None else self.shown(max(0, self.remaining - held)),
            "resets_at": instant(self.resets_at),
        }

    def binding(self) -> dict[str, Any]:
        """The quota object of a refusal: with what was requested."""
        return self.quota() | {"requested": self.shown(self.amount)}

    def message(self) -> str:
        """Why it refuses, in words: what was asked, what is left, of what, and when that changes."""
        subject = self.task or self.feature or "All features"
        if self.measure == Measure.SLOTS and self.limit == 0:
            return f"{subject}: no reservation may be open, the concurrency limit is 0."
        if self.measure == Measure.SLOTS:
            return (
                f"{subject}: {self.reading.reserved:,} reservations are open and {self.limit:,} may be at once. "
                "Commit or release one, then ask again."
            )
        if self.user is not None:
            subject = f"{subject} for this user"
        if self.measure == Measure.COST:
            asked, left, limit = (f"USD {money.usd(n)}" for n in (self.amount, self.remaining, self.limit or 0))
        else:
            asked, left, limit = (f"{n:,}" for n in (self.amount, self.remaining, self.limit or 0))
            unit = _UNIT_WORDS.get(self.unit, self.unit.lower())
            asked = f"{asked} {unit.removesuffix('s') if self.amount == 1 else unit}"
        resets = f"; resets at {self.resets_at:%Y-%m-%d %H:%M} UTC" if self.resets_at else ""
        never = " It is more than the whole limit: ask for less." if self.fits_never else ""
        return f"{subject}: {asked} asked, {left} left of {limit} {_PERIOD_WORDS[self.period]}{resets}.{never}"

    def retry_after(self, now: datetime) -> int:
        """Seconds after which the meter starts again at zero, or may have a free slot."""
        if self.resets_at is None:
            return 1
        return max(1, int((self.resets_at - now).total_seconds()) + 1)


def instant(at: datetime | None) -> str | None:
    """An instant on the wire: RFC 3339, UTC, whole seconds."""
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%S}Z"


def meter_states(
    scopes: Sequence[Sequence[Any]],
    limits: Sequence[Sequence[Any]],
    amounts: Sequence[int],
    readings: Sequence[Reading],
) -> tuple[MeterState, ...]:
    """The charges of a decision from their stored parts, fresh or replayed alike.

    `scopes` as BoundCharge.scope() gives them, `limits` as [gate, limit, enforced, rule].
    """
    return tuple(
        MeterState(
            user=scope[0],
            feature=scope[1],
            task=scope[2],
            measure=Measure(scope[3]),
            period=PeriodKind(scope[4]),
            resets_at=datetime.fromisoformat(scope[6]) if scope[6] else None,
            unit=_unit(scope),
            gate=RolloutGate(gate),
            rule=rule,
            limit=limit,
            enforced=enforced,
            amount=amount,
            reading=reading,
        )
        for scope, (gate, limit, enforced, rule), amount, reading in zip(scopes, limits, amounts, readings, strict=True)
    )


def _unit(scope: Sequence[Any]) -> str:
    if scope[3] == Measure.COST:
        return "USD"
    return str(scope[7] or scope[3])


def binding_of(states: Iterable[MeterState]) -> MeterState | None:
    """Of the enforced charges that do not fit, the one to name."""
    return max((each for each in states if each.enforced and each.binds), key=MeterState.urgency, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to an ask. `stored` is its part that is kept: params, shaped, mode and what explains them."""

    allowed: bool
    code: Code
    message: str
    stored: Mapping[str, Any]
    states: tuple[MeterState, ...] = ()
    reservation_id: UUID | None = None
    decision_id: UUID | None = None
    expires_at: datetime | None = None
    now: datetime
    status: str | None = None
    is_replayed: bool = False

    def wire(self) -> dict[str, Any]:
        """The body of an enforce or check answer."""
        stored = self.stored
        binding = None if self.allowed else binding_of(self.states)
        body: dict[str, Any] = {
            "allowed": self.allowed,
            "code": self.code,
            "message": self.message,
            "retryable": False,
            "retry_after_seconds": None,
            "reservation_id": self.reservation_id,
            "expires_at": instant(self.expires_at),
            "ttl_seconds": self._ttl(),
            "decision_id": self.decision_id,
            "params": stored.get("params"),
            "shaped": stored.get("shaped", []),
            "mode": stored.get("mode"),
            "would_deny": self._would_deny(),
            "estimated_cost": stored.get("estimated_cost"),
            "hold": stored.get("hold"),
            "on_failure": stored.get("on_failure"),
            "policy_version": stored.get("policy_version"),
            "binding": None,
            "quotas": self._quotas(),
        }
        if binding is not None:
            body["binding"] = binding.binding()
            never = any(each.enforced and each.binds and each.fits_never for each in self.states)
            body["retryable"] = self.code in _RETRYABLE and not never
            body["retry_after_seconds"] = None if never else binding.retry_after(self.now)
        if self.status is not None:
            body["status"] = self.status
        return body

    def _ttl(self) -> int | None:
        if self.expires_at is None:
            return None
        return max(0, round((self.expires_at - self.now).total_seconds()))

    def _would_deny(self) -> list[dict[str, Any]] | None:
        if self.stored.get("mode") == "ENFORCE" and not self._observed():
            return None
        if self.stored.get("mode") == "OFF":
            return None
        return self._observed()

    def _observed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [{"code": code, "binding": None} for code in self.stored.get("would_deny", [])]
        watched = [each for each in self.states if each.binds and not each.enforced]
        watched.sort(key=MeterState.urgency, reverse=True)
        return found + [{"code": each.code, "binding": each.binding()} for each in watched]

    def _quotas(self) -> list[dict[str, Any]]:
        """The limited meters that a permit touches, tightest first; a refusal touches none."""
        if not self.allowed:
            return []
        limited = [each for each in self.states if each.limit is not None and each.amount > 0]
        held = self.reservation_id is not None
        limited.sort(key=lambda each: each.share_left(each.amount if held else 0))
        return [each.quota(each.amount if held else 0) for each in limited]

    def tightest(self) -> MeterState | None:
        """The limited meter of which the smallest share is left; money is not counted here."""
        limited = [
            each
            for each in self.states
            if each.limit is not None and each.amount > 0 and each.measure not in (Measure.COST, Measure.SLOTS)
        ]
        held = self.reservation_id is not None
        return min(limited, key=lambda each: each.share_left(each.amount if held else 0), default=None)
