"""What is known of a decision, whether it was recorded or only checked: the matter of its explanation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from enforcement.decisions import Ask, Decision, MeterState, binding_of, meter_states
from plans.codes import Code
from plans.models import RolloutGate
from plans.terms import TaskTerms
from usage.decided import Decided, Kept
from usage.entries import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """One charge of a decision; `state` None: its meter is forgotten, and of it only this is known."""

    gate: RolloutGate
    limit: int | None
    enforced: bool
    rule: str | None
    reading: Reading
    is_overage: bool
    state: MeterState | None

    @property
    def is_over(self) -> bool:
        """Whether the amount did not fit."""
        return self.state is not None and self.state.binds


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """A decision as it is to be told. `stored` is what records.py keeps; `id` None: nothing was recorded."""

    id: UUID | None
    at: datetime
    tenant: str | None
    user: str | None
    feature: str | None
    task: str | None
    code: Code
    message: str
    times: int
    stored: Mapping[str, Any]
    ask: Mapping[str, Any]
    charged: Sequence[Charged]
    binding: Mapping[str, Any] | None

    @classmethod
    def of_kept(cls, id_: UUID, tenant: str, kept: Decided) -> "Tale":
        """Of what was recorded."""
        return cls(
            id=id_, at=kept.at, tenant=tenant, user=kept.user, feature=kept.feature, task=kept.task,
            code=Code(kept.code), message=kept.message, times=kept.times, stored=kept.stored, ask=kept.ask or {},
            charged=[_charged(each) for each in kept.charges], binding=kept.binding,
        )  # fmt: skip

    @classmethod
    def of_check(
        cls, decision: Decision, ask: Ask, *, tenant: str | None, user: str | None, task: TaskTerms | None
    ) -> "Tale":
        """Of what a check answers; `tenant` and `task` None where it could not be told whom the call is for."""
        passed = set(decision.stored.get("overage", ()))
        binding = binding_of(decision.states)
        return cls(
            id=None, at=decision.now, tenant=tenant, user=user, feature=task.feature if task else None,
            task=task.code if task else None, code=decision.code,
            message=decision.message, times=1, stored=decision.stored, ask=ask.body,
            charged=[
                Charged(
                    gate=state.gate, limit=state.limit, enforced=state.enforced, rule=state.rule,
                    reading=state.reading, is_overage=place in passed, state=state,
                )
                for place, state in enumerate(decision.states)
            ],
            binding=binding.binding() if binding else None,
        )  # fmt: skip

    @property
    def binding_state(self) -> MeterState | None:
        """The meter that refused, of several the one that is named."""
        return binding_of(each.state for each in self.charged if each.state is not None)


def _charged(kept: Kept) -> Charged:
    gate, limit, enforced, rule = kept.limit
    state = None
    if kept.scope is not None and kept.amount is not None:
        (state,) = meter_states([kept.scope], [kept.limit], [kept.amount], [kept.reading])
    return Charged(
        gate=RolloutGate(gate), limit=limit, enforced=enforced, rule=rule, reading=kept.reading,
        is_overage=kept.is_overage, state=state,
    )  # fmt: skip
