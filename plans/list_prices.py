"""What vendors ask for their models, from the genai-prices package that is installed; nothing is fetched."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import NamedTuple

from genai_prices import types
from genai_prices.data import providers

from plans.models import NOT_TOKENS, PriceUnit
from plans.models.price import MAX_CALL_PRICE, MAX_PRICE

NANO = 10**9
_NAMES = {
    PriceUnit.INPUT: "input_mtok",
    PriceUnit.CACHED_INPUT: "cache_read_mtok",
    PriceUnit.CACHE_WRITE: "cache_write_mtok",
    PriceUnit.CACHE_WRITE_1H: "cache_write_1h_mtok",
    PriceUnit.OUTPUT: "output_mtok",
    PriceUnit.REASONING: "output_reasoning_mtok",
    PriceUnit.CALL: "requests_kcount",
    PriceUnit.WEB_SEARCH: "web_searches_kcount",
}
_STANDS_IN = {
    PriceUnit.CACHED_INPUT: PriceUnit.INPUT,
    PriceUnit.CACHE_WRITE: PriceUnit.INPUT,
    PriceUnit.CACHE_WRITE_1H: PriceUnit.CACHE_WRITE,
    PriceUnit.REASONING: PriceUnit.OUTPUT,
}
_BATCH = {"processing": "batch"}
_Price = Decimal | types.TieredPrices


class NotListed(LookupError):
    """The package knows no such model, or prices it in a way that a ModelPrice cannot say."""


class ListPrice(NamedTuple):
    """One row of ModelPrice, without its model."""

    unit: PriceUnit
    above_input_tokens: int
    valid_from: datetime
    nano_usd_per_million: int
    is_batch: bool = False


class Kind(NamedTuple):
    """What one price is of: a unit, of batched calls or not, above so many input tokens."""

    unit: PriceUnit
    is_batch: bool
    above_input_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A vendor's model as the package has it, and the dates on which one of its prices changes."""

    model: types.ModelInfo
    dates: tuple[datetime, ...]

    def kinds(self) -> list[Kind]:
        """All that ever had a price of its own, at each tier that the model ever had."""
        standard = [self._standard(at) for at in self.dates]
        batched = [self._batched(at) for at in self.dates]
        starts = sorted({0}.union(*(_starts(prices) for prices in (*standard, *batched))))
        units = [unit for unit in PriceUnit if any(_own(prices, unit) is not None for prices in standard)]
        # A batched call costs what any other does, but for the prices that say otherwise.
        cheaper = [
            unit
            for unit in PriceUnit
            if any(_own(one, unit) != _own(other, unit) for one, other in zip(standard, batched, strict=True))
        ]
        return [Kind(unit, False, start) for unit in units for start in _of(unit, starts)] + [
            Kind(unit, True, start) for unit in cheaper for start in _of(unit, starts)
        ]

    def price(self, kind: Kind, at: datetime) -> int | None:
        """The price in force at an instant, in nano-USD per million; None where there is none.

        What is not listed then costs what stands in for it: cached input as input, reasoning as output, calls
        nothing, and a tier as much as the one below.
        """
        prices = self._batched(at) if kind.is_batch else self._standard(at)
        listed = _listed(prices, kind.unit)
        if listed is None:
            return 0 if kind.unit == PriceUnit.CALL else None
        return _nano(_at(listed, kind.above_input_tokens), kind.unit)

    def _standard(self, at: datetime) -> types.ModelPrice:
        return self.model.get_prices(at)

    def _batched(self, at: datetime) -> types.ModelPrice:
        return self.model.get_prices(at, _BATCH)


def listing(price_list: str, model_id: str, *, since: datetime) -> Listing:
    """A vendor's model with the dates of its prices, `since` in place of any before.

    NotListed where it is unknown, has no price of tokens, or is priced by the hour of the day.
    """
    found = next((m for p in providers if p.id == price_list for m in p.models if m.id == model_id), None)
    if found is None:
        raise NotListed(f"{price_list} lists no model {model_id}")
    dates = tuple(sorted({since} | {max(since, date) for date in _dates(found)}))
    listed = Listing(model=found, dates=dates)
    if not any(kind.unit not in NOT_TOKENS for kind in listed.kinds()):
        raise NotListed(f"{price_list} lists no price of tokens for {model_id}")
    return listed


def of_model(price_list: str, model_id: str, *, since: datetime) -> list[ListPrice]:
    """All prices of a vendor's model; those without a date hold from `since` on. NotListed as for `listing`.

    A kind has a row wherever its price changes, so that the latest row of each is the one in force.
    """
    listed = listing(price_list, model_id, since=since)
    rows = []
    for kind in listed.kinds():
        row: ListPrice | None = None
        for at in listed.dates:
            price = listed.price(kind, at)
            # Until it has a price of its own a batched call costs what any other does.
            told = row.nano_usd_per_million if row else listed.price(kind._replace(is_batch=False), at)
            if price is not None and (price != told or (row is None and not kind.is_batch)):
                row = ListPrice(kind.unit, kind.above_input_tokens, at, price, kind.is_batch)
                rows.append(row)
    return rows


def _dates(model: types.ModelInfo) -> Iterator[datetime]:
    """When prices of ours begin. NotListed for what depends on the hour of the day."""
    standard = model.prices if isinstance(model.prices, list) else []
    batch = [each for each in model.price_variants or [] if each.when == _BATCH]
    for constraint in (*(each.constraint for each in standard), *(each.constraint for each in batch)):
        match constraint:
            case None:
                pass
            case types.StartDateConstraint(start_date=day):
                yield datetime.combine(day, time(), UTC)
            case _:
                raise NotListed(f"{model.id} has a price that depends on the hour of the day")


def _of(unit: PriceUnit, starts: list[int]) -> list[int]:
    return [0] if unit in NOT_TOKENS else starts


def _own(prices: types.ModelPrice, unit: PriceUnit) -> _Price | None:
    price: _Price | None = getattr(prices, _NAMES[unit], None)
    return price


def _listed(prices: types.ModelPrice, unit: PriceUnit) -> _Price | None:
    own = _own(prices, unit)
    return _listed(prices, _STANDS_IN[unit]) if own is None and unit in _STANDS_IN else own


def _starts(prices: types.ModelPrice) -> set[int]:
    own = [_own(prices, unit) for unit in PriceUnit]
    return {tier.start for price in own if isinstance(price, types.TieredPrices) for tier in price.tiers}


def _at(price: _Price, start: int) -> Decimal:
    """The price of the highest tier that begins at `start` or below."""
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tier.start <= start), price.base)


def _nano(usd: Decimal, unit: PriceUnit) -> int:
    """Listed are USD per million tokens, and per thousand calls or searches. NotListed for what cannot be a price."""
    nano = usd * NANO * (1000 if unit in NOT_TOKENS else 1)
    if not nano.is_finite() or not 0 <= nano <= (MAX_CALL_PRICE if unit in NOT_TOKENS else MAX_PRICE):
        raise NotListed(f"USD {usd} is no price from USD 0 to 1,000")
    if nano != int(nano):
        raise NotListed(f"USD {usd} has more decimals than nano-USD per million can say")
    return int(nano)
