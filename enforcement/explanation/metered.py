"""The gates that look at meters, as the decision read them."""

from collections.abc import Iterator, Sequence
from typing import Any

from enforcement.decisions import GATE_CODES, MeterState
from enforcement.explanation.answer import Gate, SourceRule, Step, Verdict
from enforcement.explanation.rules import Precedence, Source, key_of
from enforcement.explanation.tale import Charged, Tale
from plans.charges import Measure, PeriodKind
from plans.models import RolloutGate, RuleKey

_PERIODS = list(PeriodKind)


def metered(tale: Tale, precedence: Precedence, shaped: Sequence[Step]) -> Iterator[Gate]:
    """Each limited or charged meter in the order of the gates, and a word for each gate that has none."""
    telling = _Telling(tale, precedence, shaped)
    for gate in GATE_CODES:
        of_gate = [each for each in tale.charged if each.gate == gate and _counts(each)]
        of_gate.sort(key=_place)
        yield from (telling.of(each) for each in of_gate)
        if not of_gate:
            yield Gate(gate=gate, verdict=Verdict.PASSED, inputs={}, rule=None, rules=[], why="No such limit is set.")


def _counts(charged: Charged) -> bool:
    return charged.limit is not None or (charged.state is not None and charged.state.amount > 0)


def _place(charged: Charged) -> tuple[Any, ...]:
    """The tenant's own meters, the feature's, the task's; in each the shorter period first."""
    state = charged.state
    if state is None:
        return (True, "", "", 0)
    return (False, state.task or "", state.feature or "", _PERIODS.index(state.period), state.measure)


class _Telling:
    def __init__(self, tale: Tale, precedence: Precedence, shaped: Sequence[Step]) -> None:
        self.binding = tale.binding_state
        self.precedence = precedence
        self.tightest = self._tightest(tale, shaped)

    @staticmethod
    def _tightest(tale: Tale, shaped: Sequence[Step]) -> dict[RolloutGate, MeterState]:
        """For each gate that had too little left, its meter of which the permit leaves least."""
        found: dict[RolloutGate, MeterState] = {}
        for step in shaped:
            states = [
                each.state
                for each in tale.charged
                if each.gate == step["because"] and each.state and each.enforced and each.limit is not None
            ]
            if states:
                least = min(states, key=lambda state: state.remaining - state.amount)
                found[least.gate] = least
        return found

    def of(self, charged: Charged) -> Gate:
        state = charged.state
        verdict, remark = self._verdict(charged)
        inputs = state.binding() if state else self._forgotten(charged)
        numbers = _numbers(state) if state else "It passed; the meter of that minute is not kept."
        rules = self._rules(charged)
        why = f"{numbers} {remark}".strip()
        return Gate(gate=charged.gate, verdict=verdict, inputs=inputs, rule=charged.rule, rules=rules, why=why)

    def _verdict(self, charged: Charged) -> tuple[Verdict, str]:
        if not charged.is_over:
            if charged.state is not None and self.tightest.get(charged.gate) is charged.state:
                return Verdict.SHAPED, "It could not carry all that was asked for."
            return Verdict.PASSED, ""
        if charged.enforced:
            assert self.binding is not None  # noqa: S101 - this one binds, so one is named
            is_named = charged.state is self.binding
            return Verdict.REFUSED, "" if is_named else f"“{self.binding.gate.label}” is named, for it resets later."
        if charged.is_overage:
            return Verdict.OVERAGE, "The plan lets usage pass this limit."
        return Verdict.OBSERVED, "It would have refused; it is only observed."

    @staticmethod
    def _forgotten(charged: Charged) -> dict[str, Any]:
        reading = charged.reading
        return {"limit": charged.limit, "used": reading.used, "reserved": reading.reserved}

    def _rules(self, charged: Charged) -> list[SourceRule]:
        if charged.rule is None:
            return []
        source, state = Source.of(charged.rule), charged.state
        target = source.target
        if state is not None:
            target = state.task or state.feature
        if source.key is not None:
            key = RuleKey(source.key)
        else:  # the plan's own number: of a day or month, whose meter is kept for good
            assert state is not None  # noqa: S101
            key = key_of(state.measure, state.period, is_of_user=state.user is not None)
        return [self.precedence.of_limit(charged.rule, charged.limit, key=key, target=target)]


def _numbers(state: MeterState) -> str:
    """What was asked, what was left, of what, until when."""
    if state.limit is None:
        return "No limit: it only counts."
    if state.measure == Measure.SLOTS:
        return f"{state.reading.reserved:,} reservations were open and {state.limit:,} may be at once."
    return state.message()
