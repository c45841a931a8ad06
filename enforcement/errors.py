"""Calls that cannot be answered. `metering_site.problems` gives each its status and code."""

from dataclasses import dataclass
from enum import StrEnum


class ProblemCode(StrEnum):
    """Why a call could not be answered. Stable: clients switch on it, and docs/errors.md has a section on each."""

    MALFORMED = "MALFORMED"
    IDEMPOTENCY_KEY_MISSING = "IDEMPOTENCY_KEY_MISSING"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    SCOPE_MISSING = "SCOPE_MISSING"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    RESERVATION_ENDED = "RESERVATION_ENDED"
    RESERVATION_GONE = "RESERVATION_GONE"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    INVALID = "INVALID"
    THROTTLED = "THROTTLED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"


class Malformed(Exception):
    """The body is not JSON in UTF-8, or not of the shape a batch has."""


class KeyMissing(Exception):
    """The request needs an idempotency key and has none."""


@dataclass(slots=True)
class Invalid(Exception):
    """A field of the request cannot be as it is; `field` is its dotted path, `message` says what would do."""

    field: str
    message: str


@dataclass(slots=True)
class TooLarge(Exception):
    """The body is over the endpoint's bound, in bytes."""

    most: int


class Unknown(LookupError):
    """What an id or name refers to does not exist, or is another tenant's."""


class KeyConflict(Exception):
    """The idempotency key, or the id of an event, was used with another body."""


class Ended(Exception):
    """The reservation ended in another way; the message says how, and what to do."""


class Gone(Exception):
    """The reservation ended, so there is nothing to extend or report on."""


class Restless(Exception):
    """The configuration kept moving while the call was decided."""
