"""The answers that are put together as plain dicts, as types: what the description says of them."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

from msgspec import Meta

from enforcement.errors import ProblemCode
from plans.charges import Measure, PeriodKind
from plans.codes import Code
from plans.models import OnFailure
from tenants.models import EnforcementMode
from usage.answers import Instant, Usd
from usage.models import ReservationStatus

Scope = Literal["TENANT", "USER"]
Whole = Annotated[int, Meta(ge=0)]
Amount = Whole | Usd
"""Money in USD as a string, everything else a whole number."""


class Quota(TypedDict):
    """A meter of a running period; `limit` null = unlimited. Money is a string in USD, the rest whole numbers."""

    scope: Scope
    feature: str | None
    task: str | None
    user: str | None
    measure: Measure
    unit: str
    period: PeriodKind
    limit: Amount | None
    used: Amount
    reserved: Amount
    overrun: Amount
    remaining: Amount | None
    resets_at: Instant | None


class Binding(Quota):
    """The quota that refused, with what was requested of it."""

    requested: Amount


class Shaped(TypedDict):
    """One step: a parameter that was reduced, and why: a rule's key, or the gate that has too little left."""

    param: str
    asked: Whole | str
    granted: Whole | str
    because: str


class WouldDeny(TypedDict):
    """What would have refused, had it been enforced; `binding` is null where it is not a meter."""

    code: Code
    binding: Binding | None


class Params(TypedDict):
    """What the call may have; null = not bounded."""

    model_class: str | None
    allowed_model_classes: list[str]
    max_tokens_in: Whole | None
    max_tokens_out: Whole | None
    max_steps: Whole | None
    top_k: Whole | None
    max_files: Whole | None


class Hold(TypedDict):
    """What is held where that is less than the permit, and by how much the call may pass it at most.

    By the rule HOLD_PERCENTILE: that percentile of what `samples` calls of the task used.
    """

    percentile: Whole
    samples: Whole
    input_tokens: Whole
    output_tokens: Whole
    cost: Usd | None
    overshoot_tokens: Whole
    overshoot_cost: Usd | None


class Decision(TypedDict):
    """Permit or refusal. A replay adds the reservation's present `status`."""

    allowed: bool
    code: Code
    message: str
    retryable: bool
    retry_after_seconds: Whole | None
    reservation_id: UUID | None
    expires_at: Instant | None
    ttl_seconds: Whole | None
    decision_id: UUID | None
    params: Params | None
    shaped: list[Shaped]
    mode: EnforcementMode
    would_deny: list[WouldDeny] | None
    estimated_cost: Usd | None
    hold: Hold | None
    on_failure: OnFailure | None
    policy_version: str | None
    binding: Binding | None
    quotas: list[Quota]
    status: NotRequired[ReservationStatus]


class _Meter(TypedDict):
    scope: Scope
    feature: str | None
    task: str | None
    user: str | None
    measure: Measure
    unit: str
    period: PeriodKind


class Charged(_Meter):
    """What was booked on one meter, and what of that no hold covered. A correction may take away."""

    amount: int | Usd
    overrun: Amount


class Left(_Meter):
    """What of the hold on one meter is left."""

    left: Amount


class Committed(TypedDict):
    """What a commit booked; `cost` null = not known."""

    reservation_id: UUID
    status: ReservationStatus
    late: bool
    cost: Usd | None
    charged: list[Charged]
    quotas: list[Quota]


class Reported(TypedDict):
    """An open reservation after a report."""

    reservation_id: UUID
    status: ReservationStatus
    expires_at: Instant
    left: list[Left]


class Released(TypedDict):
    """A reservation that was released, or had expired before."""

    reservation_id: UUID
    status: ReservationStatus


class Extended(TypedDict):
    """An open reservation with its new deadline."""

    reservation_id: UUID
    status: ReservationStatus
    expires_at: Instant
    ttl_seconds: Whole


class EventBooked(TypedDict):
    """A usage event that was booked, now or before; one sent by itself is beside it as a list of one."""

    id: str
    status: Literal["BOOKED", "DUPLICATE"]
    log_id: UUID | None
    results: NotRequired[list[dict[str, Any]]]


class FieldError(TypedDict):
    """A field or parameter that is wrong, by its dotted path."""

    field: str
    message: str


class Problem(TypedDict):
    """RFC 9457: why a request could not be answered. `code` is stable; `type` is the page on it, on this server."""

    type: Annotated[str, Meta(extra_json_schema={"format": "uri-reference", "examples": ["/errors/INVALID"]})]
    title: str
    status: int
    detail: str
    code: ProblemCode
    errors: NotRequired[list[FieldError]]
