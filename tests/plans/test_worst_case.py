"""A hold covers whatever its permit can cost, and little more."""

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.pricing import PriceUnknown, cost_nano_usd, flat_cost, flat_rates, worst_case_nano_usd
from plans.rates import FlatRates, PriceList, Rates, Tier
from tests.plans.prices import EMBEDDING, GPT_4O, SONNET, UNPRICED, USD, cost, full_price_lists, price_lists, splits


@st.composite
def within(draw: st.DrawFn, input_tokens: int, output_tokens: int) -> dict[str, int]:
    """A split of no more than these counts."""
    split = draw(splits(most=max(input_tokens, output_tokens)))
    used = min(split["input_tokens"], input_tokens)
    cached = min(split["cached_input_tokens"], used)
    return {
        "input_tokens": used,
        "cached_input_tokens": cached,
        "cache_write_tokens": min(split["cache_write_tokens"], used - cached),
        "output_tokens": min(split["output_tokens"], output_tokens),
    }


@given(
    st.lists(price_lists(), min_size=1, max_size=3),
    st.integers(0, 3_000) | st.integers(0, 5),
    st.integers(0, 3_000) | st.integers(0, 5),
    st.data(),
)
def test_no_use_within_a_permit_costs_more_than_its_hold(
    models: list[PriceList], input_tokens: int, output_tokens: int, data: st.DataObject
) -> None:
    """Whichever model ran, whatever was cached, whatever of the counts was used."""
    hold = worst_case_nano_usd(models, input_tokens, output_tokens)
    split = data.draw(within(input_tokens, output_tokens))
    for prices in models:
        assert cost_nano_usd(prices, **split) <= hold
    assert flat_cost(flat_rates(models, input_tokens), **split) <= hold


@given(
    st.lists(full_price_lists(), min_size=1, max_size=3),
    st.integers(0, 3_000) | st.integers(0, 5),
    st.integers(0, 3_000) | st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 3),
    st.data(),
)
def test_no_kind_of_use_within_a_permit_costs_more_than_its_hold(
    models: list[PriceList], input_tokens: int, output_tokens: int, calls: int, searches: int, data: st.DataObject
) -> None:
    """Defect 36: however long the cache, however much was reasoning, batched or not, searched or not."""
    hold = worst_case_nano_usd(models, input_tokens, output_tokens, api_calls=calls, web_searches=searches)
    split = data.draw(within(input_tokens, output_tokens))
    made = {"api_calls": data.draw(st.integers(0, calls)), "web_searches": data.draw(st.integers(0, searches))}
    parts = {
        "cache_write_1h_tokens": data.draw(st.integers(0, split["cache_write_tokens"])),
        "reasoning_tokens": data.draw(st.integers(0, split["output_tokens"])),
    }
    for prices in models:
        assert cost_nano_usd(prices, **split, **made, **parts) <= hold
        assert cost_nano_usd(prices.batched(), **split, **made, **parts) <= hold
    assert flat_cost(flat_rates(models, input_tokens), **split, **made) <= hold


def test_the_hold_covers_three_input_lines_that_all_round_up() -> None:
    each_rounds_up = PriceList(Rates(input=500_001, output=1))
    assert cost(each_rounds_up, 3, cached=1, written=1) == 3
    assert worst_case_nano_usd([each_rounds_up], 3, 0) == 3


def test_the_hold_is_exact_for_rates_as_they_are_published() -> None:
    """Defect 44: no more is held than the call can cost."""
    assert worst_case_nano_usd([GPT_4O], 1_200, 4_000) == cost(GPT_4O, 1_200, output_tokens=4_000)
    assert worst_case_nano_usd([SONNET], 1_000, 0) == cost(SONNET, 1_000, written=1_000)
    assert worst_case_nano_usd([GPT_4O, SONNET], 10, 10) == 10 * 3_750 + 10 * 15_000


def test_a_tier_out_of_reach_is_not_held() -> None:
    """Defect 44."""
    assert worst_case_nano_usd([SONNET], 200_000, 10) == 200_000 * 3_750 + 10 * 15_000
    assert worst_case_nano_usd([SONNET], 200_001, 10) == 200_001 * 7_500 + 10 * 22_500


def test_a_cheaper_tier_does_not_lower_the_hold() -> None:
    """Fewer tokens than held would cost more each."""
    bulk = PriceList(Rates(input=4 * USD, output=8 * USD), (Tier(100, Rates(input=USD, output=USD)),))
    assert worst_case_nano_usd([bulk], 101, 10) >= cost(bulk, 100, output_tokens=10)


def test_one_unknown_price_makes_the_worst_case_unknown() -> None:
    """Defect 39: the cheapest known model does not stand in for one without a price."""
    for first, second in combinations([GPT_4O, UNPRICED, SONNET], 2):
        if UNPRICED in (first, second):
            with pytest.raises(PriceUnknown):
                worst_case_nano_usd([first, second], 10, 10)
            with pytest.raises(PriceUnknown):
                flat_rates([first, second], 10)


def test_no_model_at_all_is_an_unknown_price() -> None:
    """Defect 39."""
    with pytest.raises(PriceUnknown):
        worst_case_nano_usd([], 10, 10)
    with pytest.raises(PriceUnknown):
        flat_rates([], 10)


def test_an_embedding_needs_no_output_rate_until_output_is_asked_for() -> None:
    assert worst_case_nano_usd([EMBEDDING], 1_000, 0) == 20_000
    with pytest.raises(PriceUnknown):
        worst_case_nano_usd([EMBEDDING], 1_000, 1)


# --- flat rates


def test_flat_rates_are_the_dearest_of_each_kind_within_reach() -> None:
    assert flat_rates([GPT_4O, SONNET], 200_000) == FlatRates(
        input=3 * USD, cached_input=1_250_000_000, cache_write=3_750_000_000, output=15 * USD
    )
    assert flat_rates([GPT_4O, SONNET], 200_001) == FlatRates(
        input=6 * USD, cached_input=1_250_000_000, cache_write=7_500_000_000, output=22_500_000_000
    )


@given(st.lists(price_lists(), min_size=1, max_size=3), splits())
def test_flat_cost_is_within_rounding_of_the_dearest_model_or_above(
    models: Sequence[PriceList], split: dict[str, int]
) -> None:
    flat = flat_cost(flat_rates(models, split["input_tokens"]), **split)
    assert all(cost_nano_usd(prices, **split) <= flat + 2 for prices in models)


def test_flat_cost_rounds_up_once() -> None:
    rates = FlatRates(input=1, cached_input=1, cache_write=1, output=1)
    flat = partial(flat_cost, rates, cached_input_tokens=1, cache_write_tokens=1)
    assert flat(input_tokens=3, output_tokens=1) == 1
    assert flat(input_tokens=500_000, output_tokens=500_000) == 1
    assert flat(input_tokens=500_000, output_tokens=500_001) == 2
    with pytest.raises(ValueError, match="exceed"):
        flat(input_tokens=1, output_tokens=0)
