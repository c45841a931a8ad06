"""`manage.py simulate_plan`: what a plan would have done to the calls that were made."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from enforcement import traces
from enforcement.models import MOST_DAYS
from enforcement.simulation import parallel, runs, traced, trials
from enforcement.simulation.runs import Report
from enforcement.simulation.trials import DRAFT, NothingToTry, Trial
from tenants import commands


class Command(commands.TeachingCommand):
    """Simulates a plan."""

    help = """\
Decides the calls of the last days again, under the terms of now and under those of a plan, and shows who would newly
be refused: by which gate, how many calls, when first, and what those calls really cost. Nothing is written to the
ledger. The newest draft of PLAN is tried, or its active revision where there is no draft; --set changes promises of
it first. Without PLAN the changes are made to each tenant's own plan.

  manage.py simulate_plan PRO                                 the draft, on all who hold the plan PRO
  manage.py simulate_plan FREE --tenant ACME                  what ACME would lose if it were on FREE
  manage.py simulate_plan PRO --set PATENT_DRAFTING.daily_quota=10000 --set MAX_TOKENS_OUT=2000
  manage.py simulate_plan --set CONCURRENCY_LIMIT=2 --days 7  two calls at once for everybody, each in its own plan
  manage.py simulate_plan PRO --trace trace.csv               over a trace in place of the log

Paths are those of `manage.py plan draft --set`: FEATURE.daily_quota, TASK.default_class, monthly_budget, or a cap or
gate such as MAX_TOKENS_OUT, for one task or feature MAX_TOKENS_OUT@TASK.

Each side begins with what was used of the running day and month when the first call was made; what a side permits it
holds until the recorded end of the call and then books as it was used; a call that a side refuses uses nothing.
Configuration and prices are those of now on both sides. A trace (TIMESTAMP, ContextTokens, GeneratedTokens, as the
Azure LLM inference traces have them) is spread over the tenants in turn and over the LLM tasks of each one's plan;
it begins with nothing used and says nothing of how long calls took, so concurrency is not tried.

