"""Months of the log become files, once, whole, and proven; the ledger stays right throughout."""

from collections.abc import Iterator
from datetime import date
from io import StringIO
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pytest_django import Settings

from tenants import database
from tests.cast import Company
from tests.metering_site.test_settings import check
from tests.usage.history import age, without_old_months
from tests.usage.ledger_world import Books, breaches, charge, end, everything, released, totals
from usage import ledger
from usage.archive import files, months, parquet, queries
from usage.archive.months import Month
from usage.models import LogArchive, UsageLog, UsageMeter

CHARGES = everything("TOKENS", limits={"UNITS": 10**9, "COST": 10**9, "SLOTS": 10_000, "REQUESTS": 10_000})
SOME = totals(30, 10, calls=1, items=1)


@pytest.fixture(autouse=True)
def _no_old_months(committed: None) -> Iterator[None]:
    with without_old_months():
        yield


@pytest.fixture
def archive(tmp_path: Path, settings: Settings) -> Path:
    folder = tmp_path / "archive"
    settings.ARCHIVE_DIR = folder
    return folder


def use(company: Company) -> Books:
    """Operations of every kind: committed, failed, reported, released, late, a fact, a correction, and an overrun."""
    books = Books.of(company.tenant.id)
    done = [books.hold(CHARGES, user_key=f"u-{number}") for number in range(4)]
    books.settle(done[0], end(said=SOME, facts={"error": "", "model": 'a, "quoted"\nname', "metadata": {"é": ""}}))
    books.settle(done[1], end("FAILED", totals(3, 0), facts={"error": "no answer,\r\n\\N"}))
    books.settle(done[2], end("REPORT", totals(3, 0)))
    books.settle(done[2], end(said=totals(500, 500)))
    books.settle(done[3], released())
    late = books.hold(CHARGES)
    books.expire(late)
    books.settle(late, end(said=SOME))
    books.record(books.event(end(said=SOME), fact=books.fact([charge("UNITS", 0), charge("COST", 0)])))
    row = next(each for each in reversed(books.log()) if each.status == "COMPLETED")
    assert ledger.correct(books.tenant, row.id, end(said=totals(1, 1))).outcome == "BOOKED"
    return books


def old(*companies: Company) -> Month:
    """Companies that used much, long ago."""
    for company in companies:
        use(company)
    (month,) = {age(company.tenant.id) for company in companies}
    return month


def run(**options: object) -> str:
    out = StringIO()
    call_command("archive_usage", stdout=out, **options)
    return out.getvalue()


def meters(company: Company) -> dict[object, tuple[int, int, int]]:
    rows = UsageMeter.objects.for_tenant(company.tenant.id)
    return {row[0]: row[1:] for row in rows.values_list("id", "used", "overrun", "reserved")}


def is_clean(*companies: Company) -> bool:
    return not any(breaches(company.tenant.id) for company in companies)


def test_an_old_month_becomes_files_and_the_ledger_stays_right(acme: Company, rival: Company, archive: Path) -> None:
    month = old(acme, rival)
    newer = use(acme)
    kept = len(newer.log())
    before = meters(acme)
    rows = [row for row in newer.log() if row.recorded_at < month.end]
    assert is_clean(acme, rival)

    said = run()

    assert f"{month}: 18 rows" in said
    assert LogArchive.objects.get().rows == 18
    assert is_clean(acme, rival)
    assert meters(acme) == before
    assert len(newer.log()) == kept - len(rows) > 0
    assert not UsageLog.objects.for_tenant(rival.tenant.id).exists()
    assert month not in months.due(4)

    folder = files.folder_of(archive, month.first)
    manifest = files.load(folder)
    assert manifest is not None
    assert manifest.rows == 18
    assert manifest.sums["cost"] == 2 * sum(row.cost or 0 for row in rows)
    assert manifest.charges["UNITS"] == 2 * sum(row.charges[row.measures.index("UNITS")] for row in rows)
    assert {path.name for path in folder.iterdir()} == {"log-0001.parquet", "manifest.json"}
    assert "no month" in run().lower()


