"""`manage.py export_user`: all data of one user, in a file for them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.progress import SpinnerColumn, TextColumn

from tenants import commands
from usage.archive import files, parquet
from usage.erasure import archived, export


class Command(commands.TeachingCommand):
    """Writes what is kept of a user of a tenant."""

    help = """\
Writes all that is kept of a user to a file, one JSON object a line (NDJSON): their account and tokens, limits set for
them, their quotas period by period, the calls that are permitted and refused, what was booked, and the months that
are archived. The first line says whose data it is, and what the kinds of lines are. Times are UTC, money is USD.

Left out is what is derived from these (roll-ups), and what says nothing of the user: hashes, ids of meters, and which
provider's model stood behind a model class.

  manage.py export_user ACME u-17 --output u-17.ndjson"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's ATI id")
        parser.add_argument(
            "user_key", metavar="USER_KEY", help="the user's key: “user” in its calls, or its account's id"
        )
        parser.add_argument(
            "--output", type=Path, required=True, metavar="FILE", help="the file, which must not be there yet"
        )

        parser.add_argument(
            "--without-archive", action="store_true", help="leave archived months out: their files are not here"
        )

    def handle(
        self,
        *,
        tenant: str,
        user_key: str,
        output: Path,
        without_archive: bool,
        **options: Any,  # noqa: ANN401 - the options of every command
    ) -> None:
        whose = commands.tenant_named(tenant)
        archive: Path | None = None if without_archive else settings.ARCHIVE_DIR
        try:
            with output.open("xb") as out:
                output.chmod(0o600)
                try:
                    written = _written(export.lines(whose, user_key, archive, timezone.now()), out)
                except BaseException:
                    output.unlink()  # half of it would look like all of it
                    raise
        except FileExistsError:
            raise CommandError(f"{output} is there already.") from None
        except (OSError, archived.NotHere, files.Differs, parquet.Missing) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(
            f"{written:,} lines in {output}." if written > 1 else f"Nothing is kept of {user_key} at {tenant}."
        )


def _written(lines: Iterable[bytes], out: BinaryIO) -> int:
    """How many there were."""
    written = 0
    with commands.bar(SpinnerColumn(), TextColumn("{task.completed:,} lines")) as progress:
        bar = progress.add_task("", total=None)
        for line in lines:
            out.write(line)
            written += 1
            progress.advance(bar)
    return written
