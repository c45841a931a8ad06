"""What the vendors' list, as it is installed, would change in the prices of our models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.db import connection, transaction

from plans import list_prices, price_lists
from plans.list_prices import Kind, Listing, ListPrice, NotListed
from plans.models import LLMModel, ModelPrice, PriceUnit
from plans.rates import resolved

_LARGE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One price to be, in nano-USD per million; `old` is what it costs until then, None = unknown."""

    model: LLMModel
    kind: Kind
    old: int | None
    new: int
    valid_from: datetime

    @property
    def factor(self) -> Fraction | None:
        """How many times the old price the new one is; None where there is no old one, or it is 0."""
        return Fraction(self.new, self.old) if self.old else None

    @property
    def is_large(self) -> bool:
        """Whether it is more than ten times as dear or as cheap, or costs where it was free."""
        if self.old is None or self.old == self.new:
            return False
        return self.old == 0 or self.new * _LARGE < self.old or self.new > self.old * _LARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What the list would change, by model and date, and the active models that it does not price, with the reason."""

    changes: tuple[Change, ...]
    missing: tuple[tuple[LLMModel, str], ...]


def due(now: datetime, *, since: datetime) -> Due:
    """What is due for the active models at `now`.

    A price that the list dates begins then, even in the past, and any other now; a model without any price gets its
    own from `since` on.
    """
    changes: list[Change] = []
    missing: list[tuple[LLMModel, str]] = []
    for model in LLMModel.objects.active().order_by("provider", "model_id").prefetch_related("prices"):
        try:
            changes += [*_changes(model, now, since)]  # all of a model or nothing
        except NotListed as problem:
            missing.append((model, str(problem)))
    return Due(changes=tuple(changes), missing=tuple(missing))


def update(now: datetime, *, since: datetime, allow_large: bool) -> Due:
    """Write what is due as further prices; none is overwritten. What was due is the answer.

    Nothing is written where a change is large and that is not allowed.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two at once would both find the same due. Readers do not wait.
            cursor.execute("LOCK TABLE plans_modelprice IN SHARE ROW EXCLUSIVE MODE")
        found = due(now, since=since)
        if allow_large or not any(change.is_large for change in found.changes):
            ModelPrice.objects.bulk_create(
                ModelPrice(
                    model=change.model,
                    unit=change.kind.unit,
                    is_batch=change.kind.is_batch,
                    above_input_tokens=change.kind.above_input_tokens,
                    nano_usd_per_million=change.new,
                    valid_from=change.valid_from,
                )
                for change in found.changes
            )
    return found


def _changes(model: LLMModel, now: datetime, since: datetime) -> Iterator[Change]:
    """In the order of their dates. Each is compared with ours as the ones before leave it."""
    rows = [
        ListPrice(PriceUnit(row.unit), row.above_input_tokens, row.valid_from, row.nano_usd_per_million, row.is_batch)
        for row in model.prices.all()
    ]
    since = min((row.valid_from for row in rows), default=since)
    vendor = model.provider_id.lower().replace("_", "-")
    listed = list_prices.listing(vendor, model.model_id, since=since)
    kinds = list(
        dict.fromkeys([*listed.kinds(), *(Kind(row.unit, row.is_batch, row.above_input_tokens) for row in rows)])
    )
    for at in sorted({*listed.dates, now} - ({since} if rows else set())):
        for kind in kinds:
            new, old = listed.price(kind, at), _price(rows, kind, at)
            is_ours = any(row.valid_from == at and _kind(row) == kind for row in rows)
            if new is None or new == old or is_ours or not (at in (now, since) or _moved(listed, kind, at)):
                continue
            rows.append(ListPrice(kind.unit, kind.above_input_tokens, at, new, kind.is_batch))
            yield Change(model=model, kind=kind, old=old, new=new, valid_from=at)


def _kind(row: ListPrice) -> Kind:
    return Kind(row.unit, row.is_batch, row.above_input_tokens)


def _moved(listed: Listing, kind: Kind, at: datetime) -> bool:
    """Whether the list itself changes this price at one of its dates."""
    place = listed.dates.index(at)
    return listed.price(kind, at) != listed.price(kind, listed.dates[place - 1])


def _price(rows: Sequence[ListPrice], kind: Kind, at: datetime) -> int | None:
    """What it costs at an instant by these rows, by itself or by what stands in for it."""
    prices = next((each for began, each in reversed(price_lists.history(rows)) if began <= at), None)
    if prices is None:
        return None
    rates = (prices.batched() if kind.is_batch else prices).rates_for(kind.above_input_tokens + 1)
    price: int | None = getattr(resolved(rates), kind.unit.lower())
    return price


def label(kind: Kind) -> str:
    """How people read what a price is of."""
    of = kind.unit.label
    tier = f" above {kind.above_input_tokens:,}" if kind.above_input_tokens else ""
    return f"{of}{tier}{', batched' if kind.is_batch else ''}"