def test_a_file_says_every_column_as_it_was(acme: Company, archive: Path) -> None:
    """Empty texts, line ends, quotes, nulls, lists and JSON come back as they were."""
    use(acme)
    age(acme.tenant.id)
    before = {row.id: row for row in UsageLog.objects.for_tenant(acme.tenant.id)}
    run()
    ((folder, manifest),) = files.archived(archive)
    with parquet.session(archive) as (db, _):
        found = db.execute(
            "SELECT id, error, model, metadata, meters, charges, ask, user_key, late, recorded_at::VARCHAR "
            "FROM read_parquet($files)",
            {"files": [str(path) for path in manifest.paths(folder)]},
        ).fetchall()
    assert len(found) == len(before)
    for id_, error, model, metadata, meters_, charges, ask, user, late, recorded_at in found:
        row = before[id_]
        assert (error, model, user, late) == (row.error, row.model, row.user_key, row.late)
        assert (meters_, charges) == (row.meters, row.charges)
        assert (metadata and orjson.loads(metadata), ask and orjson.loads(ask)) == (row.metadata, row.ask)
        assert recorded_at[:19] == f"{row.recorded_at:%Y-%m-%d %H:%M:%S}"


def test_a_dry_run_changes_nothing(acme: Company, archive: Path) -> None:
    month = old(acme)
    assert f"drop {month.table}" in run(dry_run=True)
    assert not archive.exists()
    assert month in months.due(13)


@pytest.mark.parametrize("harm", ["changed", "missing", "swapped"])
def test_files_that_are_not_what_the_database_says_let_nothing_go(acme: Company, archive: Path, harm: str) -> None:
    """Defect 15: what is removed was proven to be elsewhere first."""
    month = old(acme)
    folder = files.folder_of(archive, month.first)
    archive.mkdir()
    files.write(month.table, month.first, folder, lambda rows: None)
    file = folder / "log-0001.parquet"
    if harm == "changed":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "missing":
        file.unlink()
    else:  # a file that is whole, of other rows, with a manifest to match
        with parquet.session(archive) as (db, _):
            db.execute(f"CREATE TABLE rows AS FROM '{file}'")
            db.execute("UPDATE rows SET user_key = 'somebody' WHERE user_key = 'u-1'")
            db.execute(f"COPY rows TO '{file}' (FORMAT parquet)")
            files.summed(db, month.first, folder, [files.described(db, file)]).save(folder)
    before = meters(acme)
    with pytest.raises(CommandError, match=r"differ in 2 rows|is missing|not as it was written"):
        run()
    assert month in months.due(13)
    assert (meters(acme), LogArchive.objects.count()) == (before, 0)
    assert is_clean(acme)


def test_the_table_stays_where_its_files_are_harmed_before_it_is_dropped(acme: Company, archive: Path) -> None:
    month = old(acme)
    folder = files.folder_of(archive, month.first)
    archive.mkdir()
    files.write(month.table, month.first, folder, lambda rows: None)
    with months.alone():
        snapshot = database.rows(queries.SNAPSHOT)[0][0]
        months._detach(month, folder, files.verify(month.table, folder, lambda rows: None), snapshot, lambda s: None)
    (folder / "log-0001.parquet").write_bytes(b"")
    with pytest.raises(CommandError, match="not as it was written"):
        run()
    (detached,) = [each for each in months.due(13) if each.table == month.table]
    assert not detached.is_attached
    assert months.rows_of(detached) == 9
    assert is_clean(acme)


def test_rows_of_a_reservation_that_is_kept_stay(acme: Company, archive: Path) -> None:
    books = Books.of(acme.tenant.id)
    month = old(acme)
    books.hold([charge("UNITS", 5)])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE usage_usagereservation SET id = ledger_uuid7(%s) ", [month.first])
    with pytest.raises(CommandError, match=r"1 reservations made before .* are still kept"):
        run()
    assert "nothing: 1 reservations" in run(dry_run=True)
    assert month in months.due(13)


def test_meters_of_a_period_that_runs_stay(acme: Company, archive: Path) -> None:
    month = old(acme)
    UsageMeter.objects.filter(tenant=acme.tenant, period="MONTH").update(period_end="2999-01-01T00:00Z")
    with pytest.raises(CommandError, match="1 meters of that month count for a period that still runs"):
        run()
    assert month in months.due(13)
    assert is_clean(acme)


