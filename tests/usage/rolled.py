"""The roll-ups as they should be: summed from the log once more, row by row in plain Python."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Model

from metering_site.embedded.processes import wait_until
from tenants import database
from tests.usage.ledger_world import Books, charge, end, released, totals
from usage import ledger, rollups
from usage.entries import End, Ending
from usage.models import (
    DayRollup,
    Denial,
    DenialRollup,
    TenantDayRollup,
    TenantRollup,
    UsageLog,
    UsageRollup,
    UserDayRollup,
)

COUNTS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "api_calls",
    "items", "units",
)  # fmt: skip
NUMBERS = (
    "bookings", "unpriced", *COUNTS, "latencies", "latency_ms", "held_tokens", "held_tokens_used", "held_cost",
    "held_cost_used",
)  # fmt: skip
KEYS = ("tenant_id", "user_key", "feature_id", "task_id", "model_class_id", "api_code", "status")

Found = dict[tuple[Any, ...], dict[str, Any]]


def quarter(at: datetime) -> datetime:
    """The beginning of the 15 minutes around an instant."""
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def place(latency: int) -> int:
    """The place of a latency in a histogram, from 0."""
    return 0 if latency <= 10 else min(63, math.ceil(round(math.log2(latency / 10) * 4, 9)))


def booked(row: UsageLog) -> dict[str, int]:
    """The numbers of a row of the log."""
    measures = [*row.measures]
    tokens = "TOKENS" if "TOKENS" in measures else "UNITS" if row.unit == "TOKENS" else ""
    numbers = {name: getattr(row, name) for name in COUNTS} | {
        "bookings": 1, "unpriced": int(row.cost is None), "latencies": int(row.latency_ms is not None),
        "latency_ms": row.latency_ms or 0,
    }  # fmt: skip
    for name, measure in (("tokens", tokens), ("cost", "COST")):
        held = row.helds[measures.index(measure)] if measure in measures else 0
        ends = row.status not in ("REPORT", "CORRECTION") and not row.late
        numbers[f"held_{name}"] = held if ends else 0
        numbers[f"held_{name}_used"] = row.charges[measures.index(measure)] if held else 0
    return numbers


def expected(rows: Iterable[UsageLog], slot: Callable[[datetime], datetime], keys: Iterable[str]) -> Found:
    """What a roll-up of rows of the log holds: numbers, cost and histogram by slot and keys."""
    found: defaultdict[tuple[Any, ...], dict[str, Any]] = defaultdict(
        lambda: dict.fromkeys(NUMBERS, 0) | {"cost": None, "histogram": Counter()}
    )
    for row in rows:
        sums = found[slot(row.occurred_at), *(getattr(row, key) for key in keys)]
        for name, number in booked(row).items():
            sums[name] += number
        if row.cost is not None:
            sums["cost"] = (sums["cost"] or 0) + row.cost
        if row.latency_ms is not None:
            sums["histogram"][place(row.latency_ms)] += 1
    return dict(found)


def stored(model: type[Model], keys: Iterable[str]) -> Found:
    """What a roll-up holds."""
    found = {}
    for row in model._default_manager.all():
        counts = Counter({n: count for n, count in enumerate(row.latency_histogram) if count})  # type: ignore[attr-defined]  # of Sums
        numbers = {name: getattr(row, name) for name in (*NUMBERS, "cost")} | {"histogram": counts}
        found[row.slot, *(getattr(row, key) for key in keys)] = numbers  # type: ignore[attr-defined]  # of Sums
    return found


def assert_equal_to_the_log() -> None:
    """Every roll-up holds what the log does, and nothing else; refusals too."""
    rows = list(UsageLog.objects.all())
    together = [key for key in KEYS if key != "user_key"]
    assert stored(UsageRollup, KEYS) == expected(rows, quarter, KEYS)
    assert stored(TenantRollup, together) == expected(rows, quarter, together)
    assert stored(DayRollup, KEYS) == expected(rows, day, KEYS)
    assert stored(TenantDayRollup, together) == expected(rows, day, together)
    users = ["tenant_id", "user_key", "status"]
    assert stored(UserDayRollup, users) == expected(rows, day, users)
    refused: Counter[tuple[Any, ...]] = Counter()
    for each in Denial.objects.all():
        refused[each.tenant_id, quarter(each.minute), each.code, each.user_key, each.feature_id, each.task_id] += (
            each.count
        )
    assert refused == {
        (each.tenant_id, each.slot, each.code, each.user_key, each.feature_id, each.task_id): each.count
        for each in DenialRollup.objects.all()
    }


def wait_for_others() -> None:
    """Until every transaction of the cluster that has begun is over; those of other test processes are seen, too."""
    last = int(database.rows("SELECT pg_current_xact_id()::text")[0][0])
    assert wait_until(
        lambda: int(database.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")[0][0]) > last, seconds=120
    ), "a transaction stays open, perhaps this test's own"


def fill(page: int = rollups.PAGE) -> int:
    """Roll up all that was booked; how many rows that were. Not where the test itself keeps a transaction open."""
    wait_for_others()
    return rollups.fill(page=page)


class Traffic:
    """Random operations of every kind on the books of a tenant, for a few users, days and tasks."""

    def __init__(self, books: Books, seed: int) -> None:
        self._books, self._random = books, random.Random(seed)
        self._held: list[UUID] = []
        self._logged: list[UUID] = []

    def go_on(self, operations: int) -> None:
        """So many operations more."""
        kinds = (
            self.reserve,
            self.settle,
            self.settle,
            self.report,
            self.expire,
            self.event,
            self.correct,
            self.refuse,
        )
        for _ in range(operations):
            self._random.choice(kinds)()

    def reserve(self) -> None:
        unit = self._random.choice(("TOKENS", "REQUESTS", "API_CALLS", "ITEMS"))
        charges = [charge("UNITS", 150, feature="PATENT_DRAFTING"), charge("COST", 250)]
        if self._random.random() < 0.5:
            charges.append(charge("TOKENS", 150, period="MONTH", feature="PATENT_DRAFTING"))
        self._held.append(
            self._books.hold(charges, unit=unit, user_key=self._user(), model_class=self._class(), ttl_seconds=600)
        )

    def settle(self) -> None:
        if self._held:
            reservation = self._held.pop(self._random.randrange(len(self._held)))
            ending = self._random.choice((Ending.COMPLETED, Ending.COMPLETED, Ending.FAILED, None))
            answer = self._books.settle(reservation, released() if ending is None else self._end(ending))
            if ending is not None and answer.body is not None:
                self._logged.append(UUID(answer.body["log_id"]))

    def report(self) -> None:
        if self._held:
            self._books.settle(self._random.choice(self._held), self._end(Ending.REPORT))

    def expire(self) -> None:
        """Sometimes it is committed all the same, late."""
        if self._held:
            reservation = self._held.pop()
            self._books.expire(reservation)
            if self._random.random() < 0.5:
                self._held.append(reservation)

    def event(self) -> None:
        at = self._books.at - timedelta(minutes=self._random.choice((0, 7, 15, 60, 24 * 60, 3 * 24 * 60)))
        fact = self._books.fact(
            [charge("COST", 0)], occurred_at=at, user_key=self._user(), model_class=self._class(), rates=self._rates()
        )
        (answer,) = self._books.record(self._books.event(self._end(Ending.COMPLETED), fact=fact))
        assert answer.id is not None
        self._logged.append(answer.id)

    def correct(self) -> None:
        if self._logged:
            right = End(kind=Ending.COMPLETED, totals=(None,) * 7, fingerprint="", cost=self._random.randrange(1000))
            ledger.correct(self._books.tenant, self._random.choice(self._logged), right)

    def refuse(self) -> None:
        ledger.deny(
            self._books.tenant, code=self._random.choice(("RATE_LIMITED", "BUDGET_EXCEEDED")), message="",
            user_key=self._user(), feature="PATENT_DRAFTING", task=None, meter=None, binding=None, decision={},
            now=self._books.at - timedelta(minutes=self._random.randrange(40)), count=self._random.randrange(1, 4),
        )  # fmt: skip

    def _end(self, kind: Ending) -> End:
        said = totals(
            self._random.randrange(200), self._random.randrange(100), cached=0, calls=self._random.randrange(3)
        )
        facts: dict[str, Any] = {"api_code": self._random.choice((None, "OPENAI"))}
        if kind is not Ending.REPORT and self._random.random() < 0.8:
            facts["latency_ms"] = self._random.choice((0, 10, 11, 350, 20_000, 10**7))
        return end(kind, said, facts=facts)

    def _user(self) -> str | None:
        return self._random.choice((None, "u-1", "u-2"))

    def _class(self) -> str | None:
        return self._random.choice((None, "PRO_M"))

    def _rates(self) -> tuple[int | None, ...] | None:
        return self._random.choice(((1_000_000, 1_000_000, 1_000_000, 3_000_000, None), None))
