"""Price lists from the rows of which they are made, as ModelPrice and the vendors' list have them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from plans.rates import PriceList, Rates, Tier

_Prices = Mapping[tuple[bool, int, str], int]
"""Of batched calls or not, above so many input tokens, of a unit: the price."""


class PriceRow(Protocol):
    """One price from an instant on."""

    @property
    def unit(self) -> str: ...
    @property
    def above_input_tokens(self) -> int: ...
    @property
    def valid_from(self) -> datetime: ...
    @property
    def nano_usd_per_million(self) -> int: ...
    @property
    def is_batch(self) -> bool: ...


def history(rows: Iterable[PriceRow]) -> tuple[tuple[datetime, PriceList], ...]:
    """One complete price list of a model from each date on which one of its prices changes, oldest first.

    A unit without a row at a threshold keeps the price of the highest threshold below that has one; a batched call
    costs what any other does wherever no batch price says otherwise.
    """
    ordered = sorted(rows, key=lambda row: row.valid_from)
    found = []
    for starts_at in sorted({row.valid_from for row in ordered}):
        prices = {
            (row.is_batch, row.above_input_tokens, str(row.unit)): row.nano_usd_per_million
            for row in ordered
            if row.valid_from <= starts_at
        }
        standard = {key: price for key, price in prices.items() if not key[0]}
        batch = _list(prices, is_batch=True) if len(standard) < len(prices) else None
        found.append((starts_at, replace(_list(standard, is_batch=False), batch=batch)))
    return tuple(found)


def _list(prices: _Prices, *, is_batch: bool) -> PriceList:
    base, *tiers = sorted({0, *(above for _, above, _ in prices)})
    return PriceList(
        _rates(prices, base, is_batch=is_batch),
        tuple(Tier(above, _rates(prices, above, is_batch=is_batch)) for above in tiers),
    )


def _rates(prices: _Prices, threshold: int, *, is_batch: bool) -> Rates:
    """The price of each unit: of the highest threshold that is not above this one, a batch price before any other."""
    wanted = [key for key in prices if key[1] <= threshold and key[0] <= is_batch]
    found: dict[str, int | None] = {"input": None, "output": None}
    return Rates(**(found | {key[2].lower(): prices[key] for key in sorted(wanted)}))
