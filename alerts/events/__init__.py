"""The events of the product that a channel may ask for, beside alerts."""

from collections.abc import Mapping
from types import MappingProxyType

ALERT_RESOLVED = "alert.resolved"
RESERVATION_DENIED = "reservation.denied"
PLAN_CHANGED = "plan.changed"
TOKEN_REVOKED = "token.revoked"  # noqa: S105 - a name
PERIOD_RESET = "period.reset"
TEST = "test"
"""The event of a message that somebody sends to try a channel: it is tried once, at any time of day."""

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        ALERT_RESOLVED: "An alert is over",
        RESERVATION_DENIED: "Calls are refused",
        PLAN_CHANGED: "The plan changes",
        TOKEN_REVOKED: "A token is revoked",
        PERIOD_RESET: "A new period begins",
    }
)
"""What people call each, by the name that `Channel.events` has."""

HELP: Mapping[str, str] = MappingProxyType(
    {
        ALERT_RESOLVED: "Tells when something that this channel was alerted of holds no longer.",
        RESERVATION_DENIED: "Tells which calls are refused and why. Alike ones are counted in one message a minute.",
        PLAN_CHANGED: "Tells when another plan, or another revision of it, comes into force, and when the plan ends.",
        TOKEN_REVOKED: "Tells when a token is revoked, and whose it was.",
        PERIOD_RESET: "Tells when a day or a month begins, in which quotas count from zero again.",
    }
)
"""One sentence about each, for who chooses."""
