"""What Explore can show: the measures, and what they are split by."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from plans.models import Unit
from usage.pages.explore.amounts import Sums


class Kind(StrEnum):
    """How the values of a measure read and add up: the first three do add up, of the others none does."""

    COUNT = "count"
    USD = "usd"
    UNITS = "units"
    MILLISECONDS = "milliseconds"
    SHARE = "share"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something to look at, made of `figures` of `usage.sums` (none: of the refusals).

    `value` is None where nothing is known; money is nano-USD, a share a fraction. `weight` ranks keys, also by a
    measure whose values say nothing about size. `axis` has the unit; `subject` begins a sentence.
    """

    code: str
    name: str
    axis: str
    subject: str
    figures: tuple[str, ...]
    value: Callable[[Sums], float | int | None]
    weight: Callable[[Sums], float | int]
    kind: Kind = Kind.COUNT
    is_plural: bool = True

    @property
    def adds_up(self) -> bool:
        """Whether the values of parts add up to that of the whole."""
        return self.kind in (Kind.COUNT, Kind.USD, Kind.UNITS)

    @property
    def reads_denials(self) -> bool:
        """Whether it is about what was refused, and not about what was used."""
        return not self.figures


def _count(code: str, name: str, figure: str, kind: Kind = Kind.COUNT, axis: str | None = None) -> Measure:
    def value(sums: Sums) -> int:
        found: int = getattr(sums, figure)
        return found

    figures = () if figure == "denials" else (figure,)
    return Measure(
        code=code, name=name, axis=axis or name, subject=axis or name, figures=figures, kind=kind, value=value,
        weight=value,
    )  # fmt: skip


def _latency(code: str, name: str, subject: str, share: float) -> Measure:
    return Measure(
        code=code, name=name, axis="Milliseconds", subject=subject, figures=("histogram",), kind=Kind.MILLISECONDS,
        is_plural=False, value=lambda sums: sums.latency(share), weight=lambda sums: sums.latencies,
    )  # fmt: skip


def _tokens(sums: Sums) -> int:
    return sums.input_tokens + sums.output_tokens


_ALL = (
    Measure(
        code="tokens", name="Tokens", axis="Tokens", subject="Tokens", figures=("input_tokens", "output_tokens"),
        value=_tokens, weight=_tokens,
    ),
    _count("tokens_in", "Tokens in", "input_tokens"),
    _count("tokens_cached", "Cached tokens in", "cached_input_tokens"),
    _count("tokens_out", "Tokens out", "output_tokens"),
    _count("units", "Units of a feature", "units", Kind.UNITS, axis="Units"),
    _count("operations", "Requests", "operations"),
    _count("api_calls", "API calls", "api_calls"),
    Measure(
        code="cost", name="Cost", axis="USD", subject="Cost", figures=("cost", "unpriced"), kind=Kind.USD,
        is_plural=False, value=lambda sums: sums.known_cost, weight=lambda sums: sums.cost or 0,
    ),
    _count("denials", "Refused requests", "denials"),
    _latency("latency_p50", "Latency, median", "The median latency", 0.5),
    _latency("latency_p95", "Latency, 95th percentile", "The 95th percentile of latency", 0.95),
    Measure(
        code="efficiency", name="Held tokens used", axis="Used of what was held, %",
        subject="The share of held tokens that was used", figures=("held_tokens", "held_tokens_used"),
        kind=Kind.SHARE, is_plural=False, weight=lambda sums: sums.held_tokens,
        value=lambda sums: sums.held_tokens_used / sums.held_tokens if sums.held_tokens else None,
    ),
)  # fmt: skip
MEASURES = {measure.code: measure for measure in _ALL}
"""By their name in the address."""

GROUPS = {
    "none": "Nothing",
    "feature": "Feature",
    "task": "Task",
    "model_class": "Model class",
    "user": "Person",
    "status": "Status",
    "code": "Reason of refusal",
}
"""What a measure is split by, by its name in the address."""

OF_DENIALS = ("none", "feature", "task", "user", "code")
"""A refused request never got as far as a model class or a status; it has a reason."""
OF_USAGE = ("none", "feature", "task", "model_class", "user", "status")

NEXT = {
    "feature": "task", "task": "model_class", "model_class": "user", "user": "feature", "status": "feature",
    "code": "feature",
}  # fmt: skip
"""What is asked next of one key of a split."""


def in_units(unit: Unit) -> Measure:
    """The units of a feature, called by their name."""
    name = f"{unit.label[0].upper()}{unit.label[1:]}"
    return replace(MEASURES["units"], axis=f"Units ({unit.label})", subject=name)


def groups_of(measure: Measure) -> tuple[str, ...]:
    """What a measure can be split and filtered by."""
    return OF_DENIALS if measure.reads_denials else OF_USAGE


def reason(code: str) -> str:
    """A reason of refusal in words: "Daily quota exceeded"."""
    return code.replace("_", " ").capitalize()