A draft that was tried as it is on all who hold its plan may be published afterwards."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan", nargs="?", metavar="PLAN", help="the code of a plan")
        parser.add_argument("--revision", type=_revision, metavar="N|draft", help="this revision of it")
        parser.add_argument(
            "--set", dest="changes", action="append", default=[], metavar="PATH=VALUE", help="change a promise first"
        )
        who = parser.add_mutually_exclusive_group()
        who.add_argument("--tenant", metavar="ATI_ID", help="this tenant alone, whatever plan it has")
        who.add_argument("--all", dest="everybody", action="store_true", help="all tenants, whatever plan they have")
        parser.add_argument(
            "--days",
            type=commands.number(1, MOST_DAYS),
            default=30,
            metavar="N",
            help=f"1 to {MOST_DAYS} days back (30)",
        )
        parser.add_argument("--trace", type=Path, metavar="FILE", help="a CSV file in place of the log")
        parser.add_argument(
            "--top", type=commands.number(1, 1_000), default=20, metavar="N", help="tenants to show (20)"
        )
        parser.add_argument(
            "--processes", type=commands.number(1, 64), default=min(4, os.cpu_count() or 1), metavar="N",
            help="how many work at once (one for each processor, at most 4)",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="one JSON object in place of the tables")

    def handle(self, *, plan: str | None, changes: list[str], top: int, json: bool, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        now, begun = timezone.now(), monotonic()
        try:
            if options["revision"] is not None and plan is None:
                raise NothingToTry("revision", "--revision is of a plan: name it.")
            wanted = None if plan is None else trials.plan_named(plan, options["revision"])
            trials.require_something(wanted, changes)
            trial = Trial(plan=wanted, changes=changes)
            tenant = None if options["tenant"] is None else trials.tenant_named(options["tenant"])
            tenants = trials.whom(wanted, tenant, everybody=options["everybody"])
            if not tenants:
                raise NothingToTry("plan", f"Nobody holds the plan {plan} now. Try it on others: --tenant, or --all.")
            days, source = _source(options["trace"], options["days"], tenants)
            with _progress() as tell:
                report = parallel.run(
                    trial, tenants, now=now, days=days, source=source, tell=tell, processes=options["processes"]
                )
        except (NothingToTry, traces.BadTrace) as problem:
            raise CommandError(str(problem)) from None
        is_noted = tenant is None and options["trace"] is None and trials.note(trial, now)
        seconds = monotonic() - begun
        if json:
            about = {"plan": None if wanted is None else str(wanted), "changes": changes, "seconds": round(seconds, 1)}
            self.stdout.write(orjson.dumps(about | report.wire(top)).decode())
            return
        name = f"{wanted or 'Their own plans'}{', changed' if changes else ''}"
        self.stdout.write(_told(report, name, top, seconds))
        if is_noted:
            self.stdout.write(f"{wanted} counts as simulated until its next edit.")


def _source(trace: Path | None, days: int, tenants: list[UUID]) -> tuple[int, runs.Source]:
    if trace is None:
        return days, runs.of_log
    rows = traces.read(trace)
    return traced.days_of(rows), traced.of_trace(rows, tenants)


def _told(report: Report, name: str, top: int, seconds: float) -> str:
    found = report.wire(top)
    total = found["total"]
    speed = f"{total['requests'] / seconds:,.0f} a second" if seconds else ""
    lines = [
        f"{name}: {total['requests']:,} calls of {found['tenants_simulated']:,} tenants, {found['from']} to "
        f"{found['until']}, in {seconds:.1f} s ({speed})."
    ]
    newly = total["newly_refused"]
    if newly["requests"]:
        lines.append(
            f"{newly['requests']:,} calls of {found['tenants_newly_refused']:,} tenants would newly be refused, "
            f"the first at {newly['first_at']}. They cost USD {newly['cost']} of {total['cost']}."
        )
        lines.append(commands.printed(_by("Newly refused by", newly["by"])))
        lines.append(commands.printed(_tenants(found["tenants"])))
    else:
        lines.append("No call would newly be refused.")
    if total["shaped"]:
        lines.append(commands.printed(_by("Permitted with less, or on another class", total["shaped"])))
    if total["newly_permitted"]["requests"]:
        lines.append(commands.printed(_by("Newly permitted; refused now by", total["newly_permitted"]["by"])))
    if total["observed"]:
        lines.append(commands.printed(_by("Only observed yet, and would refuse", total["observed"])))
    return "\n".join(line.rstrip("\n") for line in lines)


def _by(title: str, rows: list[Mapping[str, Any]]) -> Table:
    table = Table(title, "Calls", "Cost (USD)", "First (UTC)")
    for row in rows:
        table.add_row(row.get("code") or row["param"], f"{row['requests']:,}", row["cost"], row["first_at"])
    return _aligned(table)


def _tenants(rows: list[Mapping[str, Any]]) -> Table:
    table = Table("Tenant", "Calls", "Newly refused", "Cost of those (USD)", "First (UTC)", "By")
    for row in rows:
        newly = row["newly_refused"]
        if newly["requests"]:
            codes = ", ".join(f"{each['code']} {each['requests']:,}" for each in newly["by"])
            table.add_row(
                row["tenant"], f"{row['requests']:,}", f"{newly['requests']:,}", newly["cost"], newly["first_at"], codes
            )
    return _aligned(table)


def _aligned(table: Table) -> Table:
    for column in table.columns:
        if column.header in {"Calls", "Newly refused", "Cost (USD)", "Cost of those (USD)"}:
            column.justify = "right"
    return table


@contextmanager
def _progress() -> Iterator[Callable[[runs.Progress], None]]:
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with commands.bar(*columns) as bar:
        task = bar.add_task("", total=1.0)

        def tell(progress: runs.Progress) -> None:
            words = f"{progress.operations:,} operations, {progress.done:,} of {progress.tenants:,} tenants"
            bar.update(task, completed=progress.share, description=words)

        yield tell


def _revision(text: str) -> int | str:
    if text == DRAFT:
        return text
    return int(text)


_revision.__name__ = "revision"
