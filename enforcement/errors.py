"""Calls that cannot be answered. `metering_site.problems` gives each its status and code."""

from dataclasses import dataclass


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
