"""A small world for tests of the ledger: charges on a tenant's own meters, calls with few words, and its books."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from plans.charges import Charge, Measure, PeriodKind
from plans.entitlements import EVER
from plans.models import RolloutGate
from tenants import facts
from tenants.models import Tenant
from tenants.versions import Numbers
from usage import ledger, meters
from usage.audit import Breach, audit
from usage.entries import Answer, Basis, End, Ending, Event, Fact, Reservation
from usage.meters import BoundCharge
from usage.models import UsageLog, UsageMeter, UsageReservation

ALWAYS = Basis(numbers=Numbers(), since=EVER[0], until=EVER[1])

RATES = (1_000_000, 500_000, 2_000_000, 3_000_000, None)
"""1 nano-USD an input token, half of it cached, 2 written to the cache, 3 an output token."""

HELD = (100, 0, 0, 50, 0, 2, 3)
"""What a reservation of these tests holds: 100 tokens in, 50 out, 2 API calls, 3 items; 250 nano-USD."""

FEATURES = {
    "TOKENS": ("PATENT_DRAFTING", "LLM2_DRAFT"),
    "REQUESTS": ("DIAGRAM_GENERATION", "LLM3_DIAGRAM"),
    "API_CALLS": ("PRIOR_ART_SEARCH", "LLM1_PRIOR_ART"),
    "ITEMS": ("EMBEDDINGS", "EMBED"),
}
"""A feature and a task for each unit. Nothing seeded counts items: the unit of a reservation is its own."""


@dataclass(frozen=True, slots=True)
class State:
    """What a meter says."""

    used: int = 0
    overrun: int = 0
    reserved: int = 0


def charge(
    measure: Measure | str,
    amount: int,
    limit: int | None = None,
    *,
    period: PeriodKind | str = PeriodKind.DAY,
    enforced: bool = True,
    user: str | None = None,
    feature: str | None = None,
) -> Charge:
    """A charge; `user` and `feature` make a meter of its own."""
    return Charge(
        gate=RolloutGate.DAILY_QUOTA, measure=Measure(measure), period=PeriodKind(period), amount=amount, limit=limit,
        enforced=enforced, user=user, feature=feature,
    )  # fmt: skip


def everything(unit: str, *, limits: Mapping[str, int | None] | None = None) -> list[Charge]:
    """One charge of each measure, as a reservation that holds HELD makes them."""
    units = {"REQUESTS": 1, "TOKENS": 150, "API_CALLS": 2, "ITEMS": 3}[unit]
    limit = (limits or {}).get
    return [
        charge("UNITS", units, limit("UNITS"), feature=FEATURES[unit][0]),
        charge("TOKENS", 150, limit("TOKENS"), feature=FEATURES[unit][0], period="MONTH"),
        charge("COST", 250, limit("COST")),
        charge("REQUESTS", 1, limit("REQUESTS"), period="MINUTE"),
        charge("SLOTS", 1, limit("SLOTS"), period="OPEN"),
    ]


def fact_charges(unit: str = "TOKENS", limit: int | None = 10) -> list[Charge]:
    """What a fact is charged to; the limits are tiny."""
    return [
        charge("UNITS", 0, limit, feature=FEATURES[unit][0]),
        charge("TOKENS", 0, limit, feature=FEATURES[unit][0], period="MONTH"),
        charge("COST", 0, limit),
    ]


def totals(
    tokens_in: int | None = None,
    tokens_out: int | None = None,
    *,
    cached: int | None = None,
    written: int | None = None,
    calls: int | None = None,
    items: int | None = None,
) -> tuple[int | None, ...]:
    """Totals in the ledger's order; what is left out was not said."""
    return (tokens_in, cached, written, tokens_out, None, calls, items)


def end(
    kind: Ending | str = Ending.COMPLETED,
    said: Sequence[int | None] = totals(),
    *,
    body: str | None = None,
    **options: Any,
) -> End:
    """An ending; its fingerprint is of what it says, or of `body`."""
    said_so = body or f"{said} {sorted(options.items())}"
    return End(
        kind=Ending(kind), totals=tuple(said), fingerprint=ledger.fingerprint(str(kind), None, {"body": said_so}),
        **options,
    )  # fmt: skip


