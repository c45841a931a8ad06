"""What a call to a model cost at the prices of an instant, and which prices those were."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from plans import pricing
from plans.rates import KINDS
from plans.terms import ModelTerms


class Priced(NamedTuple):
    """A cost in nano-USD, and what the log keeps beside it to say which prices made it."""

    nano_usd: int
    price: Mapping[str, Any]


def of(
    model: ModelTerms,
    at: datetime,
    *,
    input_tokens: int,
    cached_input_tokens: int,
    cache_write_tokens: int,
    output_tokens: int,
    cache_write_1h_tokens: int,
    reasoning_tokens: int,
    api_calls: int,
    web_searches: int,
    is_batch: bool,
) -> Priced:
    """The cost of a call at the prices in force at `at`.

    PriceUnknown where the model had none, or none of something that was used; PriceOutOfBounds and ValueError as
    for pricing.cost_nano_usd.
    """
    in_force = model.dated_price_at(at)
    if in_force is None:
        raise pricing.PriceUnknown(f"{model.model_id} had no price at {at}")
    valid_from, prices = in_force
    prices = prices.batched() if is_batch else prices
    cost = pricing.cost_nano_usd(
        prices, input_tokens=input_tokens, cached_input_tokens=cached_input_tokens,
        cache_write_tokens=cache_write_tokens, output_tokens=output_tokens,
        cache_write_1h_tokens=cache_write_1h_tokens, reasoning_tokens=reasoning_tokens, api_calls=api_calls,
        web_searches=web_searches,
    )  # fmt: skip
    tier = prices.tier_for(input_tokens)
    return Priced(
        cost,
        {
            "provider": model.provider,
            "model": model.model_id,
            "valid_from": valid_from.isoformat(),
            "above_input_tokens": tier.above_input_tokens,
            "rates": {kind: rate for kind in KINDS if (rate := getattr(tier.rates, kind)) is not None},
        }
        | ({} if tier.rates.call is None else {"api_calls": api_calls})
        | uncounted(cache_write_1h_tokens=cache_write_1h_tokens, web_searches=web_searches, is_batch=is_batch),
    )


def uncounted(*, cache_write_1h_tokens: int, web_searches: int, is_batch: bool) -> dict[str, int | bool]:
    """What a cost depends on and the log has no column for, as the log keeps it with the price: without zeros."""
    said = {"cache_write_1h_tokens": cache_write_1h_tokens, "web_searches": web_searches, "is_batch": is_batch}
    return {name: value for name, value in said.items() if value}
