"""From ask to decision: the gates, then one ledger call, and a second one where a smaller permit may fit.

Everything before the ledger call is decided from snapshots (`gates`); the call confirms that they still held, and
raises `Stale` where they did not: the caller decides again with the instant it brings.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from enforcement import asks, gates, kept, records, replies
from enforcement.decisions import Ask, Decision, binding_of
from enforcement.errors import Invalid, KeyConflict, Unknown
from enforcement.prepared import Prepared
from enforcement.replies import Refused
from plans import entitlements, policies
from plans.codes import Code
from plans.rates import PriceOutOfBounds
from tenants.authentication import Caller
from tenants.models import EnforcementMode
from usage import estimates, ledger, meters
from usage.entries import Answer, Basis, Outcome, Reading, Reservation

_UNGRANTED = (Outcome.DENIED, Outcome.DEGRADE)


def enforce(caller: Caller, ask: Ask, *, key: str, now: datetime) -> Decision:
    """Decide, and hold what is granted. Raises Stale, Invalid, Unknown, KeyConflict.

    A refusal is recorded with its numbers; the same key may ask again. One query where all is granted, two where
    less is, and one more than that took to record a refusal.
    """
    prepared = _prepare(caller, ask, key=key, now=now)
    if isinstance(prepared, Decision):
        return prepared
    found = _decide(prepared, now)
    return replace(found.decision, decision_id=replies.record(found, 1)) if isinstance(found, Refused) else found


def _decide(prepared: Prepared, now: datetime) -> Decision | Refused:
    if prepared.reservation is None:
        answer = ledger.confirm(prepared.tenant, prepared.basis, key=prepared.key, asked=prepared.asked)
        return replies.confirmed(prepared, answer)
    try:
        answer = ledger.reserve(prepared.tenant, prepared.basis, prepared.reservation)
        second = prepared.shaped(_taken(answer.readings)) if answer.outcome in _UNGRANTED else None
        if second is None or second.reservation is None:
            return replies.decided(prepared, answer)
        answer = ledger.reserve(second.tenant, second.basis, second.reservation)
    except ledger.LostRace as lost:
        return replies.denied(prepared, lost.readings, now)
    return replies.decided(second if answer.outcome == Outcome.GRANTED else prepared, answer)


def enforce_batch(caller: Caller, batch: Sequence[tuple[str, Ask]], *, now: datetime) -> list[Decision | Exception]:
    """As `enforce` for many asks, in order; one that is invalid, unknown or in conflict fails alone. Raises Stale."""
    results: list[Decision | Exception | None] = [None] * len(batch)
    waiting: defaultdict[UUID, list[tuple[int, Prepared]]] = defaultdict(list)
    for place, (key, ask) in enumerate(batch):
        try:
            prepared = _prepare(caller, ask, key=key, now=now)
            if isinstance(prepared, Decision):
                results[place] = prepared
            else:
                waiting[prepared.tenant].append((place, prepared))
        except (Invalid, Unknown, KeyConflict) as error:
            results[place] = error
    if not waiting:
        asks.confirm_caller(caller)
    for items in waiting.values():
        decided = _decide_together([prepared for _, prepared in items], now)
        for (place, _), result in zip(items, replies.recorded(decided), strict=True):
            results[place] = result
    return [result for result in results if result is not None]


def _decide_together(items: Sequence[Prepared], now: datetime) -> list[Decision | Refused | Exception]:
    """Many asks of one tenant: one call for those with meters and one for those without."""
    found: dict[int, Decision | Refused | Exception] = {}
    plain = [(place, each) for place, each in enumerate(items) if each.reservation is None]
    metered = [(place, each) for place, each in enumerate(items) if each.reservation is not None]
    if plain:
        asked = [(each.key, each.asked) for _, each in plain]
        basis = _common_basis([each.basis for _, each in plain])
        for (place, prepared), answer in zip(plain, ledger.confirm_batch(items[0].tenant, basis, asked), strict=True):
            found[place] = _or_conflict(replies.confirmed, prepared, answer)
    for (place, _), result in zip(metered, _reserved_together([each for _, each in metered], now), strict=True):
        found[place] = result
    return [found[place] for place in range(len(items))]


def _or_conflict(
    read: Callable[[Prepared, Answer], Decision | Refused], prepared: Prepared, answer: Answer
) -> Decision | Refused | KeyConflict:
    try:
        return read(prepared, answer)
    except KeyConflict as error:
        return error


def _reserved_together(items: Sequence[Prepared], now: datetime) -> list[Decision | Refused | Exception]:
    """One call for all, and one more for all that may get a smaller permit."""
    answers = _reserve_together(items)
    final = list(items)
    again = _seconds(items, answers)
    for (place, second), answer in zip(again, _reserve_together([each for _, each in again]), strict=True):
        answers[place] = answer
        if isinstance(answer, Answer) and answer.outcome == Outcome.GRANTED:
            final[place] = second
    return [
        _or_conflict(replies.decided, prepared, answer)
        if isinstance(answer, Answer)
        else replies.denied(prepared, answer.readings, now)
        for prepared, answer in zip(final, answers, strict=True)
    ]


def _seconds(items: Sequence[Prepared], answers: Sequence[Answer | ledger.LostRace]) -> list[tuple[int, Prepared]]:
    """The smaller permits to ask for, by place: each shaped to what all before it would leave."""
    taken: dict[UUID, int] = {}
    for prepared, answer in zip(items, answers, strict=True):
        is_granted = isinstance(answer, Answer) and answer.outcome == Outcome.GRANTED
        for each, reading in zip(prepared.bound, answer.readings, strict=False):
            taken[each.meter] = reading.used + reading.reserved + (each.charge.amount if is_granted else 0)
    found = []
    for place, (prepared, answer) in enumerate(zip(items, answers, strict=True)):
        if not isinstance(answer, Answer) or answer.outcome not in _UNGRANTED:
            continue
        second = prepared.shaped([taken[each.meter] for each in prepared.bound])
        if second is not None:
            found.append((place, second))
            for each in second.bound:
                taken[each.meter] += each.charge.amount
    return found


def _reserve_together(items: Sequence[Prepared]) -> list[Answer | ledger.LostRace]:
    """One call for all; one by one where it loses a race. Raises Stale."""
    if not items:
        return []
    tenant, wanted = items[0].tenant, [each.reservation for each in items if each.reservation is not None]
    basis = _common_basis([each.basis for each in items])
    try:
        return [*ledger.reserve_batch(tenant, basis, wanted)]
    except ledger.LostRace:
        return [_reserve_alone(tenant, basis, each) for each in wanted]


def _reserve_alone(tenant: UUID, basis: Basis, wanted: Reservation) -> Answer | ledger.LostRace:
    try:
        return ledger.reserve(tenant, basis, wanted)
    except ledger.LostRace as lost:
        return lost


def _common_basis(bases: Sequence[Basis]) -> Basis:
    return replace(bases[0], since=max(basis.since for basis in bases), until=min(basis.until for basis in bases))


def check(caller: Caller, ask: Ask, *, now: datetime) -> Decision:
    """What `enforce` would say now; holds, records and promises nothing. Raises Stale, Invalid, Unknown."""
    prepared = _prepare(caller, ask, key="", now=now)
    if isinstance(prepared, Decision):
        return prepared
    looked_at = [each.meter for each in prepared.bound]
    answer = ledger.confirm(prepared.tenant, prepared.basis, key=None, asked=prepared.asked, meters=looked_at)
    if prepared.passage.refusal is not None:
        return replies.refused(prepared, prepared.passage.refusal, answer.at)
    if prepared.reservation is None:
        return replies.passed(prepared, answer.at)
    taken = _taken(answer.readings)
    if not prepared.fits(taken):
        prepared = prepared.shaped(taken) or prepared
    states = records.states_of(prepared.bound, answer.readings)
    binding = binding_of(states)
    return Decision(
        allowed=binding is None,
        code=binding.code if binding else Code.OK,
        message=binding.message() if binding else "",
        stored=prepared.stored if binding is None else records.without_permit(prepared.stored),
        states=states,
        now=answer.at,
    )


def _prepare(caller: Caller, ask: Ask, *, key: str, now: datetime) -> Prepared | Decision:
    """Everything before the ledger call."""
    if caller.has_bad_ati_token or (caller.tenant is None and ask.tenant is None):
        return _nobody(caller)
    tenant = asks.tenant_of(caller, ask.tenant)
    assert tenant is not None  # noqa: S101 - just checked
    user = asks.user_of(caller, ask.user)
    entitled = entitlements.of(tenant.id, now)
    basis = asks.basis_of(caller, entitled)
    asked = ledger.fingerprint("enforce", tenant.id, {**ask.body, "user": user})
    try:
        task = asks.task_of(entitled.catalogue, ask.task, ask.feature)
        asks.require_class(entitled.catalogue, ask.wants.model_class)
        at = kept.terms(entitled, task, user)
        passage = gates.decide(at, ask.wants, lambda code: estimates.of(tenant.id, code, now))
    except (Invalid, policies.EstimateMissing, PriceOutOfBounds) as error:
        # The refusal of a request rests on the catalogue too: it is confirmed, and a replay answered first.
        answer = ledger.confirm(tenant.id, basis, key=key or None, asked=asked)
        if answer.outcome != Outcome.CONFIRMED:
            return replies.replayed(answer)
        if isinstance(error, policies.EstimateMissing):
            raise Invalid(error.field, str(error)) from None
        if isinstance(error, PriceOutOfBounds):
            raise Invalid("estimate", "It costs more than one operation can: ask for less.") from None
        raise
    stored = records.begun(at, basis.numbers)
    if at.mode == EnforcementMode.OFF:
        stored["params"] = records.params_as_asked(ask)
    start = Prepared(
        tenant=tenant.id, basis=basis, terms=at, passage=passage, ask=ask, key=key, asked=asked, stored=stored
    )
    return start.reserving(passage, meters.bind(tenant, passage.charged, now))


def _nobody(caller: Caller) -> Decision:
    """Who the call is for cannot be told: nothing is recorded, for there is nobody to record it for."""
    answer = asks.confirm_caller(caller)
    if caller.has_bad_ati_token:
        code = Code.INVALID_ATI_TOKEN
        message = "X-ATI-Token is unknown, expired, revoked or an invitation. Its user's admin can issue a new one."
    else:
        code = Code.TENANT_UNRESOLVED
        message = "Say who the call is for: “tenant” in the body, or X-ATI-Token."
    return Decision(allowed=False, code=code, message=message, stored={"mode": "ENFORCE"}, now=answer.at)


def _taken(readings: Sequence[Reading]) -> list[int]:
    """Of each meter what is used and what is held."""
    return [each.used + each.reserved for each in readings]
