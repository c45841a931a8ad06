"""Rates as values: what a model asks for each kind of token, for calls and for searches, by tiers of input.

A rate is nano-USD (10^-9 USD) per million of what it prices.
"""

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import pairwise

MAX_RATE = 10**12
MAX_CALL_RATE = 10**15


class PriceOutOfBounds(OverflowError):
    """A count, a rate or a cost outside what the ledger holds."""


def require_rates(*rates: int | None, most: int = MAX_RATE) -> None:
    """Raises PriceOutOfBounds where one of them is not in 0..`most`; None is unknown, and fine."""
    for rate in rates:
        if rate is not None and not 0 <= rate <= most:
            raise PriceOutOfBounds(f"rate {rate} is not in 0..{most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Nano-USD per million tokens of each kind, 0..MAX_RATE, and per million calls and searches, 0..MAX_CALL_RATE.

    None for input, output or web_search = unknown. None for cached_input or cache_write = the input rate, for
    cache_write_1h (kept for an hour) = the cache_write rate, for reasoning = the output rate, for call = no charge.
    """

    input: int | None
    output: int | None
    cached_input: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    call: int | None = None
    web_search: int | None = None

    def __post_init__(self) -> None:
        require_rates(self.input, self.cached_input, self.cache_write, self.cache_write_1h)
        require_rates(self.output, self.reasoning)
        require_rates(self.call, self.web_search, most=MAX_CALL_RATE)


KINDS = tuple(field.name for field in fields(Rates))


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates of an operation with more than `above_input_tokens` input tokens."""

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class PriceList:
    """A model's rates: `base`, or those of the highest tier that the input passes.

    Tiers are cliffs, as genai-prices has them (`TieredPrices`, `calc_unit_price`): once an
    operation's whole input, cached tokens included, exceeds the threshold, every token of it, of
    each kind, has the tier's rate. `batch` has the rates of batched calls; None = those of any other call.
    """

    base: Rates
    tiers: tuple[Tier, ...] = ()
    batch: "PriceList | None" = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0, *(tier.above_input_tokens for tier in self.tiers)]
        if any(low >= high for low, high in pairwise(starts)):
            raise ValueError("tiers start above 0, each above the one before")
        object.__setattr__(self, "_hash", hash((self.base, self.tiers, self.batch)))

    def __hash__(self) -> int:  # taken once: what a list's dearest rates are is looked up for every call
        return self._hash

    def thresholds(self) -> tuple[int, ...]:
        """The counts of input above which another tier begins, batched calls' included."""
        own = tuple(tier.above_input_tokens for tier in self.tiers)
        return own if self.batch is None else (*own, *self.batch.thresholds())

    def batched(self) -> "PriceList":
        """The prices of batched calls."""
        return self if self.batch is None else self.batch

    def tier_for(self, input_tokens: int) -> Tier:
        """The tier an operation is priced by; the base is the one above 0."""
        passed = [tier for tier in self.tiers if input_tokens > tier.above_input_tokens]
        return passed[-1] if passed else Tier(0, self.base)

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates of that tier."""
        return self.tier_for(input_tokens).rates

    def reachable(self, input_tokens: int) -> tuple[Rates, ...]:
        """The rates that an operation with up to this much input can meet, batched or not."""
        passed = (tier.rates for tier in self.tiers if input_tokens > tier.above_input_tokens)
        batched = () if self.batch is None else self.batch.reachable(input_tokens)
        return (self.base, *passed, *batched)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatRates:
    """One rate for each kind of token and for calls and searches, whatever the model and the tier.

    web_search None = unknown.
    """

    input: int
    cached_input: int
    cache_write: int
    output: int
    call: int = 0
    web_search: int | None = None

    def __post_init__(self) -> None:
        require_rates(self.input, self.cached_input, self.cache_write, self.output)
        require_rates(self.call, self.web_search, most=MAX_CALL_RATE)


@lru_cache(maxsize=4096)
def resolved(rates: Rates) -> Rates:
    """The rates with every one written that another stands in for."""
    written = rates.input if rates.cache_write is None else rates.cache_write
    return replace(
        rates,
        cached_input=rates.input if rates.cached_input is None else rates.cached_input,
        cache_write=written,
        cache_write_1h=written if rates.cache_write_1h is None else rates.cache_write_1h,
        reasoning=rates.output if rates.reasoning is None else rates.reasoning,
        call=rates.call or 0,
    )
