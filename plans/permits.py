"""What an ask wants and what it may get: values that cannot be built by halves, with no rule in them."""

from dataclasses import dataclass, field

from plans.codes import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What an ask asks for; None = not said. Counts are not negative and at most 10^9."""

    input_tokens: int | None = None
    max_output_tokens: int | None = None
    api_calls: int | None = None
    items: int | None = None
    web_searches: int | None = None
    max_steps: int | None = None
    top_k: int | None = None
    files: int | None = None
    model_class: str | None = None
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """One step: a parameter that was reduced, and what says so: a rule's key, or the gate that has too little left."""

    param: str
    asked: int | str
    granted: int | str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an ask cannot be permitted, found without looking at a meter."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """What calls of a task really use, at a percentile of `samples` operations: the rule HOLD_PERCENTILE in force.

    `input_tokens` None: the ask says itself how much it sends.
    """

    percentile: int
    samples: int
    input_tokens: int | None
    output_tokens: int
    includes_money: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What is held of a permit, at most all of it. `cost` is nano-USD, None = unknown."""

    input_tokens: int
    output_tokens: int
    units: int
    cost: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The permit and its hold. They are the same unless `typical` says that less than the maximum is held.

    `cost` is what the permit can cost at most, in nano-USD, None = unknown. `rates` are nano-USD per million input,
    cached, cache-written and output tokens, per unit, and per million calls and web searches. `shaped` are the steps
    by which it was reduced.
    """

    model_class: str | None
    allowed: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    api_calls: int
    items: int
    units: int
    cost: int | None
    rates: tuple[int | None, ...] | None
    max_steps: int | None
    top_k: int | None
    max_files: int | None
    ttl_seconds: int
    hold: Hold
    web_searches: int = 0
    typical: Typical | None = None
    shaped: tuple[Shaping, ...] = field(default=())


NOTHING = Shape(
    model_class=None, allowed=(), input_tokens=0, output_tokens=0, api_calls=0, items=0, units=0, cost=0,
    rates=None, max_steps=None, top_k=None, max_files=None, ttl_seconds=1,
    hold=Hold(input_tokens=0, output_tokens=0, units=0, cost=0),
)  # fmt: skip
"""A permit of nothing: its charges name the meters of a task, with their limits."""
