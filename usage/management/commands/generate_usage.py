"""`manage.py generate_usage`: usage that never happened, to try pages and measure them."""

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from tenants import commands
from usage import generated


class Command(commands.TeachingCommand):
    """Generates usage."""

    help = f"""\
Writes rows of the log for tenants GENERATED_1, GENERATED_2 ..., which it makes on the plan ENTERPRISE where they are
not there: calls of the seeded tasks over the last days, more by day than by night, by as many users a tenant, the
first tenant with most of them; some fail, are released, expire, or are refused. Meters say the same, so
audit_ledger stays clean; reservations are left out, as they are pruned two days after their end anyhow.

It is for trying and measuring, and not for a database that bills anybody: nothing takes the rows away again.
{generated.TOGETHER:,} rows are one transaction; stop it when you have enough, or run it again for more.

  manage.py generate_usage --rows 10000                          a small world for looking at pages
  manage.py generate_usage --rows 10000000 --tenants 20 --days 31  what bench/pages.py measures; some 15 GB"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rows", type=commands.number(1, 10**9), required=True, help="rows of the log to write")
        parser.add_argument("--tenants", type=commands.number(1, 10_000), default=5, help="for so many tenants (5)")
        parser.add_argument("--days", type=commands.number(1, 3_650), default=31, help="over the last days (31)")
        parser.add_argument("--users", type=commands.number(1, 10**6), default=200, help="users a tenant (200)")
        parser.add_argument("--seed", type=int, default=1, help="another number draws other calls (1)")

    def handle(self, *, rows: int, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        started = time.monotonic()
        how = {name: options[name] for name in ("tenants", "days", "users", "seed")}
        with commands.bar(BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn()) as progress:
            task = progress.add_task("", total=rows)
            try:
                generated.generate(
                    rows, **how, now=timezone.now(), tell=lambda written: progress.update(task, completed=written)
                )
            except generated.NoCatalogue as error:
                raise CommandError(str(error)) from None
        seconds = time.monotonic() - started
        self.stdout.write(f"{rows:,} rows in {seconds:,.1f} s: {rows / seconds:,.0f} a second.")
