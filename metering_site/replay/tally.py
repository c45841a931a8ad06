"""What a replay has counted so far; every worker writes into the one tally."""

import threading
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from enforcement.traces import Row

ENFORCE, COMMIT, EVENT = "enforce", "commit", "event"


@dataclass(slots=True)
class Sum:
    """Calls with their tokens and cost."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0

    def add(self, row: Row, cost: int) -> None:
        """Count one row."""
        self.calls += 1
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens
        self.cost_nano_usd += cost


@dataclass(slots=True)
class Tally:
    """Thread-safe counts. `denied` by code, `retried` by what went wrong, `failed` by what was answered."""

    permitted: Sum = field(default_factory=Sum)
    denied: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unmetered: int = 0
    waits: int = 0
    late: int = 0
    events: int = 0
    _seconds: dict[str, "array[float]"] = field(default_factory=lambda: {ENFORCE: array("d"), COMMIT: array("d")})
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def rows(self) -> int:
        """Rows that are done, whichever way."""
        with self._guard:
            return self.permitted.calls + self.unmetered + self.denied.total() + self.failed.total()

    @property
    def answers(self) -> int:
        """Requests that were answered."""
        with self._guard:
            return sum(len(seconds) for seconds in self._seconds.values())

    def seconds(self, kind: str) -> Sequence[float]:
        """How long each answer of a kind took."""
        with self._guard:
            return list(self._seconds[kind])

    def answer(self, kind: str, seconds: float) -> None:
        """A request was answered."""
        with self._guard:
            self._seconds.setdefault(kind, array("d")).append(seconds)

    def permit(self, row: Row, cost: int, *, is_late: bool = False, as_event: bool = False) -> None:
        """A row was permitted, and its usage booked."""
        with self._guard:
            self.permitted.add(row, cost)
            self.late += is_late
            self.events += as_event

    def pass_through(self) -> None:
        """A row was let through unmetered (mode OFF)."""
        with self._guard:
            self.unmetered += 1

    def deny(self, code: str) -> None:
        """A row was refused for good."""
        with self._guard:
            self.denied[code] += 1

    def wait(self) -> None:
        """A row was refused and will ask again."""
        with self._guard:
            self.waits += 1

    def retry(self, why: str) -> None:
        """A request was not answered, and will be sent again."""
        with self._guard:
            self.retried[why] += 1

    def fail(self, why: str) -> None:
        """A row was answered in a way that no row should be."""
        with self._guard:
            self.failed[why] += 1
