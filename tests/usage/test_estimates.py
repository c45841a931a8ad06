"""Estimates of holds: percentiles of what operations really used, no more and no less than the log says."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from tenants import database, versions
from tenants.models import Tenant
from tests.cast import Company
from tests.parallel import at_once
from tests.usage import rows
from tests.usage.ledger_world import Books, end, everything, fact_charges, released, totals
from usage import estimates, ledger, tasks
from usage.estimates import LEAST_SAMPLES, Report
from usage.models import HoldEstimate

TASK = "LLM2_DRAFT"
FREE = everything("TOKENS")


def use(books: Books, used: Iterable[tuple[int, int]], *, kind: str = "COMPLETED", **options: Any) -> None:
    """Book operations that used these tokens, in and out."""
    fact = books.fact(fact_charges(limit=None))
    events = [books.event(end(kind, totals(*each), **options), fact=fact) for each in used]
    assert {answer.outcome for answer in books.record(*events)} <= {"BOOKED"}


def fill(books: Books, missing: int = 0) -> None:
    """Enough operations of no tokens at all, but for `missing`."""
    use(books, [(0, 0)] * (LEAST_SAMPLES - missing))


def estimate(books: Books, task: str = TASK) -> HoldEstimate | None:
    estimates.compute([books.tenant])
    return HoldEstimate.objects.for_tenant(books.tenant).filter(task=task).first()


def most(books: Books) -> tuple[int, int]:
    """The largest operation, in and out, beside those of `fill`."""
    found = estimate(books)
    assert found is not None
    return found.input_tokens[-1], found.output_tokens[-1]


@given(st.lists(st.integers(0, 10**9) | st.integers(0, 5), min_size=1, max_size=300))
def test_a_percentile_is_the_smallest_number_that_so_many_percent_do_not_exceed(numbers: list[int]) -> None:
    found = list(estimates.percentiles(Counter(numbers)))
    assert len(found) == 100
    for percent, value in enumerate(found, start=1):
        assert value in numbers
        assert Fraction(sum(number <= value for number in numbers), len(numbers)) >= Fraction(percent, 100)
        assert Fraction(sum(number < value for number in numbers), len(numbers)) < Fraction(percent, 100)


def test_percentiles_are_those_of_postgresql(books: Books) -> None:
    use(books, [(7 * number % 64, number * number) for number in range(64)])
    found = estimate(books)
    assert found is not None
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT percentile_disc(%(ps)s) WITHIN GROUP (ORDER BY input_tokens),
                   percentile_disc(%(ps)s) WITHIN GROUP (ORDER BY output_tokens)
              FROM usage_usagelog WHERE tenant_id = %(tenant)s
            """,
            {"ps": [percent / 100 for percent in range(1, 101)], "tenant": books.tenant},
        )
        assert cursor.fetchone() == (found.input_tokens, found.output_tokens)
    assert found.samples == 64


def test_there_is_an_estimate_from_fifty_operations_on(books: Books) -> None:
    use(books, [(number, 1000 + number) for number in range(1, LEAST_SAMPLES)])
    assert estimate(books) is None
    use(books, [(LEAST_SAMPLES, 0)])
    found = estimate(books)
    assert found is not None
    assert (found.samples, found.input_tokens[94], found.output_tokens[0]) == (50, 48, 0)


def test_each_task_of_each_tenant_has_its_own(books: Books, acme: Company, rival: Company) -> None:
    use(books, [(1, 2)] * LEAST_SAMPLES)
    other = books.fact(fact_charges("REQUESTS", None), unit="REQUESTS")
    books.record(*(books.event(end(said=totals(3, 4)), fact=other) for _ in range(LEAST_SAMPLES)))
    use(Books.of(acme.tenant.id), [(5, 6)] * LEAST_SAMPLES)
    report = estimates.compute()
    assert (report.tenants, report.operations, report.written, report.removed) == (3, 150, 3, 0)
    assert {(row.tenant_id, row.task_id): (row.input_tokens[0], row.output_tokens[99]) for row in all_rows()} == {
        (books.tenant, TASK): (1, 2), (books.tenant, "LLM3_DIAGRAM"): (3, 4), (acme.tenant.id, TASK): (5, 6),
    }  # fmt: skip


