"""Seeded prices cost what the vendors' list says, at every date and on both sides of each tier."""

from datetime import UTC, datetime, timedelta

import pytest
from genai_prices import Usage, calc_price, types
from genai_prices.data import providers

from plans import list_prices, price_lists
from plans.list_prices import ListPrice
from plans.models import LLMModel, ModelPrice, PriceUnit
from plans.pricing import cost_nano_usd
from plans.rates import PriceList

SINCE = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def in_force(rows: list[ListPrice], now: datetime) -> PriceList:
    """The list as entitlements read it from the rows of ModelPrice."""
    return next(prices for starts_at, prices in reversed(price_lists.history(rows)) if starts_at <= now)


MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-6-luna"),
    ("openai", "gpt-5.6-sol"),  # a date and tiers
    ("anthropic", "claude-haiku-5-5"),
    ("anthropic", "claude-sonnet-4-6"),  # a date that ends its tiers
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-3.6-flash"),  # a date
    ("openai", "o3"),
]


@pytest.mark.parametrize("now", [SINCE, datetime(2026, 4, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)])
@pytest.mark.parametrize("tokens", [1_000, 100_000, 100_001, 200_000, 200_001, 272_000, 272_001])
@pytest.mark.parametrize(("vendor", "model"), MODELS)
def test_a_listed_price_is_what_the_package_asks(vendor: str, model: str, tokens: int, now: datetime) -> None:
    """Defect 40: cached tokens are neither priced in full nor twice."""
    prices = in_force(list_prices.of_model(vendor, model, since=SINCE), now)
    cached = tokens // 2
    ours = cost_nano_usd(
        prices, input_tokens=tokens, cached_input_tokens=cached, cache_write_tokens=0, output_tokens=500
    )
    usage = Usage(input_tokens=tokens, cache_read_tokens=cached, output_tokens=500)
    theirs = calc_price(usage, model, provider_id=vendor, genai_request_timestamp=now).total_price
    assert ours == theirs * 10**9


def test_a_tier_that_ends_costs_as_much_as_the_one_below() -> None:
    rows = list_prices.of_model("anthropic", "claude-sonnet-4-6", since=SINCE)
    after = [row for row in rows if row.valid_from == datetime(2026, 3, 13, tzinfo=UTC)]
    changed = {(row.unit, row.above_input_tokens): row.nano_usd_per_million for row in after if not row.is_batch}
    assert changed[PriceUnit.INPUT, 200_000] == 3 * 10**9
    assert all(above for _, above in changed)


def test_a_batched_call_costs_its_own_price_once_that_has_begun() -> None:
    rows = list_prices.of_model("openai", "gpt-4o", since=SINCE)
    batched = sorted({row.valid_from for row in rows if row.is_batch})
    prices = in_force(rows, NOW)
    assert prices.batch is not None
    assert prices.batched().base.input == (prices.base.input or 0) // 2
    assert prices.batched().base.web_search == prices.base.web_search == 10_000 * 10**9
    before = in_force(rows, batched[-1] - timedelta(seconds=1))
    assert before.batched().base == before.base


def test_a_price_per_call_and_one_for_reasoning_are_listed() -> None:
    per_call = in_force(list_prices.of_model("perplexity", "sonar", since=SINCE), NOW)
    assert per_call.base.call == 12_000 * 10**9
    thinking = in_force(list_prices.of_model("openrouter", "perplexity/sonar-deep-research", since=SINCE), NOW)
    assert (thinking.base.reasoning, thinking.base.output) == (3 * 10**9, 8 * 10**9)
    hour = in_force(list_prices.of_model("anthropic", "claude-opus-5-5", since=SINCE), NOW)
    assert hour.base.cache_write_1h == 2 * (hour.base.input or 0)


def test_a_model_without_a_price_of_tokens_is_refused() -> None:
    """Defect 39: what is billed by the hour of audio is not free."""
    with pytest.raises(list_prices.NotListed, match="no price of tokens"):
        list_prices.of_model("groq", "whisper-large-v3", since=SINCE)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(list_prices.NotListed, match="openai lists no model gpt-0"):
        list_prices.of_model("openai", "gpt-0", since=SINCE)


def test_a_price_by_the_hour_of_the_day_is_refused() -> None:
    hourly = next(
        (vendor.id, model.id)
        for vendor in providers
        for model in vendor.models
        if isinstance(model.prices, list)
        and any(isinstance(price.constraint, types.TimeOfDateConstraint) for price in model.prices)
    )
    with pytest.raises(list_prices.NotListed, match="hour of the day"):
        list_prices.of_model(*hourly, since=SINCE)


@pytest.mark.django_db
def test_the_seeded_rows_are_the_listed_ones() -> None:
    model = LLMModel.objects.get(model_id="gemini-3.6-flash")
    stored = {
        ListPrice(PriceUnit(row.unit), row.above_input_tokens, row.valid_from, row.nano_usd_per_million, row.is_batch)
        for row in model.prices.all()
    }
    assert stored == set(list_prices.of_model("google", "gemini-3.6-flash", since=SINCE))
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    begun = ModelPrice.objects.filter(model=model, unit=PriceUnit.INPUT, is_batch=False)
    assert begun.valid_at(new_year - timedelta(seconds=1)).count() == 1
    assert begun.valid_at(new_year).latest("valid_from").nano_usd_per_million == 1_500_000_000
