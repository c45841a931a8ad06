"""What an explanation is on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NotRequired
from uuid import UUID

from enforcement import answers
from enforcement.answers import Amount, Binding, Decision, Whole
from plans.codes import Code
from plans.models import RuleScope
from tenants.models import EnforcementMode
from usage.answers import Instant


class Verdict(StrEnum):
    """What a gate did.

    SHAPED: it let a smaller or cheaper call through. OVERAGE: beyond its limit, which the plan lets usage pass.
    OBSERVED: it would have refused, had it been enforced. NOT_ASKED: the answer was given before it.
    """

    PASSED = "PASSED"
    SHAPED = "SHAPED"
    OVERAGE = "OVERAGE"
    OBSERVED = "OBSERVED"
    REFUSED = "REFUSED"
    NOT_ASKED = "NOT_ASKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule:
    """What supplied a number, and why it and no other.

    A policy rule by its id, or (id null) the plan itself. `target` is the task or feature it is about. `value` null =
    no limit.
    """

    id: UUID | None
    scope: RuleScope
    target: str | None
    key: str
    value: Amount | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate: what it looked at, which rules set its limits, and what it made of that.

    `rule` names the one rule that a limit or a refusal comes from, as `rules` tell it.
    """

    gate: str
    verdict: Verdict
    inputs: Mapping[str, Any]
    rule: str | None
    rules: list[SourceRule]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The numbers of the configuration a decision was made with; keys 0: none was involved."""

    catalogue: int
    keys: int
    tenant: int


class Step(answers.Shaped):
    """One step by which the permit was reduced, in words too."""

    why: str


class Held(answers.Hold):
    """What was held where that is less than the permit, in words too."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a call was permitted or refused, told gate by gate.

    `id` null: it was only checked. `times`: how often it was refused alike within the minute; the numbers are those
    of the first. `would_deny` are the codes of the gates that are only observed.
    """

    id: UUID | None
    decided_at: Instant
    allowed: bool
    code: Code
    message: str
    times: Whole
    tenant: str | None
    user: str | None
    feature: str | None
    task: str | None
    mode: EnforcementMode
    versions: Versions | None
    gates: list[Gate]
    binding: Binding | None
    would_deny: list[Code]
    shaped: list[Step]
    hold: Held | None


class Checked(Decision):
    """What enforce would answer, and with `?explain=1` why."""

    explanation: NotRequired[Explanation]