def all_rows() -> list[HoldEstimate]:
    return list(HoldEstimate.objects.all())


def test_an_operation_counts_whole_however_it_was_reported(books: Books) -> None:
    fill(books, missing=1)
    reported = books.hold(FREE)
    for said in (totals(30, 10), totals(60, 40), totals(60, 90)):
        books.settle(reported, end("REPORT", said))
    assert estimate(books) is None
    books.settle(reported, end(said=totals(70, 100)))
    assert most(books) == (70, 100)
    late = books.hold(FREE)
    books.settle(late, end("REPORT", totals(50, 50)))
    books.expire(late)
    books.settle(late, end(said=totals(80, 200)))
    assert most(books) == (80, 200)


def test_an_operation_counts_as_it_was_corrected(books: Books) -> None:
    fill(books, missing=2)
    reported = books.hold(FREE)
    books.settle(reported, end("REPORT", totals(500, 5)))
    booked = books.settle(reported, end(said=totals(700, 70)))
    assert booked.body is not None
    fact = books.record(books.event(end(said=totals(1, 1)), fact=books.fact(fact_charges(limit=None))))[0].id
    assert fact is not None
    assert most(books) == (700, 70)
    for said in (totals(300, 70), totals(100, 40)):  # of this row, beside what was reported
        ledger.correct(books.tenant, UUID(booked.body["log_id"]), end(said=said))
    assert most(books) == (600, 45)
    ledger.correct(books.tenant, fact, end(said=totals(800, 80)))
    assert most(books) == (800, 80)


def test_a_failure_counts_where_it_used_something(books: Books) -> None:
    """One that used nothing would pull the estimate of working calls down."""
    use(books, [(10, 10)] * (LEAST_SAMPLES - 1))
    use(books, [(0, 0), (0, 0)], kind="FAILED")
    assert estimate(books) is None
    use(books, [(90, 0)], kind="FAILED")
    found = estimate(books)
    assert found is not None
    assert (found.samples, found.input_tokens[-1], found.output_tokens[0]) == (50, 90, 0)


def test_what_nobody_counted_is_no_estimate(books: Books) -> None:
    """Where the hold was booked for want of counts, a smaller hold would prove itself right."""
    fill(books)
    books.settle(books.hold(FREE), end())
    assert books.log()[-1].certainty == "UNKNOWN"
    assert books.log()[-1].input_tokens > 0
    assert most(books) == (0, 0)


def test_what_is_open_was_released_or_expired_is_no_operation(books: Books) -> None:
    fill(books)
    for _ in range(3):
        begun = books.hold(FREE)
        books.settle(begun, end("REPORT", totals(30, 10)))
    books.expire(begun)
    books.settle(books.hold(FREE), released())
    found = estimate(books)
    assert found is not None
    assert found.samples == LEAST_SAMPLES
    assert most(books) == (0, 0)


def test_a_fact_of_a_released_reservation_counts_by_itself(books: Books) -> None:
    fill(books)
    gone = books.hold(FREE)
    books.settle(gone, end("REPORT", totals(30, 10)))
    books.settle(gone, released())
    books.record(books.event(end(said=totals(7, 8)), fact=books.fact(fact_charges(limit=None)), reservation=gone))
    assert most(books) == (7, 8)


def test_operations_over_thirty_days_ago_do_not_count(acme: Company) -> None:
    meter = rows.make_meter(acme.tenant)
    for age in [timedelta(days=29, hours=23)] * 50 + [timedelta(days=30, hours=1)] * 3:
        rows.make_log(acme.tenant, meter, row=id_of(timezone.now() - age))
    found = estimate(Books.of(acme.tenant.id), "LLM1_PRIOR_ART")
    assert found is not None
    assert found.samples == 50


