"""`manage.py archive_usage`: months of the log that are old enough become files."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from plans.money import usd
from tenants import commands
from usage.archive import files, months, parquet
from usage.archive.months import Month


class Command(commands.TeachingCommand):
    """Archives the months of the log before the last LOG_RETENTION_MONTHS; exits with 1 where one cannot be."""

    help = """\
Takes the months of the usage log that are older than LOG_RETENTION_MONTHS whole months out of the database, oldest
first. Each becomes a folder of ARCHIVE_DIR, such as 2025-08: Parquet files (any tool reads them: DuckDB, Spark,
pandas) and manifest.json, which says how many rows they hold, the sums of every counter and of the charges by
measure, the ids from and to, and each file's SHA-256. They hold every column of the log, and no secrets.

The files are read back and compared with the database, every row in every column, before anything is removed. Then,
in one transaction, the meters are told how much of them is archived and the month's partition is detached; it is
dropped once the files' hashes were read again. Roll-ups, meters and bills stay as they are. What is gone is the detail:
the log and the explanation of single calls of that time, corrections of them, and usage events that name their
reservations, which are answered so.

It may be stopped, or killed, and run again at any time, and run beside the traffic. Bookings wait at most half a
second, once a month. Back ARCHIVE_DIR up like the database: it is the only copy.

  manage.py archive_usage --dry-run     what it would do
  manage.py archive_usage               do it; run it once a month"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show which months it would take, and take none")

    def handle(self, *, dry_run: bool, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        archive: Path = settings.ARCHIVE_DIR
        due = months.due(settings.LOG_RETENTION_MONTHS)
        if not due:
            self.stdout.write(f"No month of the log is older than {settings.LOG_RETENTION_MONTHS} whole months.")
            return
        if dry_run:
            self.stdout.write(_planned(due, archive))
            return
        try:
            parquet.version()
            archive.mkdir(parents=True, exist_ok=True, mode=0o700)
            for month in due:
                self.stdout.write(_archived(month, archive))
        except (months.Refused, files.Differs, parquet.Missing, OSError) as error:
            raise CommandError(str(error)) from None


def _planned(due: list[Month], archive: Path) -> str:
    table = Table("Month", "Rows", "What it would do")
    table.columns[1].justify = "right"
    for month in due:
        rows = f"{months.rows_of(month):,}"
        if not month.is_attached:
            table.add_row(str(month), rows, f"drop {month.table}, which is archived")
            continue
        try:
            months.require_ready(month)
            table.add_row(str(month), rows, f"write {files.folder_of(archive, month.first)}, and drop {month.table}")
        except months.Refused as refused:
            table.add_row(str(month), rows, f"nothing: {refused}")
    return commands.printed(table).rstrip()


def _archived(month: Month, archive: Path) -> str:
    folder = files.folder_of(archive, month.first)
    with _progress() as progress:
        # Every row is read twice: once to be written, once to be compared.
        bar = progress.add_task(str(month), total=2 * months.rows_of(month))
        manifest = months.archive(month, folder, tell=lambda rows: progress.advance(bar, rows), wait=time.sleep)
    size = sum(file.bytes for file in manifest.files)
    return (
        f"{month}: {manifest.rows:,} rows, USD {usd(manifest.sums['cost'])}, in {len(manifest.files):,} files of "
        f"{size / 1e6:,.1f} MB in {folder}."
    )


def _progress() -> Progress:
    return commands.bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
