"""`manage.py seed`: the catalogue of a new installation."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from plans import catalogue, list_prices
from plans.catalogue import Outcome, Written
from tenants import commands


class Command(commands.TeachingCommand):
    """Loads plans/seed.yaml."""

    help = """\
Writes the catalogue of plans/seed.yaml into the database: features, tasks, model classes, providers with
their models and prices, and the plans FREE, PRO and ENTERPRISE.

Run it after every `migrate`, as often as you like. It adds what is missing and keeps what is there, so what
was edited in the admin stays as it was edited. What was deleted comes back: to retire a model, make it
inactive rather than deleting it. All is written, or after an error nothing.

--reset puts the file's values over yours. A plan that was ever live cannot change: where yours differs from the
file, a new revision takes its place for new tenants, and those who have the old one keep it. Rows that the
file does not know (further plans, models, prices from a later date) and the rules for everybody stay."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", action="store_true", help="put the file's values over an operator's")

    def handle(self, *, reset: bool, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        written: list[Written] = []
        try:
            content = catalogue.read()
            with commands.bar(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")) as progress:
                task = progress.add_task("", total=content.size())

                def tell(entry: Written) -> None:
                    written.append(entry)
                    progress.update(task, advance=1, description=f"{entry.kind} {entry.name}")

                catalogue.seed(content, reset=reset, tell=tell)
        except (catalogue.CatalogueError, list_prices.NotListed, ValueError) as problem:
            raise CommandError(f"Nothing was written. {problem}") from problem
        self.stdout.write(_summary(written))


def _summary(written: list[Written]) -> str:
    counts = Counter((entry.kind, entry.outcome) for entry in written)
    lines = [f"{'':14}" + "".join(f"{outcome:>8}" for outcome in Outcome)]
    lines += [
        f"{kind:14}" + "".join(f"{counts[kind, outcome]:8}" for outcome in Outcome)
        for kind in dict.fromkeys(entry.kind for entry in written)
    ]
    return "\n".join(lines)
