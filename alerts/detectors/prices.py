"""Prices that nobody may have meant: told super admins. A price that is wrong by a thousand refuses everything, or
nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from django.db.models import F, Sum

from alerts import unusual as robust
from alerts.detectors.calls import day
from alerts.models import AlertKind, Severity
from alerts.noticing import Noticed
from plans.models import ModelPrice
from usage.models import TenantDayRollup, TenantRollup
from usage.queries import first_id_at

TIMES = 3
"""A price that is so many times the one before, or the one before so many times it, is told."""
_PUBLISHED = timedelta(days=7)
_HOUR, _PAST = timedelta(hours=1), timedelta(days=28)
_FEWEST_TOKENS = 100_000
"""Less in an hour, or in a day of the past, says nothing about a price."""
_MILLION = 10**6


def unusual(now: datetime) -> Iterator[Noticed]:
    """Prices entered in the last seven days that are far from the one before, and what a token of a task costs in a
    model class, where that is far from what it cost in the 28 days before.
    """
    yield from _published(now)
    yield from _paid(now)


def _published(now: datetime) -> Iterator[Noticed]:
    """By when they were entered, which their ids say: also those that are to come into force."""
    first = first_id_at(now - _PUBLISHED)
    new = ModelPrice.objects.filter(id__gte=first)
    rows = ModelPrice.objects.filter(model__in=new.values("model")).select_related("model").order_by("valid_from")
    histories: defaultdict[Any, list[ModelPrice]] = defaultdict(list)
    for row in rows:
        histories[row.model_id, row.unit, row.is_batch, row.above_input_tokens].append(row)
    for history in histories.values():
        for before, price in pairwise(history):
            small, large = sorted((before.nano_usd_per_million, price.nano_usd_per_million))
            if price.id >= first and large > 0 and large >= TIMES * small:
                yield _told(
                    f"price={price.model.model_id};unit={price.unit};batch={price.is_batch}"
                    f";above={price.above_input_tokens}",
                    price.valid_from.isoformat(),
                    {
                        "what": "published", "model": price.model.model_id, "price_of": price.get_unit_display(),
                        "is_batch": price.is_batch, "above_input_tokens": price.above_input_tokens,
                        "lately": price.nano_usd_per_million, "usual": before.nano_usd_per_million,
                        "valid_from": price.valid_from,
                    },
                )  # fmt: skip


def _paid(now: datetime) -> Iterator[Noticed]:
    """By task, as input and output cost differently; all tenants together, as they have the same prices."""
    rollups = TenantRollup.objects.filter(slot__gt=now - _HOUR - timedelta(minutes=15), model_class__isnull=False)
    lately = dict(_per_million(rollups, ()))
    if not lately:
        return
    tasks = {task for task, _ in lately}
    days = TenantDayRollup.objects.filter(
        slot__gte=now - _PAST, slot__lt=now - timedelta(days=1), task__in=tasks, model_class__isnull=False
    )
    past: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for (*key, _slot), price in _per_million(days, ("slot",)):
        past[key[0], key[1]].append(price)
    for (task, model_class), price in lately.items():
        usual = past[task, model_class]
        if robust.is_far_off(price, usual):
            yield _told(
                f"paid={task};model_class={model_class}",
                day(now),
                {
                    "what": "paid", "task": task, "model_class": model_class, "lately": price,
                    "usual": round(median(usual)), "basis": len(usual), "minutes": 60,
                },
            )  # fmt: skip


def _per_million(rows: Any, further: Iterable[str]) -> Iterator[tuple[tuple[Any, ...], int]]:  # noqa: ANN401 - a query of either roll-up
    """Nano-USD for a million tokens, by task, model class and `further`, where that is known of enough of them."""
    keys = ("task", "model_class", *further)
    sums = rows.order_by().values(*keys).annotate(
        tokens=Sum(F("input_tokens") + F("output_tokens")), spend=Sum("cost", default=0), without=Sum("unpriced")
    )  # fmt: skip
    for row in sums:
        if row["tokens"] >= _FEWEST_TOKENS and not row["without"]:
            yield tuple(row[key] for key in keys), int(row["spend"] * _MILLION // row["tokens"])


def _told(subject: str, episode: str, numbers: dict[str, Any]) -> Noticed:
    return Noticed(
        tenant=None, kind=AlertKind.UNUSUAL_PRICE, severity=Severity.WARNING, subject=subject, threshold=TIMES,
        episode=episode, numbers=numbers | {"unit": "USD"},
    )  # fmt: skip
