"""The roll-ups against the log: after random operations, in any order of commits, filled by many, killed, rebuilt."""

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module

import pytest
from django.db import connection, transaction
from django.utils import timezone

from tests.parallel import at_once
from tests.usage import blocked
from tests.usage.crew import crew
from tests.usage.ledger_world import Books, charge, end, totals
from tests.usage.rolled import Traffic, assert_equal_to_the_log, fill, wait_for_others
from usage import rollups, tasks
from usage.models import (
    Denial,
    DenialRollup,
    LogArchive,
    LogStatus,
    TenantDayRollup,
    UsageLog,
    UsageRollup,
    UserDayRollup,
)

COST = [charge("COST", 250)]
SAID = end(said=totals(10, 5))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage.rollups.PAGE", 9)
    monkeypatch.setattr("usage.rollups._DENIALS_TOGETHER", 3)


def bookings() -> int:
    """How many rows of the log the roll-ups hold."""
    return sum(UsageRollup.objects.values_list("bookings", flat=True))


@pytest.mark.parametrize("seed", range(4))
def test_after_random_operations_the_roll_ups_equal_the_log(
    seed: int, committed: None, books: Books, small_pages: None
) -> None:
    """Late ones, corrections, refusals and failures among them, and filled at odd times."""
    traffic, rival = Traffic(books, seed), Traffic(Books.new(), seed + 100)
    for _ in range(5):
        traffic.go_on(30)
        rival.go_on(10)
        fill()
        assert_equal_to_the_log()
    rollups.rebuild(books.at - timedelta(days=4), books.at + timedelta(days=1))
    assert_equal_to_the_log()
    assert set(UsageLog.objects.values_list("status", flat=True)) == set(LogStatus)


def test_filling_again_changes_nothing(committed: None, books: Books) -> None:
    Traffic(books, 1).go_on(50)
    assert fill() == UsageLog.objects.count()
    assert fill() == 0
    assert_equal_to_the_log()


def test_a_transaction_that_commits_after_younger_ones_is_not_passed_over(committed: None, books: Books) -> None:
    held = books.hold(COST)
    is_booked, may_commit = threading.Event(), threading.Event()

    def book_slowly() -> None:
        with transaction.atomic():
            Books.new().record(books.event(SAID, fact=books.fact([charge("COST", 0)])))
            is_booked.set()
            may_commit.wait(30)

    slow = blocked.begin(book_slowly)
    is_booked.wait(30)
    before = timezone.now()
    books.settle(held, SAID)
    rollups.fill()
    assert bookings() == 0  # what committed meanwhile waits with it
    assert (rollups.as_of() or before) <= before
    may_commit.set()
    slow.result(30)
    fill()
    assert bookings() == 2
    assert_equal_to_the_log()
    assert (rollups.as_of() or before) > before


def test_many_fillers_beside_the_traffic_add_everything_once(committed: None, books: Books, small_pages: None) -> None:
    many = [Traffic(books, 1), Traffic(Books.new(), 2)]
    traffic = [partial(each.go_on, 80) for each in many]
    at_once(*traffic, *[partial(_fill_often, 25) for _ in range(3)])
    fill()
    assert_equal_to_the_log()
    assert bookings() == UsageLog.objects.count()


def _fill_often(times: int) -> None:
    for _ in range(times):
        rollups.fill(page=7)


def test_a_large_transaction_is_added_in_pages(committed: None, books: Books) -> None:
    """Defect 52: no statement of the roll-ups is long, however much is booked at once."""
    events = [books.event(SAID, fact=books.fact([charge("COST", 0)])) for _ in range(50)]
    books.record(*events)
    assert len({row.transaction_id for row in UsageLog.objects.all()}) == 1
    wait_for_others()
    assert rollups._add_page(20) == 20
    assert bookings() == 20
    assert rollups._add_page(20) == 20
    assert rollups._add_page(20) == 10
    assert_equal_to_the_log()


