"""`manage.py reprice`: correct what calls cost, by the prices of their time."""

import argparse
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from plans import entitlements
from plans.money import usd
from tenants import commands, versions
from tenants.models import Tenant
from usage import repricing
from usage.models import LogArchive
from usage.repricing import Page, Summary

_SHOWN = 50
_YEARS = (1971, 9000)


class Command(commands.TeachingCommand):
    """Shows what booked calls should have cost, and books the differences."""

    help = """\
Looks at every call that occurred in a time, compares what it cost with the prices of that time as they are entered
now, and books the difference where there is one: a model had no price yet, or a price began earlier than it was
entered. First it shows how many calls, and how much more and less; --dry-run stops there.

Each difference is a row of the log of its own, CORRECTION, that refers to the row it corrects and counts in that
row's day and month; no row changes. Running it again finds nothing, and it may be stopped and started, and run
beside the traffic, at any time.

Passed over are calls that named no model or no counts (they cost what was held for them), API tasks (a task has one
price, without a history), and usage that was only reported and never committed."""

    def add_arguments(self, parser: CommandParser) -> None:
        when = "a date or an instant, UTC unless it says otherwise, such as 2026-11-01 or 2026-11-01T12:00+01:00"
        parser.add_argument("--from", dest="since", type=_instant, required=True, metavar="WHEN", help=when)
        parser.add_argument("--to", dest="until", type=_instant, metavar="WHEN", help="up to then (default: now)")
        parser.add_argument("--tenant", metavar="ATI_ID", help="this tenant alone")
        parser.add_argument("--dry-run", action="store_true", help="show what would be booked, and book nothing")

    def handle(
        self,
        *,
        since: datetime,
        until: datetime | None,
        tenant: str | None,
        dry_run: bool,
        **options: Any,  # noqa: ANN401 - the options of every command
    ) -> None:
        end = until or timezone.now()
        if since >= end:
            raise CommandError("--from must be before --to.")
        tenants = _tenants(tenant)
        versions.refresh(versions.CATALOGUE)
        catalogue = entitlements.catalogue()
        with _progress() as progress:
            bar = progress.add_task("looking", total=len(tenants))
            found = repricing.look(
                list(tenants), since, end, catalogue, reached=lambda done: progress.update(bar, completed=done)
            )
        archived = LogArchive.objects.end()
        if archived is not None and since.date() < archived:
            self.stdout.write(f"Calls booked before {archived} are archived, and stay as they are.")
        self.stdout.write(_told(found, tenants))
        differing = sum(found.differing.values())
        if dry_run or not differing:
            return
        booked = 0
        with _progress() as progress:
            bar = progress.add_task("booking", total=differing)

            def then(owner: UUID, page: Page) -> None:
                nonlocal booked
                for each in page.differing:
                    booked += repricing.book(owner, each)
                    progress.advance(bar)

            repricing.look(list(found.differing), since, end, catalogue, then=then)
        self.stdout.write(f"Corrections booked: {booked:,}.")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is neither a date nor an instant, such as 2026-11-01") from None
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise argparse.ArgumentTypeError(f"{text} is not in the years {_YEARS[0]} to {_YEARS[1]}")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _tenants(ati_id: str | None) -> dict[UUID, str]:
    if ati_id is not None:
        return {commands.tenant_named(ati_id).id: ati_id}
    return dict(Tenant.objects.order_by("ati_id").values_list("id", "ati_id"))


def _progress() -> Progress:
    return commands.bar(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())


def _told(found: Summary, tenants: dict[UUID, str]) -> str:
    unpriced = sum(found.unpriced.values())
    lines = [f"Calls priced by their model: {found.priced:,}."]
    if unpriced:
        names = ", ".join(sorted(found.unpriced))
        lines.append(f"Calls of models that had no price, and have none now: {unpriced:,} ({names}).")
    more, less = sum(found.more.values()), sum(found.less.values())
    differing = sum(found.differing.values())
    if not differing:
        return "\n".join([*lines, "Each cost what the prices of its time say: there is nothing to correct."])
    table = Table("Tenant", "Calls", "USD more", "USD less", "USD in all")
    for column in table.columns[1:]:
        column.justify = "right"
    dearest = sorted(found.differing, key=lambda each: found.less[each] - found.more[each])
    for each in dearest[:_SHOWN]:
        sums = (found.more[each], found.less[each], found.more[each] - found.less[each])
        table.add_row(tenants[each], f"{found.differing[each]:,}", *map(usd, sums))
    if len(dearest) > _SHOWN:
        table.add_row(f"{len(dearest) - _SHOWN:,} more tenants", "", "", "", "")
    table.add_section()
    table.add_row("all", f"{differing:,}", usd(more), usd(less), usd(more - less))
    return "\n".join(
        [
            *lines,
            "Calls that cost something else at the prices of their time:",
            commands.printed(table, width=100).rstrip(),
        ]
    )
