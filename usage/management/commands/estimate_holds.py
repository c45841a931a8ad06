"""`manage.py estimate_holds`: what calls really use, for holds of less than the maximum."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tenants.models import Tenant
from usage import estimates
from usage.estimates import LEAST_SAMPLES, USABLE_FOR, WINDOW, Report


class Command(BaseCommand):
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

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:  # noqa: ANN401 - Django's signature
        kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", metavar="ATI_ID", help="this tenant alone")

    def handle(self, *, tenant: str | None, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        chosen = estimates.everybody() if tenant is None else [_tenant(tenant)]
        with _progress(len(chosen)) as tell:
            report = estimates.compute(chosen, tell=tell)
        self.stdout.write(
            f"{report.written:,} estimates written and {report.removed:,} removed, "
            f"from {report.operations:,} operations of {report.tenants:,} tenants in {report.seconds:.1f} s."
        )


def _tenant(ati_id: str) -> UUID:
    found = Tenant.objects.filter(ati_id=ati_id).values_list("id", flat=True).first()
    if found is None:
        raise CommandError(f"There is no tenant {ati_id}.")
    return found


@contextmanager
def _progress(tenants: int) -> Iterator[Callable[[Report], None]]:
    """A bar on the terminal, and nothing where there is none."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=tenants)

        def tell(report: Report) -> None:
            progress.update(bar, completed=report.tenants, description=f"tenants, {report.operations:,} operations")

        yield tell
