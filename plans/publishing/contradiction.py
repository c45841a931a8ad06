"""What a draft says against itself, or what an operator most likely did not mean."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The name of a contradiction."""

    OUTDATED = "OUTDATED"
    NOTHING_CHANGES = "NOTHING_CHANGES"
    TEN_TIMES = "TEN_TIMES"
    NOTHING_PROMISED = "NOTHING_PROMISED"
    FEATURE_NOT_PROMISED = "FEATURE_NOT_PROMISED"
    FEATURE_WITHOUT_TASK = "FEATURE_WITHOUT_TASK"
    RULE_WITHOUT_EFFECT = "RULE_WITHOUT_EFFECT"
    NO_CLASS = "NO_CLASS"
    DEFAULT_NOT_ALLOWED = "DEFAULT_NOT_ALLOWED"
    NO_DEFAULT = "NO_DEFAULT"
    NO_ACTIVE_MODEL = "NO_ACTIVE_MODEL"
    PRICE_UNKNOWN = "PRICE_UNKNOWN"
    DOWNGRADE_DEARER = "DOWNGRADE_DEARER"
    NOTHING_TO_DEGRADE_TO = "NOTHING_TO_DEGRADE_TO"
    MIN_ABOVE_MAX = "MIN_ABOVE_MAX"
    TOKENS_UNBOUNDED = "TOKENS_UNBOUNDED"
    BELOW_SMALLEST_HOLD = "BELOW_SMALLEST_HOLD"
    BELOW_FULL_HOLD = "BELOW_FULL_HOLD"
    DAY_ABOVE_MONTH = "DAY_ABOVE_MONTH"
    MONTH_OUT_OF_REACH = "MONTH_OUT_OF_REACH"
    USER_ABOVE_TENANT = "USER_ABOVE_TENANT"
    OVERAGE_UNBOUNDED = "OVERAGE_UNBOUNDED"
    SEATS_TAKEN = "SEATS_TAKEN"
    FOREIGN_USER = "FOREIGN_USER"
    EXCEPTION_WITHOUT_EFFECT = "EXCEPTION_WITHOUT_EFFECT"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One of them, in words that name what to change. An error refuses the publication, a warning is shown."""

    kind: Kind
    text: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def warning(kind: Kind, text: str) -> Contradiction:
    """One that is shown and refuses nothing."""
    return Contradiction(kind, text, is_error=False)
