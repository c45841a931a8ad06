"""`manage.py reencrypt_secrets`: the second of three steps that change the key of what the database keeps encrypted."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from alerts import resealing
from alerts.fields import CannotDecrypt
from tenants import commands
from tenants.words import counted, first_of

_NAMED = 5


class Command(commands.TeachingCommand):
    """Encrypts every secret under the first of ENCRYPTION_KEYS."""

    help = """\
Secrets of others (those that sign webhooks, addresses of chats) are encrypted in the database. The first of
ENCRYPTION_KEYS encrypts, all of them decrypt. To change the key, nothing has to stop:

  1. Put a new key before the old one, separated by a comma, and restart every process: those that were started
     before still encrypt by the old key. A new key:
         python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"
  2. Run this command. It rewrites what the first key did not encrypt, in short transactions beside the traffic. It
     may be stopped and run again: it goes on where it was.
  3. When it says so, and not before, take the old key out of ENCRYPTION_KEYS and restart every process.

A secret that none of the keys opens stays as it is and is named, and the command exits with 1: put the key back that
it was made with, or make the channel's secret anew. --check looks and writes nothing; it exits with 1 where the old
keys are still needed."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="say whether old keys are still needed, write nothing")

    def handle(self, *_: Any, check: bool, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
        try:
            with commands.bar(*columns) as progress:
                task = progress.add_task("", total=resealing.rows())
                found = resealing.reseal(lambda rows: progress.advance(task, rows), writes=not check)
            # What a page wrote meanwhile, in a process that has yet to be restarted, is under its own first key.
            left = found if check else resealing.reseal(writes=False)
        except CannotDecrypt as missing:
            raise CommandError(f"Nothing was changed. {missing}") from None
        if not check:
            self.stdout.write(f"{counted(found.old, 'secret')} of {found.texts:,} encrypted anew by the first key.")
        if left.unreadable:
            raise CommandError(
                f"None of ENCRYPTION_KEYS opens {counted(len(left.unreadable), 'secret')}, which stayed as before: "
                f"{first_of(left.unreadable, _NAMED)}. Take no key out; put the one back that is missing, or make "
                "these secrets anew."
            )
        if left.old:
            then = "and run this without --check" if check else "restart every process, and run this again"
            raise CommandError(
                f"{counted(left.old, 'secret')} of {left.texts:,} are encrypted by a key that is not the first: keep "
                f"the old keys, {then}."
            )
        told = "The others may be dropped." if len(settings.ENCRYPTION_KEYS) > 1 else "There is no other."
        self.stdout.write(f"The first key opens all {counted(left.texts, 'secret')}. {told}")
