"""What messages say to programs: the `data` of each type, as docs/openapi.yaml describes it."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from alerts.models import AlertKind, Severity
from plans.charges import PeriodKind
from usage.answers import DenialEntry, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertNoticed:
    """Something that was noticed, as `GET /alerts` has it. `tenant` null = told to super admins."""

    id: UUID
    tenant: str | None
    kind: AlertKind
    severity: Severity
    subject: str
    user: str | None
    threshold: int | str
    title: str
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOver:
    """An alert that holds no longer."""

    id: UUID
    kind: AlertKind
    severity: Severity
    subject: str
    threshold: int
    created_at: Instant
    resolved_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsDenied:
    """The refusals of one minute. `denials` are the most frequent; `others` counts those that are not among them."""

    tenant: str
    minute: Instant
    count: int
    denials: list[DenialEntry]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChanged:
    """The plan that is in force now, and the one before; null = none."""

    tenant: str
    plan: str | None
    revision: int | None
    name: str | None
    previous_plan: str | None
    previous_revision: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked:
    """A credential that authenticates nothing any more. `public` is the part of it that may be shown.

    `user` is whose calls it authenticated, null = nobody's in particular.
    """

    tenant: str
    kind: Literal["ATI_TOKEN", "SERVICE_KEY"]
    id: UUID
    name: str
    public: str
    user: str | None
    revoked_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReset:
    """A day or month of the tenant's own calendar in which its quotas count from zero."""

    tenant: str
    period: PeriodKind
    started_at: Instant
    ends_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What “Send a test” sends."""

    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A message in a digest, as it would have come alone."""

    type: str
    timestamp: Instant
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestGathered:
    """What was gathered between two digests; one that would be too large comes in several parts."""

    tenant: str | None
    since: Instant
    until: Instant
    part: int
    parts: int
    messages: list[Told]