def test_a_month_waits_for_its_roll_ups(acme: Company, archive: Path) -> None:
    month = old(acme)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE usage_rollupstate SET transaction_id = '3'")
    with pytest.raises(CommandError, match="roll-ups, which stay, lack rows"):
        run()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_rollupstate")
    with pytest.raises(CommandError, match="never filled"):
        run()
    assert month in months.due(13)


def test_only_one_is_at_work(acme: Company, archive: Path) -> None:
    month = old(acme)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(queries.ALONE)
        with pytest.raises(CommandError, match="Another archive_usage or erase_user"):
            run()
    finally:
        other.close()
    assert month in months.due(13)


def test_a_busy_log_is_left_alone(acme: Company, archive: Path) -> None:
    """Bookings never wait longer than half a second for a month to go."""
    month = old(acme)
    other = connection.copy()
    waited: list[float] = []
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE usage_usagelog IN ROW EXCLUSIVE MODE")

        def wait(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                other.rollback()

        archive.mkdir()
        months.archive(month, files.folder_of(archive, month.first), tell=lambda rows: None, wait=wait)
    finally:
        other.close()
    assert len(waited) == 2
    assert is_clean(acme)


def test_without_duckdb_it_says_what_to_install(acme: Company, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    month = old(acme)
    monkeypatch.setattr(parquet, "duckdb", None)
    with pytest.raises(CommandError, match=r"pip install -r requirements-archive\.txt"):
        run()
    assert month in months.due(13)


def test_a_fact_of_an_archived_reservation_and_a_correction_are_answered_clearly(acme: Company, archive: Path) -> None:
    old(acme)
    row = UsageLog.objects.for_tenant(acme.tenant.id).filter(status="COMPLETED", reservation_id__isnull=False).first()
    assert row is not None
    books = Books.of(acme.tenant.id)
    event = books.event(end(said=SOME), fact=books.fact([charge("UNITS", 0)]), reservation=row.reservation_id)
    assert books.record(event)[0].outcome == "DUPLICATE"  # still in the log
    run()
    assert is_clean(acme)  # the event names a row that is archived

    late = books.event(end(said=SOME), fact=books.fact([charge("UNITS", 0)]), reservation=row.reservation_id)
    assert [books.record(late)[0].outcome for _ in range(2)] == ["ARCHIVED"] * 2
    unknown = books.event(end(said=SOME), fact=books.fact([charge("UNITS", 0)]), reservation=uuid4())
    assert books.record(unknown)[0].outcome == "BOOKED"
    assert ledger.correct(books.tenant, row.id, end(said=SOME)).outcome == "MISSING"
    assert is_clean(acme)


def test_overruns_that_are_archived_with_a_sum_of_nothing_are_no_breach(acme: Company, archive: Path) -> None:
    books = Books.of(acme.tenant.id)
    only = [charge("COST", 0)]
    books.record(books.event(end(said=SOME, cost=7), fact=books.fact(only)))
    (row,) = books.log()
    ledger.correct(books.tenant, row.id, end(said=SOME, cost=0))
    age(books.tenant)
    run()
    assert (UsageMeter.objects.get().used, UsageMeter.objects.get().overrun) == (0, 7)
    assert is_clean(acme)


@pytest.mark.parametrize("months_kept", ["3", "121", "a year"])
def test_a_retention_that_cannot_be_stops_the_check(months_kept: str) -> None:
    done = check(LOG_RETENTION_MONTHS=months_kept)
    assert done.returncode != 0
    assert "(metering_site.E001) LOG_RETENTION_MONTHS cannot be read" in done.stderr


def test_only_months_before_the_retention_are_due(committed: None) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_make_partition((date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => n))"
            "::date) FROM generate_series(0, 14) AS n"
        )
    now = database.rows("SELECT now() AT TIME ZONE 'UTC'")[0][0]
    (due,) = months.due(13)
    index = now.year * 12 + now.month - 1 - 14
    assert due.first == date(index // 12, index % 12 + 1, 1)
