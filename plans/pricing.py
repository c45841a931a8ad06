"""What tokens cost: exact integer arithmetic on nano-USD (10^-9 USD), from rates to money.

A rate is nano-USD per million of what it prices: tokens of one kind, calls, or web searches. A cost has one
line for each kind (uncached input, cached input, cache write for minutes and for an hour, output, reasoning,
calls, searches), and each line is rounded once, half to even.
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

from plans import money
from plans.rates import KINDS, FlatRates, PriceList, PriceOutOfBounds, Rates, require_rates, resolved

MAX_COUNT = 10**9
MAX_OPERATION_NANO_USD = 10**15

_PER = 1_000_000


class PriceUnknown(LookupError):
    """Tokens of a kind that has no rate: a refusal or an estimate, never 0."""


def cost_nano_usd(
    prices: PriceList,
    *,
    input_tokens: int,
    cached_input_tokens: int,
    cache_write_tokens: int,
    output_tokens: int,
    cache_write_1h_tokens: int = 0,
    reasoning_tokens: int = 0,
    api_calls: int = 1,
    web_searches: int = 0,
) -> int:
    """What an operation cost. Input includes cached and cache-written tokens, output reasoning.

    PriceUnknown where something was used whose rate is unknown; PriceOutOfBounds beyond the
    ledger's bounds; ValueError where parts exceed the whole that includes them.
    """
    uncached = _uncached(input_tokens, cached_input_tokens, cache_write_tokens)
    rates = resolved(prices.rates_for(input_tokens))
    return _within_bounds(
        _line(uncached, rates.input)
        + _line(cached_input_tokens, rates.cached_input)
        + _line(_rest(cache_write_tokens, cache_write_1h_tokens), rates.cache_write)
        + _line(cache_write_1h_tokens, rates.cache_write_1h)
        + _line(_rest(output_tokens, reasoning_tokens), rates.output)
        + _line(reasoning_tokens, rates.reasoning)
        + _line(api_calls, rates.call)
        + _line(web_searches, rates.web_search)
    )


def worst_case_nano_usd(
    price_lists: Iterable[PriceList],
    input_tokens: int,
    output_tokens: int,
    *,
    api_calls: int = 1,
    web_searches: int = 0,
) -> int:
    """The most that up to these counts can cost, on any of the models, however input and output are split.

    Never below cost_nano_usd of one of them or flat_cost at their flat_rates, so that what stays
    within its permit stays within its hold. PriceUnknown where one lacks a rate that it needs, or
    where there is no model at all; PriceOutOfBounds as for a cost.
    """
    dearest = _dearest(price_lists, input_tokens)
    input_rate = _max((dearest.input, dearest.cached_input, dearest.cache_write, dearest.cache_write_1h))
    output_rate = _max((dearest.output, dearest.reasoning))
    return _within_bounds(
        _most(input_tokens, input_rate, lines=4)
        + _most(output_tokens, output_rate, lines=2)
        + _most(api_calls, dearest.call, lines=1)
        + _most(web_searches, dearest.web_search, lines=1)
    )


def flat_rates(price_lists: Iterable[PriceList], input_tokens: int) -> FlatRates:
    """The dearest rate of each kind that up to this much input can meet on any of the models.

    PriceUnknown where one of them lacks a rate of tokens, or where there is no model at all.
    """
    dearest = _dearest(price_lists, input_tokens)
    return FlatRates(
        input=_known(dearest.input),
        cached_input=_known(dearest.cached_input),
        cache_write=_known(_max((dearest.cache_write, dearest.cache_write_1h))),
        output=_known(_max((dearest.output, dearest.reasoning))),
        call=_known(dearest.call),
        web_search=dearest.web_search,
    )


def flat_cost(
    rates: FlatRates,
    *,
    input_tokens: int,
    cached_input_tokens: int,
    cache_write_tokens: int,
    output_tokens: int,
    api_calls: int = 1,
    web_searches: int = 0,
) -> int:
    """What a commit that names no model costs, rounded up once; the ledger's SQL does the same."""
    uncached = _uncached(input_tokens, cached_input_tokens, cache_write_tokens)
    exact = (
        uncached * rates.input
        + cached_input_tokens * rates.cached_input
        + cache_write_tokens * rates.cache_write
        + _count(output_tokens) * rates.output
        + _count(api_calls) * rates.call
        + (_count(web_searches) * _known(rates.web_search) if web_searches else 0)
    )
    return _within_bounds(_ceil(exact, _PER))


