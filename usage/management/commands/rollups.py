"""`manage.py rollups`: how far the sums behind pages are, filling them, and computing them anew."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tenants import commands
from usage import rollups

_STATUS = """\
How far the roll-ups are: the instant before which all that was committed is in them, and what they lack. A worker of
Celery fills them every five seconds; an instant that stays where it is means that none is at work, or that some
transaction has been open since then. Exits with 1 where they are over a minute behind."""
_FILL = """\
Adds what they lack, at once, as the worker does."""
_REBUILD = """\
Computes the roll-ups of the days of UTC that touch a time anew from the log, beside the traffic: in pages, each a
short transaction. It may be stopped at any time: the worker finishes it. Until it is done, pages and API find that
time in the log, so they stay right and are slower.

Needed only where something wrote past the ledger. A time whose log is archived cannot be computed anew, and what was
summed of it stays; the same holds for refusals that were pruned.

    manage.py rollups rebuild --from 2026-11-01 --to 2026-12-01"""
_RESTORED = """\
After the database was restored from a dump into another cluster: takes transaction ids until those of the dump are
passed (some hundred thousand a second), then computes everything anew. Filling says when it is needed."""
_FAR_BEHIND = timedelta(minutes=1)


class Command(commands.TeachingCommand):
    """Works on the roll-ups; what pages show is right without it."""

    help = """\
Pages and the API read sums of the log in quarters of an hour. What is booked later than these were filled is added
from the log whenever somebody looks, so no number is ever late.

    manage.py rollups status
    manage.py rollups rebuild --from 2026-11-01 --to 2026-12-01"""

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="status|fill|rebuild|restored")

        def verb(name: str, description: str) -> Any:  # noqa: ANN401 - a parser, which the stubs do not say
            return verbs.add_parser(
                name,
                help=description.split(":", maxsplit=1)[0].split(".", maxsplit=1)[0].replace("\n", " "),
                description=description,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )

        verb("status", _STATUS)
        verb("fill", _FILL)
        rebuild = verb("rebuild", _REBUILD)
        when = "a date or an instant, UTC unless it says otherwise"
        rebuild.add_argument("--from", dest="since", type=_instant, required=True, metavar="WHEN", help=when)
        rebuild.add_argument("--to", dest="until", type=_instant, metavar="WHEN", help="up to then (default: now)")
        verb("restored", _RESTORED)

    def handle(self, *, verb: str, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        try:
            getattr(self, f"_{verb}")(**options)
        except rollups.LogIsGone as gone:
            raise CommandError(f"Nothing was changed. {gone}") from None
        except rollups.RestoredElsewhere:
            raise CommandError(
                "This database was restored from a dump of another cluster, where more transactions had been. Numbers "
                "are right, but read from the log: run `manage.py rollups restored`."
            ) from None

    def _status(self, **_: Any) -> None:  # noqa: ANN401 - the options of every command
        found = rollups.state()
        bookings, refusals = (f"{count:,}" if count < 100_000 else "100,000 or more" for count in rollups.lacking())
        self.stdout.write(f"As of {_told(found.as_of)} UTC; lacking: {bookings} bookings, {refusals} refusals.")
        if found.rebuilding is not None:
            since, until = found.rebuilding
            self.stdout.write(f"Being computed anew: {since:%Y-%m-%d} to {until:%Y-%m-%d}.")
        if not found.is_of_this_cluster:
            raise rollups.RestoredElsewhere
        if found.as_of is None or found.at - found.as_of > _FAR_BEHIND:
            raise CommandError("They are far behind: is a worker of Celery at work, or a transaction open since then?")

    def _fill(self, **_: Any) -> None:  # noqa: ANN401 - the options of every command
        rows = 0
        while added := rollups.fill():
            rows += added
        self.stdout.write(f"{rows:,} bookings added; as of {_told(rollups.as_of())} UTC.")

    def _rebuild(self, *, since: datetime, until: datetime | None, **_: Any) -> None:  # noqa: ANN401 - as above
        end = until or timezone.now()
        if since >= end:
            raise CommandError("--from must be before --to.")
        with _progress("of the log read") as tell:
            rollups.rebuild(since, end, tell)
        self.stdout.write("Computed anew.")

    def _restored(self, **_: Any) -> None:  # noqa: ANN401 - the options of every command
        if rollups.state().is_of_this_cluster:
            self.stdout.write("Nothing to do: the roll-ups are of this cluster.")
            return
        with _progress("of the transaction ids taken") as tell:
            rollups.take_over(tell)
        self.stdout.write("The transaction ids are passed, and all is computed anew.")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is neither a date nor an instant, such as 2026-11-01") from None
    if not 1971 <= at.year <= 9000:
        raise argparse.ArgumentTypeError(f"{text} is not in the years 1971 to 9000")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _told(at: datetime | None) -> str:
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    with commands.bar(BarColumn(), TaskProgressColumn(), TextColumn(what), TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda share: progress.update(task, completed=share)
