"""Booked calls whose cost is not that of the prices of their time, and the corrections that put this right.

Prices become known late: a model had none, or a new price began before anybody entered it. A correction is a
further row of the log that refers to the one it corrects; nothing is overwritten, and what was right stays as it is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from plans import costs, pricing
from plans.models import TaskKind
from plans.rates import PriceOutOfBounds
from plans.terms import Catalogue
from tenants.ids import instant_of
from usage import ledger
from usage.entries import End, Ending, Outcome
from usage.models import Certainty, LogStatus, UsageLog
from usage.queries import first_id_at

PAGE = 5_000
"""Rows of the log in one statement."""
# A row is made when usage is booked: at most 5 minutes before it occurred (a clock ahead of ours), and 42 days after
# (a reservation lives for 7 days, and usage may be booked for 35 days after that).
_EARLIEST, _LATEST = timedelta(minutes=6), timedelta(days=43)
_TOKENS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
)  # fmt: skip
_NUMBERS = (*_TOKENS, "api_calls", "cost")
_COLUMNS = (
    "id", "occurred_at", "model", "api_code", "model_class_id", "attempt", "reservation_id", "price", *_NUMBERS,
)  # fmt: skip
_ENDED = (LogStatus.COMPLETED, LogStatus.FAILED)


class Repricing(NamedTuple):
    """A row that ended a call, the cost it should have, and by how much that differs from what was booked, nano-USD."""

    log: UUID
    cost: int
    difference: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What was found in a page of a tenant's log.

    `priced` is how many of its calls have a price; `unpriced` counts those that have none, by model. `reached` is
    how much of the time to be looked at is behind, 0 to 1.
    """

    differing: Sequence[Repricing]
    priced: int
    unpriced: Mapping[str, int]
    reached: float


@dataclass(slots=True)
class Summary:
    """Calls looked at, and for each tenant how many cost something else, and how much more and less."""

    priced: int = 0
    unpriced: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    differing: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    more: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    less: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, tenant: UUID, page: Page) -> None:
        """Count a page of a tenant's log in."""
        self.priced += page.priced
        for model, calls in page.unpriced.items():
            self.unpriced[model] += calls
        for each in page.differing:
            self.differing[tenant] += 1
            self.more[tenant] += max(0, each.difference)
            self.less[tenant] += max(0, -each.difference)


def pages(tenant: UUID, since: datetime, until: datetime, catalogue: Catalogue) -> Iterator[Page]:
    """What of the calls that occurred in [since, until) costs something else by the catalogue's prices of then.

    Calls that named no model, or no counts, were not priced by a model and are passed over, as API tasks are. Each
    page is a few short statements by key.
    """
    first, last = since - _EARLIEST, until + _LATEST
    after, end = first_id_at(first), first_id_at(last)
    tasks = [task.code for task in catalogue.tasks.values() if task.kind == TaskKind.LLM]
    while after < end:
        rows = UsageLog.objects.for_tenant(tenant).filter(id__gt=after).order_by("id")
        # The last row of the page, so that however few rows match no statement reads more than a page.
        through = rows.filter(id__lt=end).values_list("id", flat=True)[PAGE - 1 : PAGE].first() or end
        named = rows.filter(
            id__lte=through, status__in=_ENDED, occurred_at__gte=since, occurred_at__lt=until, task__in=tasks,
            model__isnull=False,
        ).exclude(certainty=Certainty.UNKNOWN)  # fmt: skip
        reached = instant_of(through)
        yield _page(tenant, list(named.values(*_COLUMNS)), catalogue, (reached - first) / (last - first))
        after = through


def book(tenant: UUID, repricing: Repricing) -> bool:
    """Book the correction; false where another process was faster, or there is nothing to correct any more."""
    right = End(
        kind=Ending.COMPLETED,
        totals=(None,) * 7,
        fingerprint="",
        cost=repricing.cost,
        facts=repricing.facts,
    )
    return ledger.correct(tenant, repricing.log, right).outcome == Outcome.BOOKED