def test_who_fills_keeps_nobody_waiting(committed: None, books: Books) -> None:
    """Defect 52: while somebody is at the roll-ups, and stuck, calls are permitted and booked, others do not queue."""
    fill()
    is_locked, may_go = threading.Event(), threading.Event()

    def hold_the_state() -> None:
        with rollups._locked():
            is_locked.set()
            may_go.wait(30)

    stuck = blocked.begin(hold_the_state)
    is_locked.wait(30)
    books.settle(books.hold(COST), SAID)
    Traffic(books, 1).refuse()
    assert rollups.fill() == 0
    may_go.set()
    stuck.result(30)
    assert fill() == 1
    assert_equal_to_the_log()


# --- computing anew -----------------------------------------------------------


@pytest.fixture
def tampered(committed: None, books: Books, small_pages: None) -> Traffic:
    """Roll-ups that are wrong in every way, of a ledger that is in use."""
    traffic = Traffic(books, 7)
    traffic.go_on(120)
    fill()
    with connection.cursor() as cursor:
        for table in (
            "usage_usagerollup",
            "usage_tenantrollup",
            "usage_dayrollup",
            "usage_tenantdayrollup",
            "usage_userdayrollup",
        ):
            cursor.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} LIMIT 3)")
            cursor.execute(f"UPDATE {table} SET units = units + 1, latency_histogram = '{{1,2,3}}', cost = NULL")
        cursor.execute("UPDATE usage_denialrollup SET count = count + 1")
    return traffic


def rebuild_all(books: Books) -> None:
    rollups.rebuild(books.at - timedelta(days=5), books.at + timedelta(days=1))


def test_a_rebuild_puts_right_whatever_was_wrong(tampered: Traffic, books: Books) -> None:
    rebuild_all(books)
    assert_equal_to_the_log()
    assert rollups.state().rebuilding is None


def test_a_rebuild_of_a_day_leaves_the_others_as_they_are(tampered: Traffic, books: Books) -> None:
    long_ago = books.at - timedelta(days=3)
    wrong = list(UsageRollup.objects.filter(slot__gte=books.at - timedelta(days=2)).order_by("id").values())
    rollups.rebuild(long_ago, long_ago + timedelta(minutes=1))
    assert list(UsageRollup.objects.filter(slot__gte=books.at - timedelta(days=2)).order_by("id").values()) == wrong
    assert sum(
        UsageRollup.objects.filter(slot__lt=books.at - timedelta(days=2)).values_list("bookings", flat=True)
    ) == (UsageLog.objects.filter(occurred_at__lt=books.at - timedelta(days=2)).count())


def test_traffic_and_fillers_go_on_while_it_is_rebuilt(tampered: Traffic, books: Books) -> None:
    at_once(
        partial(rebuild_all, books), partial(tampered.go_on, 80), partial(Traffic(Books.new(), 8).go_on, 40),
        partial(_fill_often, 20), partial(_fill_often, 20),
    )  # fmt: skip
    fill()
    assert_equal_to_the_log()


def test_two_rebuilds_at_once_are_one_after_the_other(tampered: Traffic, books: Books) -> None:
    yesterday = books.at - timedelta(days=1)
    at_once(
        partial(rebuild_all, books), partial(rebuild_all, books), partial(rollups.rebuild, yesterday, books.at),
    )  # fmt: skip
    assert_equal_to_the_log()


def test_a_rebuild_that_was_stopped_is_finished_by_the_next_filling(tampered: Traffic, books: Books) -> None:
    def stop(share: float) -> None:
        if share > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollups.rebuild(books.at - timedelta(days=5), books.at + timedelta(days=1), stop)
    assert rollups.state().rebuilding is not None
    tampered.go_on(20)
    wait_for_others()
    tasks.fill_rollups()
    assert rollups.state().rebuilding is None
    rollups._rebuild_denials(books.at - timedelta(days=5), books.at + timedelta(days=1))
    assert_equal_to_the_log()


