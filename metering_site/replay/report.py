"""How a replay is told: a bar while it runs, and the tables after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from enforcement.traces import percentile
from metering_site.replay import tally as counts
from metering_site.replay.run import Replay
from metering_site.replay.tally import Sum
from plans import money

WIDTH = 100


@contextmanager
def progress(replay: Replay) -> Iterator[Callable[[], None]]:
    """A live bar on the terminal (nothing where there is none); call what it gives to bring it up to date."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(replay.asks))
        began_at = monotonic()

        def show() -> None:
            tally = replay.tally
            rate = tally.answers / max(0.001, monotonic() - began_at)
            said = f"{tally.permitted.calls:,} permitted, {tally.denied.total():,} denied, {rate:,.0f} requests/s"
            if retried := tally.retried.total():
                said += f", {retried:,} retries"
            bar.update(task, completed=tally.rows, description=said)

        yield show


def tables(replay: Replay, logged: Sum) -> str:
    """The account of all rows, the times of the requests, and what had to be repeated."""
    console = Console(width=WIDTH, force_terminal=False, markup=False)
    with console.capture() as captured:
        console.print(_account(replay, logged))
        console.print(_times(replay))
        for line in _incidents(replay):
            console.print(line)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _account(replay: Replay, logged: Sum) -> Table:
    table = Table("", *_right("rows", "tokens in", "tokens out", "USD"), box=box.SIMPLE)
    tally = replay.tally
    for name, found in (("in the trace", in_trace(replay)), ("permitted", tally.permitted), ("logged", logged)):
        table.add_row(
            name, f"{found.calls:,}", f"{found.input_tokens:,}", f"{found.output_tokens:,}",
            money.usd(found.cost_nano_usd),
        )  # fmt: skip
    table.add_section()
    for code, number in tally.denied.most_common():
        table.add_row(f"denied: {code}", f"{number:,}")
    if tally.unmetered:
        table.add_row("let through unmetered (mode OFF)", f"{tally.unmetered:,}")
    for problem, number in tally.failed.most_common():
        table.add_row(f"failed: {problem}", f"{number:,}")
    table.add_row("processed", f"{tally.rows:,}", end_section=True)
    return table


def _times(replay: Replay) -> Table:
    table = Table("", *_right("requests", "p50 ms", "p95 ms", "p99 ms", "max ms"), box=box.SIMPLE)
    for kind in (counts.ENFORCE, counts.COMMIT):
        seconds = replay.tally.seconds(kind)
        shown = (f"{1000 * percentile(seconds, percent):.1f}" for percent in (50, 95, 99, 100))
        table.add_row(kind, f"{len(seconds):,}", *shown)
    return table


def _incidents(replay: Replay) -> Iterator[str]:
    tally = replay.tally
    rate = tally.answers / max(0.001, replay.seconds)
    yield f"{replay.seconds:.1f} s, {rate:,.0f} requests per second"
    if tally.waits:
        yield f"asked again after CONCURRENCY_LIMIT or RATE_LIMITED: {tally.waits:,}"
    if tally.retried:
        yield "sent again: " + ", ".join(f"{why} {number:,}" for why, number in tally.retried.most_common())
    if tally.late or tally.events:
        yield f"booked after their reservation had expired: {tally.late:,}, as usage events: {tally.events:,}"


def in_trace(replay: Replay) -> Sum:
    """The whole trace, at what it would have cost on each task's default model class."""
    found = Sum()
    for ask in replay.asks:
        row = ask.row
        found.add(row, replay.prices.cost_nano_usd(ask.model_class, row.input_tokens, row.output_tokens))
    return found


def _right(*names: str) -> Iterator[Column]:
    return (Column(name, justify="right") for name in names)
