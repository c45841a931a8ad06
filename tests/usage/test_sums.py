"""Sums of ranges equal the log at any moment: before, while and after the roll-ups are filled or computed anew."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from plans import periods
from plans.calendars import calendar_of
from plans.charges import PeriodKind
from tenants import facts
from tenants.models import Tenant
from tests.cast import Company
from tests.enforcement.api import Api
from tests.usage import rolled
from tests.usage.ledger_world import Books
from tests.usage.rolled import Traffic, assert_equal_to_the_log
from usage import rollups, summaries, sums
from usage.models import Denial, UsageLog, UsageMeter
from usage.rollup_queries import BUCKETS
from usage.sight import Sight
from usage.summaries import Question
from usage.sums import COLUMNS, DENIAL_COLUMNS, FIGURES, Span

ENDED = ("COMPLETED", "FAILED")


@pytest.fixture
def traffic(committed: None, books: Books, monkeypatch: pytest.MonkeyPatch) -> Traffic:
    """A tenant's usage of four days; a stranger has some too."""
    monkeypatch.setattr("usage.rollups.PAGE", 25)
    Traffic(Books.new(), 99).go_on(30)
    found = Traffic(books, 11)
    found.go_on(150)
    return found


def sight_of(books: Books, user: str | None = None) -> Sight:
    return Sight(tenant=facts.tenant(books.tenant), user=user)


def by_hand(rows: Sequence[UsageLog], span: Span, by: str | None) -> dict[Any, dict[str, Any]]:
    """The figures of a span, row by row."""
    found: defaultdict[Any, dict[str, Any]] = defaultdict(
        lambda: dict.fromkeys(FIGURES, 0) | {"cost": None, "histogram": [0] * BUCKETS}
    )
    for row in rows:
        if not span.since <= row.occurred_at < span.until or any(
            getattr(row, COLUMNS[name]) != value for name, value in span.where.items()
        ):
            continue
        part = sum(start <= row.occurred_at for start in span.starts) if span.starts else None
        figures = found[part, getattr(row, COLUMNS[by]) if by else None]
        numbers = rolled.booked(row)
        numbers["unpriced"] *= row.status in ENDED
        numbers |= {"operations": int(row.status in ENDED), "failed": int(row.status == "FAILED")}
        for name, number in numbers.items():
            figures[name] += number
        if row.cost is not None:
            figures["cost"] = (figures["cost"] or 0) + row.cost
        if row.latency_ms is not None:
            figures["histogram"][rolled.place(row.latency_ms)] += 1
    return dict(found)


def read(sight: Sight, span: Span, by: str | None) -> dict[Any, dict[str, Any]]:
    found = {}
    for row in sums.usage(sight, span, FIGURES, by=by):
        found[row.pop("part", None), row.pop("key", None)] = row
    return found


def some_spans(at: datetime, seed: int) -> list[Span]:
    """Ranges with ends anywhere, whole or in parts that may begin anywhere too."""
    draw = random.Random(seed)
    found = []
    for _ in range(12):
        ends = sorted(at + timedelta(minutes=draw.randrange(-5 * 24 * 60, 24 * 60)) for _ in range(2))
        if draw.random() < 0.6:
            width = timedelta(days=1) if draw.random() < 0.5 else timedelta(minutes=15)
            ends = [each - (each - datetime(1970, 1, 1, tzinfo=UTC)) % width for each in ends]
        if ends[0] == ends[1]:
            continue
        starts = draw.choice(([], [ends[0]], [ends[0], ends[0] + (ends[1] - ends[0]) / 2]))
        if len(starts) == 2 and draw.random() < 0.5:
            starts[1] = rolled.quarter(starts[1])
        where: dict[str, str | None] = draw.choice(
            ({}, {}, {"user": "u-1"}, {"user": None}, {"status": "COMPLETED"}, {"model_class": None})  # type: ignore[arg-type]  # mypy joins the dicts
        )
        found.append(Span(since=ends[0], until=ends[1], starts=sorted(starts), where=where))
    return found


def assert_sums_equal_the_log(books: Books, seed: int) -> None:
    rows = list(UsageLog.objects.for_tenant(books.tenant))
    refusals = list(Denial.objects.for_tenant(books.tenant))
    for number, span in enumerate(some_spans(books.at, seed)):
        by = (None, *COLUMNS)[number % (1 + len(COLUMNS))]
        assert read(sight_of(books), span, by) == by_hand(rows, span, by), (span, by)
        own = [row for row in rows if row.user_key == "u-2"]
        assert read(sight_of(books, "u-2"), Span(since=span.since, until=span.until), by) == by_hand(
            own, Span(since=span.since, until=span.until), by
        )
        assert_refusals_equal(books, refusals, Span(since=span.since, until=span.until, starts=span.starts), number)