def look(
    tenants: Sequence[UUID],
    since: datetime,
    until: datetime,
    catalogue: Catalogue,
    *,
    then: Callable[[UUID, Page], None] = lambda tenant, page: None,
    reached: Callable[[float], None] = lambda tenants: None,
) -> Summary:
    """Goes through the logs of tenants, gives each page to `then`, and tells how many tenants are done."""
    summary = Summary()
    for done, tenant in enumerate(tenants):
        for page in pages(tenant, since, until, catalogue):
            then(tenant, page)
            summary.add(tenant, page)
            reached(done + page.reached)
        reached(done + 1)
    return summary


def _page(tenant: UUID, rows: Sequence[Mapping[str, Any]], catalogue: Catalogue, reached: float) -> Page:
    corrections = _sums(
        UsageLog.objects.for_tenant(tenant).filter(refers_to__in=[row["id"] for row in rows]), "refers_to"
    )
    reports = _reports(tenant, rows)
    differing, unpriced = [], defaultdict[str, int](int)
    for row in rows:
        own = _plus(row, corrections.get(row["id"]))
        total = _plus(own, reports.get(row["id"]))
        priced = _priced(row, total, catalogue)
        if priced is None:
            unpriced[row["model"]] += 1
        elif priced.nano_usd != total["cost"]:
            difference = priced.nano_usd - total["cost"]
            facts = {"model": row["model"], "api_code": row["api_code"], "price": priced.price}
            differing.append(Repricing(row["id"], own["cost"] + difference, difference, facts))
    return Page(differing=differing, priced=len(rows) - sum(unpriced.values()), unpriced=unpriced, reached=reached)


def _priced(row: Mapping[str, Any], total: Mapping[str, int], catalogue: Catalogue) -> costs.Priced | None:
    """What the whole call costs at the prices of its time; None where there is none."""
    said = row["price"] if isinstance(row["price"], dict) else {}
    model = catalogue.model(row["model"], said.get("provider", row["api_code"]), row["model_class_id"])
    if model is None:
        return None
    try:
        return costs.of(
            model,
            row["occurred_at"],
            **{name: total[name] for name in _TOKENS},
            cache_write_1h_tokens=said.get("cache_write_1h_tokens", 0),
            api_calls=said.get("api_calls", total["api_calls"]),
            web_searches=said.get("web_searches", 0),
            is_batch=said.get("is_batch", False),
        )
    except (pricing.PriceUnknown, PriceOutOfBounds, ValueError):
        return None


def _reports(tenant: UUID, rows: Sequence[Mapping[str, Any]]) -> dict[UUID, dict[str, int]]:
    """What was booked on the way before each row: it carries only what its reports did not.

    A call's rows count up their attempts; usage without a reservation, which may name one, is an attempt of its own.
    """
    ended = {row["reservation_id"]: row for row in rows if row["attempt"]}
    before: defaultdict[UUID, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_NUMBERS, 0))
    earlier = UsageLog.objects.for_tenant(tenant).filter(reservation_id__in=list(ended), refers_to=None)
    for each in earlier.values("reservation_id", "attempt", "status", *_NUMBERS) if ended else ():
        row = ended[each["reservation_id"]]
        if each["attempt"] < row["attempt"] and each["status"] not in _ENDED:
            for name in _NUMBERS:
                before[row["id"]][name] += each[name] or 0
    return before


def _plus(numbers: Mapping[str, Any], more: Mapping[str, int] | None) -> dict[str, int]:
    return {name: (numbers[name] or 0) + (more[name] if more else 0) for name in _NUMBERS}


def _sums(rows: Any, key: str) -> dict[UUID, dict[str, int]]:  # noqa: ANN401 - a query of the log
    found: defaultdict[UUID, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_NUMBERS, 0))
    for row in rows.values(key, *_NUMBERS):
        for name in _NUMBERS:
            found[row[key]][name] += row[name] or 0
    return found
