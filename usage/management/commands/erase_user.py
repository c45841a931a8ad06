"""`manage.py erase_user`: nothing names a user any more, and what they used is still counted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tenants import commands
from tenants.models import Tenant
from usage.archive import files, months, parquet
from usage.erasure import account, archived, work
from usage.erasure.proof import Proof, Tell


class Command(commands.TeachingCommand):
    """Erases a user of a tenant; exits with 1 where that cannot be done, or not be proven."""

    help = """\
Puts a random pseudonym in place of a user, everywhere: in the log and in the months that are archived, in
reservations, refusals, meters, roll-ups, usage events, policy rules and the console's history. The pseudonym is the
same everywhere, so what they used still adds up, for them and in every bill; nothing leads back from it. On their own
calls the metadata, correlation ids and error texts go altogether. A user who has an account (whose key is its id) can
no longer log in: name and address are gone, their tokens revoked, their sessions ended.

Afterwards every column of every table that could hold a name is looked through once more, and the table shows what
was found: nothing. A user whose key has fewer than 3 characters, is a number, or is a word this system uses itself
(such as ADMIN) is looked for where users stand, and not in sentences.

Have their calls stopped first: what comes in later under the same key is a new user, with what is left of the running
periods. Within 35 days senders must not repeat usage events, nor callers requests, whose ids contain the key: these
are changed. Logs of requests, backups and the caller's own systems are not in reach.

It may be stopped, or killed, and run again at any time: it goes on with the same pseudonym.

  manage.py erase_user ACME u-17 --dry-run     where they are named
  manage.py export_user ACME u-17 --output u-17.ndjson
  manage.py erase_user ACME u-17               do it, after a question"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="the tenant's ATI id")
        parser.add_argument(
            "user_key", metavar="USER_KEY", help="the user's key: “user” in its calls, or its account's id"
        )
        parser.add_argument("--dry-run", action="store_true", help="show where the user is named, and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask first")
        parser.add_argument(
            "--without-archive", action="store_true", help="leave archived months out: their files are not here"
        )

    def handle(
        self,
        *,
        tenant: str,
        user_key: str,
        dry_run: bool,
        yes: bool,
        without_archive: bool,
        **options: Any,  # noqa: ANN401 - the options of every command
    ) -> None:
        whose = commands.tenant_named(tenant)
        archive: Path | None = None if without_archive else settings.ARCHIVE_DIR
        try:
            if (dry_run or not yes) and not self._shown(whose, user_key, archive):
                self.stdout.write(f"{tenant}: nothing here names {user_key}.")
                return
            if dry_run:
                return
            if not yes:
                _confirm(user_key)
            with _progress() as tell:
                pseudonym, proof = work.erase(whose, user_key, archive, tell)
        except _WHY_NOT as problem:
            raise CommandError(str(problem)) from None
        except OperationalError as problem:
            raise CommandError(f"The database was too busy: {problem}. Run this again, it goes on.") from None
        self.stdout.write(_told(proof, "Name the user now"))
        self.stdout.write(f"{tenant}: the user is {pseudonym} now, and nothing here names them.")
        if without_archive:
            self.stdout.write("Archived months were left out: run this where their files are.")

    def _shown(self, tenant: Tenant, user_key: str, archive: Path | None) -> bool:
        """Shows where a user is named; whether there is anything to erase."""
        with _progress() as tell:
            found = work.look(tenant, user_key, archive, tell)
        if not any(each.named for each in found) and not work.is_begun(tenant, user_key):
            return False
        self.stdout.write(_told(found, "Name the user"))
        return True


_WHY_NOT = (
    months.Refused, account.OnlyOwner, work.StillNamed, archived.NotHere, parquet.Missing, files.Differs,
)  # fmt: skip


def _confirm(user_key: str) -> None:
    try:
        said = input(f"This cannot be undone. Type {user_key} to go on: ")
    except EOFError:
        said = ""
    if said.strip() != user_key:
        raise CommandError("Nothing was changed.")


def _told(found: Sequence[Proof], named: str) -> str:
    table = Table("Table or file", "Column", "Rows looked at", named)
    for column in table.columns[2:]:
        column.justify = "right"
    for each in found:
        if each.rows:
            table.add_row(each.table, each.column, f"{each.rows:,}", f"{each.named:,}")
    empty = len({each.table for each in found} - {each.table for each in found if each.rows})
    return f"{commands.printed(table)}{empty} more tables have no row of this tenant."


@contextmanager
def _progress() -> Iterator[Tell]:
    with commands.bar(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()) as progress:
        bar = progress.add_task("", total=None)
        yield lambda name: progress.update(bar, description=name)