def assert_refusals_equal(books: Books, rows: Sequence[Denial], span: Span, number: int) -> None:
    by = (None, *DENIAL_COLUMNS)[number % (1 + len(DENIAL_COLUMNS))]
    expected: Counter[Any] = Counter()
    for row in rows:
        if span.since <= row.last_at < span.until:
            part = sum(start <= row.last_at for start in span.starts) if span.starts else None
            expected[part, getattr(row, DENIAL_COLUMNS[by]) if by else None] += row.count
    found = sums.denials(sight_of(books), span, by=by)
    assert {(row.get("part"), row.get("key")): row["denials"] for row in found} == expected


def test_sums_equal_the_log_before_it_is_rolled_up(traffic: Traffic, books: Books) -> None:
    assert_sums_equal_the_log(books, 1)


def test_sums_equal_the_log_where_a_part_of_it_is_rolled_up(traffic: Traffic, books: Books) -> None:
    rollups._add_page(40)
    rollups._add_denials()
    assert_sums_equal_the_log(books, 2)
    rolled.fill()
    assert_equal_to_the_log()
    assert_sums_equal_the_log(books, 3)
    traffic.go_on(30)
    assert_sums_equal_the_log(books, 4)


def test_sums_equal_the_log_at_every_step_of_a_rebuild(traffic: Traffic, books: Books) -> None:
    rolled.fill()
    steps = iter(range(1000))

    def look(_: float) -> None:
        step = next(steps)
        if step % 3 == 0:
            traffic.go_on(3)
            rollups.fill()
        assert_sums_equal_the_log(books, 10 + step)

    rollups.rebuild(books.at - timedelta(days=2), books.at + timedelta(days=1), look)
    assert next(steps) > 5
    assert_sums_equal_the_log(books, 5)


def test_sums_are_right_where_the_roll_ups_are_of_another_cluster(traffic: Traffic, books: Books) -> None:
    rolled.fill()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE usage_rollupstate SET transaction_id = %s::xid8", [str(rollups.state().following + 10**6)]
        )
    traffic.go_on(20)
    assert_sums_equal_the_log(books, 6)


def test_some_users_alone_are_summed_by_part(traffic: Traffic, books: Books) -> None:
    rolled.fill()
    since = rolled.day(books.at) - timedelta(days=4)
    starts = [since + timedelta(days=n) for n in range(6)]
    span = Span(since=since, until=starts[-1], starts=starts)
    everybody = {
        (row["part"], row["key"]): row["units"] for row in sums.usage(sight_of(books), span, ("units",), by="user")
    }
    some = sums.usage(sight_of(books), span, ("units",), by="user", only=["u-1", None])
    assert {(row["part"], row["key"]): row["units"] for row in some} == {
        (part, key): units for (part, key), units in everybody.items() if key in ("u-1", None)
    }
    assert len(sums.usage(sight_of(books), span, ("units",), by="user", most=2)) == 2


# --- days ---------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "UTC"])
def test_the_days_of_a_zone_equal_the_meters_of_its_days(zone: str, committed: None, acme: Company, api: Api) -> None:
    """Defect 21: days begin at :30 and :45 there, and every page and meter means the same day."""
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone=zone)
    now = datetime.now(UTC)
    midnights = [
        datetime(at.year, at.month, at.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for at in (now.astimezone(ZoneInfo(zone)) - timedelta(days=days) for days in range(4))
    ]
    offsets = (-901, -900, -1, 0, 1, 899, 900)
    times = [at + timedelta(seconds=each) for at in midnights for each in offsets if at + timedelta(seconds=each) < now]
    for number, at in enumerate(times):
        body = {
            "id": f"e-{zone}-{number}", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": {"input_tokens": 10 + number},
            "occurred_at": at.isoformat(),
        }  # fmt: skip
        assert api.post("/usage/events", body).status_code == 200
    assert_days_equal_meters(acme.tenant, min(times), now)
    rolled.fill()
    assert_days_equal_meters(acme.tenant, min(times), now)
    assert_equal_to_the_log()


def assert_days_equal_meters(tenant: Tenant, since: datetime, until: datetime) -> None:
    sight = Sight(tenant=facts.tenant(tenant.id), user=None)
    calendar = calendar_of(sight.tenant)
    days = list(summaries.parts(Question(group_by="day", since=since, until=until, calendar=calendar)))
    end = periods.period(PeriodKind.DAY, calendar, until).end
    assert end is not None
    span = Span(since=days[0][0], until=end, starts=[start for start, _ in days])
    found = {days[row["part"] - 1][0]: row for row in sums.usage(sight, span, ("units", "cost"))}
    metered: Callable[[str], dict[datetime, int]] = lambda measure: dict(  # noqa: E731
        UsageMeter.objects.for_tenant(tenant).filter(period="DAY", measure=measure, user_key=None, task=None)
        .values_list("period_start", "used")
    )  # fmt: skip
    assert {start: row["units"] for start, row in found.items()} == metered("UNITS")
    assert {start: row["cost"] or 0 for start, row in found.items()} == metered("COST")
