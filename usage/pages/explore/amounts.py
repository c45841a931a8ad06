"""What is summed, and what follows from sums."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from usage.rollup_queries import BUCKETS

Key = str | None
"""Of what a measure is split by: a name in a column of the ledger, None where a booking names none."""

OTHER = "\x00"
"""The key of all that is not among the first; no column can hold it."""

_FIRST_MS = 10.0
_TO_A_DOUBLING = 4


@dataclass(slots=True)
class Sums:
    """The sums of some usage; `cost` in nano-USD, None where nothing has a cost that is known.

    `histogram` counts latencies by `rollup_latency_bucket`; its list is as long as the database gives it, or empty.
    """

    operations: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    api_calls: int = 0
    units: int = 0
    cost: int | None = None
    unpriced: int = 0
    denials: int = 0
    held_tokens: int = 0
    held_tokens_used: int = 0
    histogram: tuple[int, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The figures of a row of `usage.sums`."""
        found = {name: value for name, value in row.items() if name not in ("part", "key")}
        if "histogram" in found:
            found["histogram"] = tuple(found["histogram"])
        return cls(**found)

    @property
    def known_cost(self) -> int | None:
        """Nano-USD; None where there is a cost that is not known, and no other."""
        return None if self.cost is None and self.unpriced else self.cost or 0

    @property
    def latencies(self) -> int:
        """How many latencies are known."""
        return sum(self.histogram)

    def latency(self, share: float) -> float | None:
        """The milliseconds within which this share of the calls came back, as near as the histogram tells: 9 %."""
        wanted, passed = share * self.latencies, 0
        for place, count in enumerate(self.histogram):
            if count and passed + count >= wanted:
                return _bound(place - 1) + (wanted - passed) / count * (_bound(place) - _bound(place - 1))
            passed += count
        return None

    def plus(self, other: "Sums", sign: int = 1) -> "Sums":
        """Both together; with `sign` -1 what is left of this without the other, which is a part of it."""
        added = {
            each.name: getattr(self, each.name) + sign * getattr(other, each.name)
            for each in fields(self)
            if each.name not in ("cost", "histogram")
        }
        cost = None if self.cost is None and other.cost is None else (self.cost or 0) + sign * (other.cost or 0)
        if sign < 0 and not cost and added["unpriced"]:
            cost = None
        return Sums(**added, cost=cost, histogram=self._both(other, sign))

    def _both(self, other: "Sums", sign: int) -> tuple[int, ...]:
        if not other.histogram:
            return self.histogram
        mine = self.histogram or (0,) * BUCKETS
        return tuple(one + sign * more for one, more in zip(mine, other.histogram, strict=True))


def joined(many: Iterable[Sums]) -> Sums:
    """All together."""
    total = Sums()
    for each in many:
        total = total.plus(each)
    return total


def _bound(place: int) -> float:
    """Up to how many milliseconds the place of a histogram, from 0, counts."""
    return 0.0 if place < 0 else _FIRST_MS * 2.0 ** (place / _TO_A_DOUBLING)
