"""What came of one try to tell somebody."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """SENT; RETRY later; GONE: nobody is there any more; IMPOSSIBLE: this message never arrives, others may."""

    SENT = "SENT"
    RETRY = "RETRY"
    GONE = "GONE"
    IMPOSSIBLE = "IMPOSSIBLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a try ended. `error` is for people and holds no secret and no address.

    `retry_after_seconds`: the receiver asked to be left alone for that long. `is_ours`: the fault is on our side,
    such as a mail server that is away, and says nothing about the channel.
    """

    verdict: Verdict
    error: str = ""
    retry_after_seconds: float | None = None
    is_ours: bool = False


SENT = Outcome(verdict=Verdict.SENT)


def failed(error: str, *, is_ours: bool = False) -> Outcome:
    """A try that is made again."""
    return Outcome(verdict=Verdict.RETRY, error=error, is_ours=is_ours)