def unit_cost(price_per_unit_nano: int, units: int) -> int:
    """What `units` of an API task cost, in nano-USD; PriceOutOfBounds as for tokens."""
    require_rates(price_per_unit_nano)
    return _within_bounds(price_per_unit_nano * _count(units))


def _count(count: int) -> int:
    if not 0 <= count <= MAX_COUNT:
        raise PriceOutOfBounds(f"count {count} is not in 0..{MAX_COUNT}")
    return count


def _within_bounds(nano: int) -> int:
    if nano > MAX_OPERATION_NANO_USD:
        raise PriceOutOfBounds(f"{money.usd(nano)} USD for one operation")
    return nano


def _uncached(input_tokens: int, cached_input_tokens: int, cache_write_tokens: int) -> int:
    uncached = _count(input_tokens) - _count(cached_input_tokens) - _count(cache_write_tokens)
    if uncached < 0:
        raise ValueError("cached and cache-written tokens exceed the input that includes them")
    return uncached


def _rest(whole: int, part: int) -> int:
    rest = _count(whole) - _count(part)
    if rest < 0:
        raise ValueError("a part exceeds the whole that includes it")
    return rest


def _dearest(price_lists: Iterable[PriceList], input_tokens: int) -> Rates:
    """For each kind the dearest rate within reach, or None where one of them is unknown."""
    starts, dearest = _steps(tuple(price_lists))
    return dearest[bisect_left(starts, _count(input_tokens))]


@lru_cache(maxsize=4096)
def _steps(price_lists: tuple[PriceList, ...]) -> tuple[tuple[int, ...], tuple[Rates, ...]]:
    """The counts of input above which dearer rates come within reach, and the dearest up to each and beyond all."""
    if not price_lists:
        raise PriceUnknown("there is no model with a price")
    starts = tuple(sorted({start for prices in price_lists for start in prices.thresholds()}))
    dearest = []
    for most in (*starts, MAX_COUNT):
        met = [resolved(rates) for prices in price_lists for rates in prices.reachable(most)]
        dearest.append(Rates(**{kind: _max(getattr(rates, kind) for rates in met) for kind in KINDS}))
    return starts, tuple(dearest)


def _max(rates: Iterable[int | None]) -> int | None:
    """The dearest of the rates; None, unknown, where one of them is unknown."""
    known = list(rates)
    return None if None in known else max(rate for rate in known if rate is not None)


def _known(rate: int | None) -> int:
    if rate is None:
        raise PriceUnknown("a model lacks a rate")
    return rate


def _line(count: int, rate: int | None) -> int:
    """The cost of one kind, half to even; what was not used needs no rate."""
    if _count(count) == 0:
        return 0
    whole, rest = divmod(count * _known(rate), _PER)
    return whole + (rest * 2 > _PER or (rest * 2 == _PER and whole % 2 == 1))


def _most(count: int, rate: int | None, *, lines: int) -> int:
    """An upper bound for the lines that share these tokens, none dearer than `rate`.

    Rounding adds at most half a nano-USD to each; and no line exceeds its tokens at the rate
    rounded up to whole nano-USD a token, which is exact for nearly all published rates.
    """
    if _count(count) == 0:
        return 0
    rate = _known(rate)
    rounded = _ceil(count * rate, _PER) if lines == 1 else (2 * count * rate + lines * _PER) // (2 * _PER)
    return min(rounded, count * _ceil(rate, _PER))


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