def id_of(at: datetime) -> UUID:
    """A log row's id of that instant."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_uuid7(%s)", [at])
        found: UUID = cursor.fetchone()[0]
    return found


def test_an_estimate_goes_with_its_operations_and_no_other_does(books: Books, acme: Company) -> None:
    for tenant in (Tenant.objects.get(id=books.tenant), acme.tenant):
        rows.make_estimate(tenant)
        rows.make_estimate(tenant, task="LLM3_DIAGRAM")
    fill(books)
    report = estimates.compute([books.tenant])
    assert (report.written, report.removed) == (1, 1)
    mine, theirs = HoldEstimate.objects.for_tenant(books.tenant), HoldEstimate.objects.for_tenant(acme.tenant)
    assert [(row.task_id, row.samples) for row in mine] == [(TASK, 50)]
    assert theirs.count() == 2
    assert estimates.compute().removed == 2


def test_a_log_of_many_pages_counts_as_one(
    books: Books, acme: Company, rival: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "_SLICE", 12)
    other = Books.of(acme.tenant.id)
    use(books, [(number, 0) for number in range(100)])
    use(other, [(0, number) for number in range(4)])
    told: list[Report] = []
    report = estimates.compute(tell=lambda so_far: told.append(replace(so_far)))
    assert (report.tenants, report.operations, report.written) == (3, 104, 1)
    assert [so_far.operations for so_far in told] == sorted({so_far.operations for so_far in told})
    assert len(told) >= 9
    assert [row.input_tokens for row in all_rows()] == [list(range(100))]


def test_pages_that_take_too_long_become_smaller(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    use(books, [(number, 0) for number in range(100)])
    stuck = "FROM (SELECT pg_sleep(CASE WHEN %(each)s > 30 THEN 60 ELSE 0 END)) AS stuck, unnest("
    monkeypatch.setattr(estimates, "_PAGE", estimates._PAGE.replace("FROM unnest(", stuck))
    monkeypatch.setattr(estimates, "_SLICE", 64)
    monkeypatch.setattr(database, "LONGEST_STATEMENT", "300ms")
    estimates.compute([books.tenant])
    assert [row.samples for row in all_rows()] == [100]
    monkeypatch.setattr(estimates, "_PAGE", estimates._PAGE.replace("> 30", "> 0"))
    with pytest.raises(OperationalError, match="statement timeout"):
        estimates.compute([books.tenant])


def test_computing_twice_changes_nothing_and_again_takes_in_what_is_new(books: Books) -> None:
    fill(books)
    first = estimate(books)
    second = estimate(books)
    assert first is not None
    assert second is not None
    assert (first.pk, first.samples, first.input_tokens) == (second.pk, second.samples, second.input_tokens)
    assert first.computed_at < second.computed_at
    use(books, [(1, 1)])
    third = estimate(books)
    assert third is not None
    assert (third.pk, third.samples) == (first.pk, 51)


@pytest.mark.usefixtures("committed")
def test_it_may_be_computed_beside_itself_and_waits_for_nobody(acme: Company, rival: Company) -> None:
    """An open transaction holds a reservation, a log row and an estimate that is to go."""
    mine, other = Books.of(acme.tenant.id), Books.of(rival.tenant.id)
    fill(mine)
    held = mine.hold(FREE)
    gone = rows.make_estimate(rival.tenant)
    locked, done = threading.Event(), threading.Event()

    def hold_locks() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for table, row in (("usage_usagereservation", held), ("usage_holdestimate", gone.pk)):
                cursor.execute(f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE", [row])
            cursor.execute("SELECT 1 FROM usage_usagelog WHERE tenant_id = %s FOR UPDATE", [mine.tenant])
            locked.set()
            assert done.wait(60)

    def compute() -> Report:
        assert locked.wait(60)
        return estimates.compute()

    def compute_all() -> list[Report]:
        try:
            return at_once(compute, compute, compute)
        finally:
            done.set()

    _, reports = at_once(hold_locks, compute_all)
    assert reports is not None
    assert [(report.written, report.removed) for report in reports] == [(1, 0)] * 3
    assert HoldEstimate.objects.for_tenant(mine.tenant).count() == 1
    assert estimates.compute().removed == 1
    assert not HoldEstimate.objects.for_tenant(other.tenant).exists()


# --- reading

NOW = datetime(2030, 1, 1, tzinfo=UTC)  # when `make_estimate` computes


def test_an_estimate_is_asked_for_by_percentile(acme: Company) -> None:
    rows.make_estimate(acme.tenant, samples=60)
    found = estimates.of(acme.tenant.id, TASK, NOW)
    assert found is not None
    assert (found.samples, found.computed_at) == (60, NOW)
    assert (found.at(1), found.at(95), found.at(100)) == ((1, 10), (95, 950), (100, 1000))
    for percentile in (0, -1, 101):
        with pytest.raises(ValueError, match="is not from 1 to 100"):
            found.at(percentile)


def test_one_query_brings_all_of_a_tenant_for_ten_minutes(
    acme: Company, rival: Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rows.make_estimate(acme.tenant, samples=60)
    rows.make_estimate(acme.tenant, samples=70, task="LLM3_DIAGRAM")
    with django_assert_num_queries(2):
        for _ in range(3):
            assert [samples(acme.tenant.id, task) for task in (TASK, "LLM3_DIAGRAM", "EMBED")] == [60, 70, None]
            assert samples(rival.tenant.id) is None
    HoldEstimate.objects.update(samples=80)
    seen = [samples(acme.tenant.id, at=NOW + timedelta(minutes=minute)) for minute in range(11)]
    assert seen == sorted(seen, key=str)
    assert seen[-1] == 80


def samples(tenant: UUID, task: str = TASK, at: datetime = NOW) -> int | None:
    found = estimates.of(tenant, task, at)
    return found.samples if found else None


def test_an_estimate_that_the_daily_job_no_longer_renews_is_not_used(acme: Company) -> None:
    """The maximum is held then: nothing is guessed from what may long be otherwise."""
    rows.make_estimate(acme.tenant, samples=60)
    assert samples(acme.tenant.id, at=NOW + timedelta(days=3)) == 60
    assert samples(acme.tenant.id, at=NOW + timedelta(days=3, seconds=1)) is None


def test_forgetting_all_snapshots_forgets_estimates_too(acme: Company) -> None:
    assert samples(acme.tenant.id) is None
    rows.make_estimate(acme.tenant, samples=60)
    assert samples(acme.tenant.id) is None
    versions.clear_all()
    assert samples(acme.tenant.id) == 60


# --- who runs it


def test_the_daily_task_computes_all(books: Books) -> None:
    fill(books)
    tasks.estimate_holds()
    assert [row.tenant_id for row in all_rows()] == [books.tenant]


def command(*words: str) -> str:
    said = StringIO()
    call_command("estimate_holds", *words, stdout=said)
    return said.getvalue()


def test_the_command_says_what_it_did(books: Books, acme: Company) -> None:
    fill(books)
    fill(Books.of(acme.tenant.id))
    rows.make_estimate(acme.tenant, task="EMBED")
    assert "1 estimates written and 1 removed, from 50 operations of 1 tenants in " in command("--tenant", "ACME")
    assert "2 estimates written and 0 removed, from 100 operations of 2 tenants in " in command()


@pytest.mark.django_db
def test_the_command_knows_its_tenants() -> None:
    with pytest.raises(CommandError, match="There is no tenant NOBODY"):
        command("--tenant", "NOBODY")
