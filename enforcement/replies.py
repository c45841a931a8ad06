"""The ledger's answer to a prepared ask, read as the decision that it makes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from enforcement import records
from enforcement.decisions import Decision, MeterState, binding_of, meter_states
from enforcement.errors import KeyConflict
from enforcement.prepared import Prepared
from plans.codes import Code
from plans.permits import Refusal
from usage import ledger
from usage.entries import Answer, Outcome, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A refusal that is not recorded yet: the decision without its id, and what is kept of it."""

    prepared: Prepared
    decision: Decision
    kept: Mapping[str, Any]
    meter: UUID | None = None
    binding: Mapping[str, Any] | None = None

    def kind(self) -> tuple[object, ...]:
        """Alike refusals are recorded together."""
        terms = self.prepared.terms
        return self.prepared.tenant, self.decision.code, terms.user, terms.task.code, self.meter


def confirmed(prepared: Prepared, answer: Answer) -> Decision | Refused:
    """A refusal or pass-through found before any meter, once confirmed; a replay is answered first.

    Raises KeyConflict.
    """
    if answer.outcome != Outcome.CONFIRMED:
        return replayed(answer)
    refusal = prepared.passage.refusal
    if refusal is None:
        return passed(prepared, answer.at)
    return Refused(
        prepared=prepared,
        decision=refused(prepared, refusal, answer.at),
        kept={**prepared.stored, "ask": records.asked(prepared.ask)},
    )


def decided(prepared: Prepared, answer: Answer) -> Decision | Refused:
    """What a call to reserve came to. Raises KeyConflict."""
    if answer.outcome in (Outcome.REPLAY, Outcome.CONFLICT):
        return replayed(answer)
    if answer.outcome != Outcome.GRANTED:
        return denied(prepared, answer.readings, answer.at)
    return Decision(
        allowed=True,
        code=Code.OK,
        message="",
        stored=prepared.stored,
        states=records.states_of(prepared.bound, answer.readings),
        reservation_id=answer.id,
        decision_id=answer.id,
        expires_at=answer.expires_at,
        now=answer.at,
    )


def passed(prepared: Prepared, now: datetime) -> Decision:
    """A permit, or a pass-through (mode OFF), that holds nothing."""
    return Decision(allowed=True, code=Code.OK, message="", stored=prepared.stored, now=now)


def refused(prepared: Prepared, refusal: Refusal, now: datetime) -> Decision:
    """A refusal found before any meter."""
    return Decision(allowed=False, code=refusal.code, message=refusal.message, stored=prepared.stored, now=now)


def denied(prepared: Prepared, readings: Sequence[Reading], now: datetime) -> Refused:
    """A refusal by a meter, with its numbers. Raises Stale where all fits by now."""
    states: tuple[MeterState, ...] = records.states_of(prepared.bound, readings)
    binding = binding_of(states)
    if binding is None:  # the meters had room again by the time they were read for the answer
        raise ledger.Stale(now)
    decision = Decision(
        allowed=False,
        code=binding.code,
        message=binding.message(),
        stored=records.without_permit(prepared.stored),
        states=states,
        now=now,
    )
    return Refused(
        prepared=prepared,
        decision=decision,
        kept=records.refused(prepared.stored, prepared.ask, prepared.bound, readings),
        meter=prepared.bound[states.index(binding)].meter,
        binding=binding.binding(),
    )


def replayed(answer: Answer) -> Decision:
    """The first answer to this key, with the reservation's present status and remaining time. Raises KeyConflict."""
    if answer.outcome == Outcome.CONFLICT:
        raise KeyConflict("This key was used with another body. Send a new key for a new request.")
    body = answer.body or {}
    stored = body["decision"]
    return Decision(
        allowed=True,
        code=Code.OK,
        message="",
        stored=stored,
        states=meter_states(body["charges"], stored["limits"], body["amounts"], answer.readings),
        reservation_id=answer.id,
        decision_id=answer.id,
        expires_at=answer.expires_at,
        now=answer.at,
        status=answer.status,
        is_replayed=True,
    )


def recorded(found: Sequence[Decision | Refused | Exception]) -> list[Decision | Exception]:
    """Refusals with the ids under which they are recorded: one statement for all that are alike."""
    alike: defaultdict[tuple[object, ...], list[Refused]] = defaultdict(list)
    for each in found:
        if isinstance(each, Refused):
            alike[each.kind()].append(each)
    ids = {kind: record(group[0], len(group)) for kind, group in alike.items()}
    return [
        replace(each.decision, decision_id=ids[each.kind()]) if isinstance(each, Refused) else each for each in found
    ]


def record(refused: Refused, count: int) -> UUID:
    """Records so many alike refusals, and gives the id that explains them."""
    prepared, decision, task = refused.prepared, refused.decision, refused.prepared.terms.task
    return ledger.deny(
        prepared.tenant, code=decision.code, message=decision.message, user_key=prepared.terms.user,
        feature=task.feature, task=task.code, meter=refused.meter, binding=refused.binding, decision=refused.kept,
        count=count, now=decision.now,
    )  # fmt: skip
