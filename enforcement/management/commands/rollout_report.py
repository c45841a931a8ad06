"""`manage.py rollout_report`: what gates that are only observed would have refused."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.core.management.base import CommandError, CommandParser
from rich.console import RenderableType
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.table import Table

from enforcement.explanation import GATE_OF
from enforcement.rollout import Found, Kind, Report, report
from plans import money
from tenants import commands

_SHOWN = 200
_TITLES = {
    Kind.OBSERVED: "Would have been refused, had it been enforced",
    Kind.OVERAGE: "Passed as overage: enforcing would not refuse it",
    Kind.REFUSED: "Was refused",
}


class Command(commands.TeachingCommand):
    """Reports what observed gates would have refused."""

    help = """\
Shows, by tenant and code, what gates that are only observed would have refused: how many requests, the first and the
last, their share of the tenant's requests and what they cost; beside it what enforced gates did refuse, and who is
observed now. Read it before you enforce a gate: switch one on the console under “Roll-out”.

A request counts when it ends, and open ones count too. It counts if it did not fit what had been used by then, the
requests before it included: enforced, those would not have been let through, and some later ones would fit.

  manage.py rollout_report                            all gates and tenants, 7 days
  manage.py rollout_report --days 1 --gate BUDGET     one gate
  manage.py rollout_report --tenant ACME --json       one tenant, for a program"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=_days, default=7, help="how far back to look, 1 to 90 (7)")
        parser.add_argument("--gate", metavar="GATE", help="this gate alone")
        parser.add_argument("--tenant", metavar="ATI_ID", help="this tenant alone")
        parser.add_argument("--json", action="store_true", help="one JSON object in place of the tables")

    def handle(self, *, days: int, gate: str | None, tenant: str | None, json: bool, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        now = datetime.now(UTC)
        with _progress() as tell:
            found = report(
                since=now - timedelta(days=days),
                now=now,
                tenant=None if tenant is None else commands.tenant_named(tenant),
                gate=_gate(gate),
                tell=tell,
            )
        self.stdout.write(_as_json(found) if json else _as_text(found, days))


def _days(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 90:
        raise argparse.ArgumentTypeError("a number of days, 1 to 90")
    return int(text)


def _gate(name: str | None) -> str | None:
    gates = list(dict.fromkeys(GATE_OF.values()))
    if name is not None and name.upper() not in gates:
        raise CommandError(f"There is no gate {name.upper()}. Known: {', '.join(gates)}.")
    return name and name.upper()


def _as_json(found: Report) -> str:
    return orjson.dumps(
        {
            "since": found.since,
            "until": found.until,
            "watched": [asdict(each) for each in found.watched],
            **{kind.lower(): [_row(each) for each in found.of(kind)] for kind in Kind},
        },
        option=orjson.OPT_UTC_Z,
    ).decode()


def _row(found: Found) -> dict[str, Any]:
    return asdict(found) | {"cost": money.usd(found.cost)}


def _as_text(found: Report, days: int) -> str:
    period = "24 hours" if days == 1 else f"{days} days"
    parts = [_watched(found)]
    for kind, title in _TITLES.items():
        if rows := found.of(kind):
            parts += _found(title, rows)
    if not found.found:
        parts.append(
            f"Nothing was beyond a limit in the last {period}.\n"
            "To watch a gate before it binds, observe it: on the console under “Roll-out”, for one tenant or all. "
            "Then look here again."
        )
    return (
        commands.printed(*parts)
        + f"The last {period} until {found.until:%Y-%m-%d %H:%M} UTC, read in {found.seconds:.1f} s."
    )


def _watched(found: Report) -> RenderableType:
    if not found.watched:
        return "Every gate binds for everybody.\n"
    table = Table("Gate", "For", "Mode", "Since (UTC)", "Why", title="Not enforced now", title_justify="left")
    for each in found.watched:
        since = f"{each.since:%Y-%m-%d %H:%M}" if each.since else "–"
        table.add_row(each.gate, each.whom, each.mode, since, each.reason)
    return table


def _found(title: str, rows: list[Found]) -> list[RenderableType]:
    table = Table("Gate", "Code", "Tenant", title=title, title_justify="left")
    for header in ("Requests", "Open", "Share", "USD"):
        table.add_column(header, justify="right")
    table.add_column("First (UTC)")
    table.add_column("Last (UTC)")
    for each in rows[:_SHOWN]:
        share = "–" if each.share is None else f"{each.share:.1%}"
        times = [f"{at:%Y-%m-%d %H:%M}" if at else "–" for at in (each.first, each.last)]
        cost = "–" if each.kind == Kind.REFUSED else money.usd(each.cost)
        table.add_row(
            each.gate, each.code, each.tenant, f"{each.requests:,}", f"{each.open:,}", share, cost, *times
        )  # fmt: skip
    if len(rows) <= _SHOWN:
        return [table]
    return [table, f"{len(rows):,} rows, of which {_SHOWN} are shown: --json has all, --tenant and --gate fewer."]


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    with commands.bar(BarColumn(), TaskProgressColumn(), TextColumn("of the log read")) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda share: progress.update(task, completed=share)
