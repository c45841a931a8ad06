"""Seeded prices cost what the vendors' list says, at every date and on both sides of each tier."""

from datetime import UTC, datetime, timedelta

import pytest
from genai_prices import Usage, calc_price, types
from genai_prices.data import providers

from plans import list_prices
from plans.list_prices import ListPrice
from plans.models import LLMModel, ModelPrice, PriceUnit
from plans.pricing import PriceList, Rates, Tier, cost_nano_usd

SINCE = datetime(2025, 1, 1, tzinfo=UTC)


def in_force(rows: list[ListPrice], now: datetime) -> PriceList:
    """The list as `ModelPrice` says it is read: the latest per unit and tier."""
    latest = {
        (row.above_input_tokens, row.unit): row.nano_usd_per_million
        for row in sorted(rows, key=lambda row: row.valid_from)
        if row.valid_from <= now
    }

    def rates(start: int) -> Rates:
        return Rates(**{unit.lower(): latest.get((start, unit)) for unit in PriceUnit})

    starts = sorted({start for start, _ in latest} - {0})
    return PriceList(rates(0), tuple(Tier(start, rates(start)) for start in starts))


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
    assert {(r.above_input_tokens, r.nano_usd_per_million) for r in after if r.unit == PriceUnit.INPUT} == {
        (0, 3 * 10**9),
        (200_000, 3 * 10**9),
    }


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
        ListPrice(PriceUnit(row.unit), row.above_input_tokens, row.valid_from, row.nano_usd_per_million)
        for row in model.prices.all()
    }
    assert stored == set(list_prices.of_model("google", "gemini-3.6-flash", since=SINCE))
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    begun = ModelPrice.objects.filter(model=model, unit=PriceUnit.INPUT)
    assert begun.valid_at(new_year - timedelta(seconds=1)).count() == 1
    assert begun.valid_at(new_year).latest("valid_from").nano_usd_per_million == 1_500_000_000
