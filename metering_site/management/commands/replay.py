"""`manage.py replay`: a trace of real calls, sent through the API and reconciled with the ledger."""

import argparse
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from enforcement import traces
from metering_site.embedded import folders, prepare
from metering_site.replay import asks, books, parties, report
from metering_site.replay.api import Unanswered
from metering_site.replay.run import Replay
from metering_site.replay.tally import Sum
from plans import entitlements
from tenants import commands

DEV_ENV = folders.DEFAULT_DATA / "dev.env"
MOST_PARTIES = 1000


class Command(commands.TeachingCommand):
    """Replays a trace."""

    help = """\
Sends every row of a trace to a running system as a service would: POST /enforce with the row's input tokens and a
bound for its output, then the commit with what the trace says was used. Ends with a table of what was permitted,
denied and logged, and with the audit of the whole ledger. Exit code 1 where the log has other tokens than the
permitted rows, where a row was not answered as it should be, or where the audit finds a breach.

TRACE is a CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens, as the Azure LLM inference traces
have them. Without one, --synthetic N draws N rows: tokens in log-normal with mean 6.999 and deviation 1.360 of the
logarithm, at most 7,437; tokens out likewise with 2.788, 0.847 and 1,899; arrivals Poisson, 2.567 a second. These
are fitted to Azure's "code" trace of 2023 (Patel et al., "Splitwise", ISCA 2024).

Rows go to the tenants ACME (PRO), GLOBEX (ENTERPRISE) and INITECH (FREE) in turn, and within each to the LLM tasks of
its plan in turn. More than three tenants (--tenants) are made as REPLAY_001, REPLAY_002 ... on ENTERPRISE. Quotas are
those of the plans, so a long trace on few tenants is denied in part: that is what the table shows.

A server that is away or busy is waited for, and the request repeated with its key and body, so nothing is booked
twice and nothing that was acknowledged is lost. After 120 s without an answer the replay ends early. Ctrl-C finishes
what is under way, then reports.

It also needs the database of that server (DATABASE_URL, found by itself beside `make run`): for further tenants,
for prices, and for reading the log at the end."""

    def add_arguments(self, parser: CommandParser) -> None:
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("trace", nargs="?", type=Path, metavar="TRACE.csv", help="the trace to send")
        source.add_argument("--synthetic", type=commands.number(1, 10_000_000), metavar="N", help="draw N rows instead")
        parser.add_argument("--seed", type=int, default=1, help="of the drawn rows; the same draws the same (1)")
        parser.add_argument("--url", help="the server (METERING_URL in the environment or .data/dev.env)")
        parser.add_argument("--key", help="a service key for any tenant (METERING_KEY, likewise)")
        parser.add_argument(
            "--tenants", type=commands.number(1, MOST_PARTIES), default=3, metavar="N", help="how many tenants call (3)"
        )
        parser.add_argument(
            "--speed", type=_speed, default=None, metavar="X|max", help="times real time, or as fast as it goes (max)"
        )
        parser.add_argument(
            "--concurrency", type=commands.number(1, 500), default=16, metavar="C", help="calls under way at once (16)"
        )
        parser.add_argument(
            "--estimate", default="p95", metavar="p95|fixed:N|max",
            help="output tokens to ask for: a percentile or the largest of the trace, or a number (p95)",
        )  # fmt: skip
        parser.add_argument(
            "--patience", type=commands.number(0, 10_000), default=10, metavar="N",
            help="how often a call that is refused by CONCURRENCY_LIMIT or RATE_LIMITED waits and asks again (10)",
        )  # fmt: skip

    def handle(self, *, trace: Path | None, synthetic: int, seed: int, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        now, run = datetime.now(UTC), uuid4().hex[:12]
        try:
            rows = traces.read(trace) if trace else traces.synthetic(synthetic, seed)
            bound = asks.bound_of(options["estimate"], rows)
            url, key = (_setting(options[name], f"METERING_{name.upper()}") for name in ("url", "key"))
            parties.require_key(key)
            senders = parties.find(options["tenants"], now)
            replay = Replay(
                url=url, key=key, asks=asks.spread(rows, senders, bound=bound, run=run),
                prices=parties.Prices(entitlements.catalogue(), now), concurrency=options["concurrency"],
                speed=options["speed"], patience=options["patience"],
            )  # fmt: skip
            report.in_trace(replay)
            replay.require_answer()
        except (traces.BadTrace, parties.NotReady, Unanswered, ValueError) as problem:
            raise CommandError(str(problem)) from None
        what = str(trace) if trace else f"drawn with seed {seed}"
        self.stdout.write(
            f"Run {run}: {len(rows):,} rows, {what}, from {_named(senders)}, "
            f"{bound:,} output tokens asked for each, {options['concurrency']} at once."
        )
        since = books.clock()
        connection.close()  # so that an outage in between does not leave a broken one
        with report.progress(replay) as watch:
            replay.run(watch)
        self._conclude(replay, run, senders, since)

    def _conclude(self, replay: Replay, run: str, senders: Sequence[parties.Party], since: datetime) -> None:
        logged = books.logged(run, senders, since)
        self.stdout.write(report.tables(replay, logged))
        try:
            call_command("audit_ledger", stdout=self.stdout)
            breached = []
        except SystemExit:  # its exit code; what it found is written above
            breached = ["The audit found breaches."]
        wrong = [*_wrong(replay, logged), *breached]
        if wrong:
            raise CommandError(" ".join(wrong))
        self.stdout.write("The log has exactly the calls, tokens and cost of the permitted rows.")


def _wrong(replay: Replay, logged: Sum) -> Iterator[str]:
    if replay.problem:
        yield f"It ended early: {replay.problem}."
    if failed := replay.tally.failed.total():
        yield f"{failed:,} rows were not answered as they should be."
    if logged != replay.tally.permitted:
        yield "The log differs from the permitted rows."


def _setting(given: str | None, name: str) -> str:
    """An option, else its variable in the environment, else in .data/dev.env. Raises NotReady."""
    found = given or os.environ.get(name) or prepare.read_env_file(DEV_ENV).get(name)
    if not found:
        option = name.removeprefix("METERING_").lower()
        raise parties.NotReady(f"Say --{option}, or set {name}; `make run` writes it to .data/dev.env.")
    return found


def _named(senders: Sequence[parties.Party]) -> str:
    first = ", ".join(f"{party.ati_id} ({party.plan})" for party in senders[:3])
    return first if len(senders) <= 3 else f"{first} and {len(senders) - 3:,} more on ENTERPRISE"


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    speed = float(text)
    if not 0 < speed <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is neither max nor a number above 0, at most 1,000,000")
    return speed


_speed.__name__ = "speed"
