"""`manage.py estimate_holds`: what calls really use, for holds of less than the maximum."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from tenants import commands
from usage import estimates
from usage.estimates import LEAST_SAMPLES, USABLE_FOR, WINDOW, Report


class Command(commands.TeachingCommand):
    """Computes the hold estimates."""

    help = f"""\
Computes from the log what the operations of each tenant's task really used over the last {WINDOW.days} days:
percentiles 1 to 100 of input and of output tokens, where there were at least {LEAST_SAMPLES} operations. Where the
policy rule HOLD_PERCENTILE is below 100, a permit holds that percentile in place of the most it allows.

Celery does this every day. Run it to have estimates at once, after a new rule or many corrections; it may be run at
any time, also beside itself and beside load: it reads page by page and locks nothing. A running system uses the new
estimates within ten minutes, and none that are older than {USABLE_FOR.days} days.

  manage.py estimate_holds                 every tenant
  manage.py estimate_holds --tenant ACME   one of them"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", metavar="ATI_ID", help="this tenant alone")

    def handle(self, *, tenant: str | None, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        chosen = estimates.everybody() if tenant is None else [commands.tenant_named(tenant).id]
        with _progress(len(chosen)) as tell:
            report = estimates.compute(chosen, tell=tell)
        self.stdout.write(
            f"{report.written:,} estimates written and {report.removed:,} removed, "
            f"from {report.operations:,} operations of {report.tenants:,} tenants in {report.seconds:.1f} s."
        )


@contextmanager
def _progress(tenants: int) -> Iterator[Callable[[Report], None]]:
    with commands.bar(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")) as progress:
        task = progress.add_task("", total=tenants)

        def tell(report: Report) -> None:
            progress.update(task, completed=report.tenants, description=f"tenants, {report.operations:,} operations")

        yield tell
