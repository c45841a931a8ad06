"""Costs are exact, and unknown prices are never 0."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from genai_prices import Usage, calc_price
from genai_prices.types import ModelPrice, TieredPrices
from hypothesis import example, given

from plans.pricing import (
    MAX_COUNT,
    MAX_OPERATION_NANO_USD,
    PriceUnknown,
    cost_nano_usd,
    flat_cost,
    flat_rates,
    unit_cost,
    worst_case_nano_usd,
)
from plans.rates import MAX_RATE, FlatRates, PriceList, PriceOutOfBounds, Rates, Tier
from tests.plans.prices import EMBEDDING, GPT_4O, SONNET, UNPRICED, USD, cost, price_lists, splits


def as_decimal(prices: PriceList, split: dict[str, int]) -> Decimal:
    """The same cost by the textbook: Decimal, a line for each kind."""
    found = prices.base
    for tier in prices.tiers:
        if split["input_tokens"] > tier.above_input_tokens:
            found = tier.rates
    cached, written = split["cached_input_tokens"], split["cache_write_tokens"]
    lines = [
        (split["input_tokens"] - cached - written, found.input),
        (cached, found.input if found.cached_input is None else found.cached_input),
        (written, found.input if found.cache_write is None else found.cache_write),
        (split["output_tokens"], found.output),
    ]
    with localcontext(prec=60):
        return sum(
            (
                (Decimal(count) * Decimal(rate or 0) / 10**6).quantize(Decimal(1), ROUND_HALF_EVEN)
                for count, rate in lines
            ),
            start=Decimal(0),
        )


# --- cost


def test_cached_tokens_cost_their_own_rate_once() -> None:
    """Defect 40: neither priced in full, nor twice, nor taken from an input without them."""
    assert cost(GPT_4O, 1_000, cached=600) == 400 * 2_500 + 600 * 1_250
    assert cost(SONNET, 1_000, cached=600, written=300) == 100 * 3_000 + 600 * 300 + 300 * 3_750


def test_cached_tokens_without_a_rate_of_their_own_cost_as_input() -> None:
    """Defect 40."""
    plain = PriceList(Rates(input=2 * USD, output=8 * USD))
    assert cost(plain, 1_000, cached=600, written=300) == cost(plain, 1_000) == 2_000_000


def test_a_cached_rate_of_zero_is_not_a_missing_one() -> None:
    """Defect 39 the other way round: 0 is a price, and is kept."""
    free_cache = PriceList(Rates(input=2 * USD, cached_input=0, output=8 * USD))
    assert cost(free_cache, 1_000, cached=1_000) == 0


def test_a_tier_prices_every_token_once_the_whole_input_passes_it() -> None:
    assert cost(SONNET, 200_000, output_tokens=10) == 200_000 * 3_000 + 10 * 15_000
    assert cost(SONNET, 200_001, output_tokens=10) == 200_001 * 6_000 + 10 * 22_500
    assert cost(SONNET, 200_001, cached=200_001) == 200_001 * 600


def test_an_unknown_price_is_never_zero() -> None:
    """Defect 39."""
    with pytest.raises(PriceUnknown):
        cost(UNPRICED, 1)
    with pytest.raises(PriceUnknown):
        cost(UNPRICED, 0, output_tokens=1)
    with pytest.raises(PriceUnknown):
        cost(PriceList(Rates(input=None, cached_input=5, output=5)), 2, cached=1)
    with pytest.raises(PriceUnknown):
        cost(PriceList(Rates(input=5, output=5), (Tier(10, Rates(input=None, output=5)),)), 11)


def test_what_was_not_used_needs_no_price() -> None:
    assert cost(EMBEDDING, 1_000) == 20_000
    assert cost(UNPRICED, 0) == 0
    assert cost(PriceList(Rates(input=None, cached_input=5 * USD, output=5)), 2, cached=2) == 10_000


@pytest.mark.parametrize(
    ("rate", "tokens", "expected"),
    [
        (500_000, 1, 0),
        (500_000, 3, 2),
        (500_000, 5, 2),
        (500_001, 1, 1),
        (499_999, 1, 0),
        (1, MAX_COUNT, 1_000),
    ],
)
def test_half_a_nano_goes_to_the_even_neighbour(rate: int, tokens: int, expected: int) -> None:
    assert cost(PriceList(Rates(input=rate, output=0)), tokens) == expected


def test_rounding_is_once_a_line() -> None:
    each_rounds_up = PriceList(Rates(input=500_001, cached_input=500_001, cache_write=500_001, output=500_001))
    assert cost(each_rounds_up, 3, cached=1, written=1, output_tokens=1) == 4


@given(price_lists(), splits())
def test_cost_is_the_textbooks_decimal(prices: PriceList, split: dict[str, int]) -> None:
    assert cost_nano_usd(prices, **split) == as_decimal(prices, split)


def test_parts_that_exceed_the_input_are_refused() -> None:
    """Defect 40."""
    with pytest.raises(ValueError, match="exceed"):
        cost(GPT_4O, 10, cached=6, written=5)


# --- the oracle


def nano(per_million_usd: Decimal) -> int:
    scaled = per_million_usd * USD
    assert scaled == int(scaled)
    return int(scaled)


def from_genai(price: ModelPrice) -> PriceList:
    """A genai-prices price in our shape."""
    kinds = {
        "input": price.input_mtok,
        "output": price.output_mtok,
        "cached_input": price.cache_read_mtok,
        "cache_write": price.cache_write_mtok,
    }
    starts = sorted({tier.start for kind in kinds.values() if isinstance(kind, TieredPrices) for tier in kind.tiers})

    def rate(kind: Decimal | TieredPrices | None, above: int) -> int | None:
        if isinstance(kind, TieredPrices):
            passed = [kind.base, *(tier.price for tier in kind.tiers if tier.start <= above)]
            return nano(passed[-1])
        return None if kind is None else nano(kind)

    def rates_above(above: int) -> Rates:
        return Rates(**{name: rate(kind, above) for name, kind in kinds.items()})

    return PriceList(rates_above(0), tuple(Tier(start, rates_above(start)) for start in starts))


MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5"),
    ("openai", "gpt-5-nano"),
    ("openai", "gpt-5.6-sol"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-opus-4-6"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"),
    ("google", "gemini-3-pro-preview"),
    ("deepseek", "deepseek-chat"),
]


@pytest.mark.parametrize(("provider", "model"), MODELS)
@given(split=splits(most=400_000))
@example(
    split={
        "input_tokens": 200_000,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 1,
    }
)
@example(
    split={
        "input_tokens": 272_001,
        "cached_input_tokens": 7,
        "cache_write_tokens": 11,
        "output_tokens": 3,
    }
)
def test_costs_agree_with_genai_prices(provider: str, model: str, split: dict[str, int]) -> None:
    """Defect 40: every model's own rates and tiers, within the rounding of four lines."""
    usage = Usage(
        input_tokens=split["input_tokens"],
        cache_read_tokens=split["cached_input_tokens"],
        cache_write_tokens=split["cache_write_tokens"],
        output_tokens=split["output_tokens"],
    )
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    oracle = calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)
    ours = cost_nano_usd(from_genai(oracle.model_price), **split)
    assert abs(ours - oracle.total_price * USD) <= 2


