"""What vendors ask for their models, from the genai-prices package that is installed; nothing is fetched."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import NamedTuple

from genai_prices import types
from genai_prices.data import providers

from plans.models import PriceUnit

NANO = 10**9
_NAMES = {
    PriceUnit.INPUT: "input_mtok",
    PriceUnit.CACHED_INPUT: "cache_read_mtok",
    PriceUnit.CACHE_WRITE: "cache_write_mtok",
    PriceUnit.OUTPUT: "output_mtok",
}
_Price = Decimal | types.TieredPrices | None


class NotListed(LookupError):
    """The package knows no such model, or prices it in a way that a ModelPrice cannot say."""


class ListPrice(NamedTuple):
    """One row of ModelPrice, without its model."""

    unit: PriceUnit
    above_input_tokens: int
    valid_from: datetime
    nano_usd_per_million: int


def of_model(price_list: str, model_id: str, *, since: datetime) -> list[ListPrice]:
    """All prices of a vendor's model; those without a date hold from `since` on.

    Each date has a price for each kind of token and each tier that the model ever had, so that the latest
    row of each is the one in force: a kind no longer listed costs as much as input, a tier no longer listed
    as much as the one below. NotListed where the model is unknown or priced by the hour of the day.
    """
    dated = list(_dated(price_list, model_id, since))
    units = [unit for unit in PriceUnit if any(_price(prices, unit) is not None for _, prices in dated)]
    starts = sorted({0}.union(*(_starts(prices, unit) for _, prices in dated for unit in units)))
    rows: dict[tuple[PriceUnit, int, datetime], int] = {}
    for valid_from, prices in dated:
        for unit in units:
            price = _price(prices, unit)
            listed = _price(prices, PriceUnit.INPUT) if price is None else price
            for start in starts:
                rows[unit, start, valid_from] = _nano(_at(listed, start))
    return [ListPrice(*key, nano) for key, nano in rows.items()]


def _dated(price_list: str, model_id: str, since: datetime) -> Iterator[tuple[datetime, types.ModelPrice]]:
    listed = next((m.prices for p in providers if p.id == price_list for m in p.models if m.id == model_id), None)
    if listed is None:
        raise NotListed(f"{price_list} lists no model {model_id}")
    if not isinstance(listed, list):
        yield since, listed
        return
    for conditional in listed:
        match conditional.constraint:
            case None:
                yield since, conditional.prices
            case types.StartDateConstraint(start_date=day):
                yield max(since, datetime.combine(day, time(), UTC)), conditional.prices
            case _:
                raise NotListed(f"{model_id} has a price that depends on the hour of the day")


def _price(prices: types.ModelPrice, unit: PriceUnit) -> _Price:
    price: _Price = getattr(prices, _NAMES[unit], None)
    return price


def _starts(prices: types.ModelPrice, unit: PriceUnit) -> set[int]:
    price = _price(prices, unit)
    return {tier.start for tier in price.tiers} if isinstance(price, types.TieredPrices) else set()


def _at(price: _Price, start: int) -> Decimal:
    """The price of the highest tier that begins at `start` or below."""
    if price is None:
        raise NotListed("a model without a price for input and output is not an LLM")
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tier.start <= start), price.base)


def _nano(usd_per_million: Decimal) -> int:
    nano = usd_per_million * NANO
    if nano != int(nano):
        raise NotListed(f"USD {usd_per_million} a million has more than 9 decimals")
    return int(nano)
