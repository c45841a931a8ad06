"""What a call costs here is what genai-prices' own calculator says."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from genai_prices import Usage, types
from genai_prices.data import providers

from plans import list_prices, price_lists
from plans.models import PriceUnit
from plans.pricing import cost_nano_usd
from plans.rates import KINDS, PriceList

SINCE = datetime(2025, 1, 1, tzinfo=UTC)
SAMPLES = 200


Listed = tuple[types.Provider, types.ModelInfo, list[list_prices.ListPrice]]


class Sample(NamedTuple):
    """A model and what a call to it used, at an instant."""

    provider: types.Provider
    model: types.ModelInfo
    prices: PriceList
    at: datetime
    is_batch: bool
    counts: dict[str, int]


def samples() -> list[Sample]:
    """Models of every vendor: those with two prices, with more, with prices of batched calls, and each with
    a price of calls or of reasoning.
    """
    random = Random(20261124)
    plain: list[Listed] = []
    rich: list[Listed] = []
    batched: list[Listed] = []
    rare: list[Listed] = []
    for provider in providers:
        for model in provider.models:
            try:
                rows = list_prices.of_model(provider.id, model.id, since=SINCE)
            except list_prices.NotListed:
                continue
            if {row.unit for row in rows} & {PriceUnit.CALL, PriceUnit.REASONING}:
                pool = rare
            elif any(row.is_batch for row in rows):
                pool = batched
            else:
                pool = rich if len({row[:2] for row in rows}) > 2 else plain
            pool.append((provider, model, rows))
    taken = rare + random.sample(plain, 50) + random.sample(rich, 90)
    taken += random.sample(batched, SAMPLES - len(taken))
    return [_sample(random, *each) for each in taken]


def _sample(
    random: Random, provider: types.Provider, model: types.ModelInfo, rows: list[list_prices.ListPrice]
) -> Sample:
    at = SINCE + timedelta(hours=random.randrange(24 * 900))
    prices = next(prices for starts_at, prices in reversed(price_lists.history(rows)) if starts_at <= at)
    tokens = random.choice([0, 1, 7, 999, 33_333, 100_001, 200_001, 500_003, 999_999])
    cached = random.randint(0, tokens)
    written = random.randint(0, tokens - cached)
    output = random.randint(0, 60_000) if prices.base.output is not None else 0
    counts = {
        "input_tokens": tokens,
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": random.randint(0, written),
        "output_tokens": output,
        "reasoning_tokens": random.randint(0, output),
        "web_searches": random.randint(0, 5) if prices.base.web_search is not None else 0,
    }
    is_batch = random.random() < 0.7
    return Sample(provider, model, prices.batched() if is_batch else prices, at, is_batch, counts)


def theirs(sample: Sample) -> Decimal:
    """The package's cost in nano-USD, exact."""
    counts = sample.counts
    usage = Usage(
        input_tokens=counts["input_tokens"],
        cache_read_tokens=counts["cached_input_tokens"],
        cache_write_tokens=counts["cache_write_tokens"],
        cache_write_1h_tokens=counts["cache_write_1h_tokens"],
        output_tokens=counts["output_tokens"],
        output_reasoning_tokens=counts["reasoning_tokens"],
        web_searches=counts["web_searches"],
    )
    priced = sample.model.calc_price(
        usage,
        sample.provider,
        genai_request_timestamp=sample.at,
        price_context={"processing": "batch"} if sample.is_batch else None,
    )
    return priced.total_price * 10**9


def is_in_whole_nanos(sample: Sample) -> bool:
    """Whether each token, call and search costs whole nano-USD, so that no line is rounded."""
    rates = sample.prices.rates_for(sample.counts["input_tokens"])
    return all((getattr(rates, kind) or 0) % 10**6 == 0 for kind in KINDS)


def test_two_hundred_models_cost_what_the_package_says_to_the_nano_dollar() -> None:
    """Defects 5 and 40: every token counts, in its own kind, once."""
    exact = 0
    for sample in samples():
        ours = cost_nano_usd(sample.prices, **sample.counts)
        said = theirs(sample)
        if is_in_whole_nanos(sample):
            assert ours == said, sample
            exact += 1
        # Up to eight lines are rounded here, each by half a nano-USD at most, and the package rounds none.
        assert abs(ours - said) < 1, sample
    assert exact > SAMPLES * 0.8


def test_the_samples_have_every_kind_of_price() -> None:
    taken = samples()
    used = [sample.prices.rates_for(sample.counts["input_tokens"]) for sample in taken]
    priced = {kind for rates in used for kind in KINDS if getattr(rates, kind) is not None}
    assert priced == {*KINDS}
    assert sum(sample.is_batch and sample.model.price_variants is not None for sample in taken) > 20
    assert sum(rates != sample.prices.base for rates, sample in zip(used, taken, strict=True)) >= 3