# --- bounds


def test_the_largest_operation_fits_and_one_nano_more_does_not() -> None:
    top = PriceList(Rates(input=MAX_RATE, output=MAX_RATE))
    assert cost(top, MAX_COUNT) == worst_case_nano_usd([top], MAX_COUNT, 0) == MAX_OPERATION_NANO_USD
    with pytest.raises(PriceOutOfBounds):
        cost(top, MAX_COUNT, output_tokens=1)
    with pytest.raises(PriceOutOfBounds):
        worst_case_nano_usd([top], MAX_COUNT, 1)
    with pytest.raises(PriceOutOfBounds):
        flat_cost(
            flat_rates([top], MAX_COUNT),
            input_tokens=MAX_COUNT,
            cached_input_tokens=0,
            cache_write_tokens=0,
            output_tokens=1,
        )


@pytest.mark.parametrize("count", [-1, MAX_COUNT + 1])
def test_counts_out_of_bounds_are_refused(count: int) -> None:
    with pytest.raises(PriceOutOfBounds):
        cost(GPT_4O, count)
    with pytest.raises(PriceOutOfBounds):
        cost(GPT_4O, 0, output_tokens=count)
    with pytest.raises(PriceOutOfBounds):
        worst_case_nano_usd([GPT_4O], count, 0)
    with pytest.raises(PriceOutOfBounds):
        worst_case_nano_usd([GPT_4O], 0, count)
    with pytest.raises(PriceOutOfBounds):
        unit_cost(1, count)


def test_a_negative_part_is_refused_rather_than_added_to_the_input() -> None:
    with pytest.raises(PriceOutOfBounds):
        cost(GPT_4O, 10, cached=-5)


@pytest.mark.parametrize("rate", [-1, MAX_RATE + 1])
def test_rates_out_of_bounds_are_refused(rate: int) -> None:
    with pytest.raises(PriceOutOfBounds):
        Rates(input=1, output=1, cached_input=rate)
    with pytest.raises(PriceOutOfBounds):
        FlatRates(input=rate, cached_input=1, cache_write=1, output=1)
    with pytest.raises(PriceOutOfBounds):
        unit_cost(rate, 1)


@pytest.mark.parametrize("starts", [(0,), (-1,), (10, 10), (20, 10)])
def test_tiers_must_rise_from_above_zero(starts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="tiers"):
        PriceList(GPT_4O.base, tuple(Tier(start, GPT_4O.base) for start in starts))


def test_unit_cost_is_price_times_units() -> None:
    assert unit_cost(1_500_000, 3) == 4_500_000
    assert unit_cost(0, MAX_COUNT) == unit_cost(MAX_RATE, 0) == 0
    with pytest.raises(PriceOutOfBounds):
        unit_cost(MAX_RATE, 1_001)