def test_what_is_archived_is_not_computed_anew(committed: None, books: Books) -> None:
    """It would come out empty: roll-ups outlive the log."""
    Traffic(books, 3).go_on(40)
    fill()
    kept = bookings()
    LogArchive.objects.create(month=books.at.date().replace(day=1), rows=0)
    with pytest.raises(rollups.LogIsGone, match="is archived"):
        rollups.rebuild(books.at, books.at)
    assert (bookings(), rollups.state().rebuilding) == (kept, None)
    LogArchive.objects.all().delete()
    rollups.rebuild(books.at, books.at)
    assert_equal_to_the_log()


def test_fillers_that_are_killed_lose_nothing_and_add_nothing_twice(committed: None, books: Books) -> None:
    """Each by kill -9, wherever it was: between its pages, in one, or in the middle of a rebuild."""
    traffic = Traffic(books, 5)
    traffic.go_on(60)
    for _ in range(3):
        with crew("roll_up", 2, **books.task()) as fillers:
            told = fillers.lines()
            both = [next(told), next(told)]
            traffic.go_on(25)
            for each in both:
                os.kill(each["pid"], signal.SIGKILL)
            for each in both:
                blocked.wait_for_end(each["backend"])
    fill()
    rollups.go_on_rebuilding()
    rollups.rebuild(books.at, books.at)
    assert_equal_to_the_log()


def test_days_are_made_of_what_was_rolled_up_before_there_were_any(committed: None, books: Books) -> None:
    Traffic(books, 9).go_on(100)
    fill()
    for _ in range(2):
        TenantDayRollup.objects.filter(status="COMPLETED").delete()
        UserDayRollup.objects.filter(status="COMPLETED").delete()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(import_module("usage.migrations.0016_days_of_tenants_that_were")._FROM_QUARTERS)
            cursor.execute(import_module("usage.migrations.0018_days_of_users_that_were")._FROM_DAYS)
    assert_equal_to_the_log()


# --- refusals -----------------------------------------------------------------


def test_refusals_stay_in_the_roll_ups_when_they_are_pruned(committed: None, books: Books) -> None:
    long_ago = books.at - timedelta(days=100)
    Traffic(Books(books.tenant, long_ago), 1).refuse()
    fill()
    Denial.objects.all().delete()
    Traffic(books, 2).refuse()
    fill()
    counts = list(DenialRollup.objects.order_by("slot").values_list("count", flat=True))
    assert len(counts) == 2
    rollups.rebuild(long_ago, books.at + timedelta(days=1))
    assert list(DenialRollup.objects.order_by("slot").values_list("count", flat=True)) == counts


# --- a dump of another cluster ------------------------------------------------


def test_roll_ups_that_are_ahead_of_their_cluster_are_taken_over_and_not_added_to_before(
    committed: None, books: Books
) -> None:
    """A dump was restored where fewer transactions have been: what is booked now would be taken for known."""
    Traffic(books, 1).go_on(20)
    fill()
    with connection.cursor() as cursor:
        ahead = str(rollups.state().following + 50_000)
        cursor.execute("UPDATE usage_rollupstate SET transaction_id = %s::xid8", [ahead])
    Traffic(books, 2).go_on(20)
    with pytest.raises(rollups.RestoredElsewhere):
        fill()
    with pytest.raises(rollups.RestoredElsewhere):
        rollups.rebuild(books.at, books.at)
    assert not rollups.state().is_of_this_cluster
    told: list[float] = []
    rollups.take_over(told.append)
    assert told == sorted(told)
    assert 0 <= told[0] < 1
    fill()
    assert_equal_to_the_log()


def test_nothing_is_known_before_the_first_filling(committed: None) -> None:
    assert rollups.as_of() is None
    assert fill() == 0
    found = rollups.as_of()
    assert found is not None
    assert datetime.now(UTC) - found < timedelta(minutes=1)