def released(reason: str = "") -> End:
    return end(Ending.RELEASED, body=f"released {reason}")


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger of one tenant, bound to the periods of one instant."""

    tenant: UUID
    at: datetime

    @classmethod
    def of(cls, tenant: UUID) -> "Books":
        return cls(tenant, timezone.now())

    @classmethod
    def new(cls) -> "Books":
        """Those of a new tenant, who has nothing else."""
        ati_id = f"T{uuid4().hex[:12]}".upper()
        return cls.of(Tenant.objects.create(ati_id=ati_id, name=ati_id).id)

    def task(self) -> dict[str, Any]:
        """What tells another process which books these are, see `workers`."""
        return {"tenant": str(self.tenant), "at": self.at.isoformat()}

    # --- calls

    def bind(self, charges: Iterable[Charge]) -> tuple[BoundCharge, ...]:
        return meters.bind(facts.tenant(self.tenant), charges, self.at)

    def wanted(
        self,
        charges: Iterable[Charge],
        *,
        key: str | None = None,
        body: str = "",
        unit: str = "TOKENS",
        **options: Any,
    ) -> Reservation:
        """What to reserve: an LLM call that holds HELD, unless the options say otherwise."""
        feature, task = FEATURES[unit]
        bound = self.bind(charges)
        limits = [[each.charge.gate, each.charge.limit, each.charge.enforced, each.charge.rule] for each in bound]
        plain = Reservation(
            key=key or str(uuid4()), fingerprint=ledger.fingerprint("enforce", self.tenant, {"body": body}),
            ttl_seconds=300, user_key=None, feature=feature, task=task, model_class="PRO_M", plan=None, unit=unit,
            rates=RATES, charges=bound, held_totals=HELD, held_cost=250, correlation_id=None,
            ask={"body": body}, metadata=None, decision={"body": body, "limits": limits},
        )  # fmt: skip
        return replace(plain, **options)

    def reserve(self, charges: Iterable[Charge], *, basis: Basis = ALWAYS, **options: Any) -> Answer:
        return ledger.reserve(self.tenant, basis, self.wanted(charges, **options))

    def hold(self, charges: Iterable[Charge], **options: Any) -> UUID:
        """Reserve what surely has room; its id."""
        answer = self.reserve(charges, **options)
        assert (answer.outcome, answer.status) == ("GRANTED", "OPEN")
        assert answer.id is not None
        return answer.id

    def settle(self, reservation: UUID, ending: End, *, user: str | None = None) -> Answer:
        return ledger.end(self.tenant, ALWAYS, reservation, ending, user=user)

    def record(self, *events: Event) -> list[Answer]:
        return ledger.record(self.tenant, ALWAYS, events)

    def expire(self, *reservations: UUID) -> int:
        """Let the deadline of these reservations pass, and sweep."""
        UsageReservation.objects.filter(id__in=reservations).update(expires_at=timezone.now() - timedelta(seconds=1))
        return ledger.expire(self.tenant)

    def fact(self, charges: Iterable[Charge], *, unit: str = "TOKENS", **options: Any) -> Fact:
        feature, task = FEATURES[unit]
        plain = Fact(
            user_key=None, feature=feature, task=task, model_class="PRO_M", plan=None, unit=unit, rates=RATES,
            charges=self.bind(charges), occurred_at=self.at,
        )  # fmt: skip
        return replace(plain, **options)

    def event(
        self,
        ending: End,
        *,
        event_id: str | None = None,
        fact: Fact | None = None,
        reservation: UUID | None = None,
        body: str = "",
    ) -> Event:
        return Event(
            source="tests", event_id=event_id or str(uuid4()),
            fingerprint=ledger.fingerprint("event", self.tenant, {"body": body, "end": ending.fingerprint}),
            reservation=reservation, end=ending, fact=fact,
        )  # fmt: skip

    # --- what is written

    def states(self, charges: Sequence[Charge]) -> list[State]:
        """The meters of charges as they stand, in their order; zeros where one has no row."""
        ids = [self.bind([each])[0].meter for each in charges]
        rows = UsageMeter.objects.for_tenant(self.tenant).values_list("id", "used", "overrun", "reserved")
        found = {id_: State(*numbers) for id_, *numbers in rows}
        return [found.get(id_, State()) for id_ in ids]

    def meter(self, of: Charge) -> State:
        return self.states([of])[0]

    def meters(self, charges: Sequence[Charge]) -> dict[str, State]:
        """The meters of charges that differ in their measure, by measure."""
        return dict(zip([each.measure.value for each in charges], self.states(charges), strict=True))

    def reservation(self, reservation: UUID) -> UsageReservation:
        found: UsageReservation = UsageReservation.objects.for_tenant(self.tenant).get(id=reservation)
        return found

    def log(self) -> list[UsageLog]:
        """Every log row, oldest first (ids of one millisecond are not in order)."""
        return list(UsageLog.objects.for_tenant(self.tenant).order_by("recorded_at", "attempt", "id"))


def booked(rows: Iterable[UsageLog], meter: UUID) -> tuple[int, int]:
    """What log rows have charged to a meter, and what of it no hold covered."""
    places = [(row, row.meters.index(meter)) for row in rows if meter in row.meters]
    return sum(row.charges[place] for row, place in places), sum(row.overruns[place] for row, place in places)


def breaches(tenant: UUID) -> tuple[Breach, ...]:
    """What the audit finds in all that is kept of a tenant: nothing, ever."""
    return audit([tenant], full=True).breaches
