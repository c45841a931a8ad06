"""`manage.py prices`: the vendors' list prices beside ours."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.table import Table

from plans import catalogue, money, price_changes
from plans.price_changes import Change, Due
from tenants import commands


class Command(commands.TeachingCommand):
    """Compares, and takes over, the vendors' list prices."""

    help = """\
Compares the prices of our active models with the vendors' list in the genai-prices package, as it is installed here.
Nothing is fetched: a newer list comes with a newer package (raise it in requirements.txt, install, run this).

  prices diff    shows what the list would change: old, new, how many times as dear, from when
  prices update  writes that, as new prices with their start; what was in force before stays in the history
  prices check   says nothing and exits with 0 where ours are the list's; shows what is due and exits with 1 where a
                 change is due, or where the list has no price (any more) for a model of ours

A change that the list dates begins on its date, even where that has passed: usage since then was booked at the old
price, and `manage.py reprice` shows and corrects that. A change without a date begins now. A model that has no price
at all gets the list's from the beginning.

Where a price becomes more than ten times as dear or as cheap, update writes nothing and asks to be run again with
--yes. Prices that you agreed with a vendor are overwritten by nothing, but the list's come after them: look at the
diff first."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["diff", "update", "check"], help="what to do, see above")
        parser.add_argument("--yes", action="store_true", help="update: also where a price changes more than tenfold")

    def handle(self, *, action: str, yes: bool, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        now, since = timezone.now(), catalogue.read().prices_from
        if action == "update":
            found = price_changes.update(now, since=since, allow_large=yes)
        else:
            found = price_changes.due(now, since=since)
        is_due = bool(found.changes or found.missing)
        if is_due or action != "check":
            self.stdout.write(_told(found, now))
        large = sum(change.is_large for change in found.changes)
        if action == "update" and large and not yes:
            raise CommandError(f"Nothing was written. Prices that change more than tenfold: {large}. Sure? Add --yes.")
        if action == "update" and found.changes:
            self.stdout.write(f"Prices written: {len(found.changes)}.")
        if action == "check" and is_due:
            raise SystemExit(1)


def _told(found: Due, now: datetime) -> str:
    lines = []
    if found.changes:
        lines.append(_table(found.changes))
    else:
        lines.append("Every price is the list's.")
    lines += [f"Not priced by the list: {model.provider_id} {model} ({why})." for model, why in found.missing]
    past = [change.valid_from for change in found.changes if change.old is not None]
    if past and min(past) < now:
        lines.append(
            f"Some begin in the past. What that changes: manage.py reprice --from {min(past):%Y-%m-%d} --dry-run"
        )
    return "\n".join(lines)


def _table(changes: tuple[Change, ...]) -> str:
    table = Table("Model", "Price of a million", *("Old USD", "New USD", "Factor", "From (UTC)"))
    for column in table.columns[2:5]:
        column.justify = "right"
    for change in changes:
        table.add_row(
            f"{change.model.provider_id} {change.model}",
            price_changes.label(change.kind),
            "–" if change.old is None else money.usd(change.old),
            money.usd(change.new),
            _factor(change),
            f"{change.valid_from:%Y-%m-%d %H:%M}",
        )
    return commands.printed(table).rstrip()


def _factor(change: Change) -> str:
    if change.factor is None:
        return "new" if change.old is None else "was free"
    return f"× {float(change.factor):.4g}{' (!)' if change.is_large else ''}"
