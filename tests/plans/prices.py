"""Price lists as published, and strategies for those that are not."""

from hypothesis import strategies as st

from plans.pricing import cost_nano_usd
from plans.rates import PriceList, Rates, Tier

USD = 10**9

# gpt-4o, and a model that costs twice as much beyond 200,000 input tokens, as published.
GPT_4O = PriceList(Rates(input=2_500_000_000, cached_input=1_250_000_000, output=10 * USD))
SONNET = PriceList(
    Rates(input=3 * USD, cached_input=300_000_000, cache_write=3_750_000_000, output=15 * USD),
    (
        Tier(
            200_000,
            Rates(input=6 * USD, cached_input=600_000_000, cache_write=7_500_000_000, output=22_500_000_000),
        ),
    ),
)
EMBEDDING = PriceList(Rates(input=20_000_000, output=None))
UNPRICED = PriceList(Rates(input=None, output=None))

# Published rates are whole nano-USD a token; the odd ones make rounding matter.
rates = st.integers(0, 200).map(lambda each: each * 10**6) | st.integers(0, 5_000_000) | st.integers(0, 10**11)
optional = st.none() | rates


@st.composite
def price_lists(draw: st.DrawFn) -> PriceList:
    draw_rates = st.builds(Rates, input=rates, output=rates, cached_input=optional, cache_write=optional)
    starts = draw(st.lists(st.integers(1, 2_000), max_size=3, unique=True))
    return PriceList(draw(draw_rates), tuple(Tier(start, draw(draw_rates)) for start in sorted(starts)))


@st.composite
def full_price_lists(draw: st.DrawFn) -> PriceList:
    """Lists with prices of everything, of batched calls too."""
    of_calls = optional | st.integers(0, 10**14)
    draw_rates = st.builds(
        Rates, input=rates, output=rates, cached_input=optional, cache_write=optional, cache_write_1h=optional,
        reasoning=optional, call=of_calls, web_search=rates | st.integers(0, 10**14),
    )  # fmt: skip

    def tiered(batch: PriceList | None) -> PriceList:
        starts = sorted(draw(st.lists(st.integers(1, 2_000), max_size=2, unique=True)))
        return PriceList(draw(draw_rates), tuple(Tier(start, draw(draw_rates)) for start in starts), batch)

    return tiered(tiered(None) if draw(st.booleans()) else None)


@st.composite
def splits(draw: st.DrawFn, most: int = 3_000) -> dict[str, int]:
    total = draw(st.integers(0, most))
    cached = draw(st.integers(0, total))
    return {
        "input_tokens": total,
        "cached_input_tokens": cached,
        "cache_write_tokens": draw(st.integers(0, total - cached)),
        "output_tokens": draw(st.integers(0, most)),
    }


def cost(prices: PriceList, input_tokens: int, cached: int = 0, written: int = 0, output_tokens: int = 0) -> int:
    return cost_nano_usd(
        prices,
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output_tokens,
    )
