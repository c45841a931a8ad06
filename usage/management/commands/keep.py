"""`manage.py keep`: what must happen in time, whatever else is down."""

import argparse
import queue
import signal
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from tenants import commands
from usage import keeper


class Command(commands.TeachingCommand):
    """Runs the keeper until it is told to stop."""

    help = """\
Ends reservations that are past their deadline (every 2 seconds), removes what no longer counts, and makes the
log's partitions of the next three months. It needs the database alone.

Run at least one; any number may run at once. It survives the database going away, and stops at Ctrl-C or SIGTERM."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do everything that is due, and exit")
        parser.add_argument(
            "--interval",
            type=_seconds,
            default=keeper.INTERVAL_SECONDS,
            metavar="SECONDS",
            help="from one sweep to the next (default: 2)",
        )

    def handle(self, *, once: bool, interval: float, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        if not once:
            keeper.keep(_until_a_signal(), interval=interval)
            return
        try:
            keeper.once()
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database is away. {error}") from error


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 5:
        raise argparse.ArgumentTypeError("over 0, at most 5: a hold is to be released within 10 s")
    return seconds


def _until_a_signal() -> keeper.Wait:
    """A wait that SIGTERM and Ctrl-C end at once."""
    stops: queue.SimpleQueue[int] = queue.SimpleQueue()  # the one whose put() is safe in a signal handler
    asked = False

    def wait(seconds: float) -> bool:
        nonlocal asked
        if not asked:
            try:
                stops.get(timeout=seconds)
                asked = True
            except queue.Empty:
                pass
        return asked

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stops.put(got))
    return wait
