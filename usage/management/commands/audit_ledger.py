"""`manage.py audit_ledger`: whether every meter, reservation and log row agree."""

from dataclasses import asdict
from typing import Any

import orjson
from django.core.management.base import CommandParser
from rich.table import Table

from tenants import commands
from tenants.models import Tenant
from tenants.words import counted
from usage.audit import Report, audit

_SHOWN = 200


class Command(commands.TeachingCommand):
    """Audits the ledger; exits with 1 where anything is wrong."""

    help = """\
Checks by SQL that the ledger adds up: nothing overspent (I1), nothing lost (I2), every hold counted (I3), every
overrun counted (I4), every reservation ended once (I5) and whole (I6), none left open past its deadline (I11), and
nothing that refers to what does not exist.

Running periods are checked each time, an ended one until it was found right once; --full checks everything that is
kept. It is fast enough to run each minute. The exit code is 0 where all is right, and 1 where anything is not."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", metavar="ATI_ID", help="this tenant alone")
        parser.add_argument("--full", action="store_true", help="everything that is kept, verified periods too")
        parser.add_argument("--json", action="store_true", help="one JSON object in place of the table")

    def handle(self, *, tenant: str | None, full: bool, json: bool, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        report = audit(None if tenant is None else [commands.tenant_named(tenant).id], full=full)
        self.stdout.write(_as_json(report) if json else _as_text(report))
        if not report.is_clean:
            raise SystemExit(1)


def _as_json(report: Report) -> str:
    return orjson.dumps({"is_clean": report.is_clean, **asdict(report)}).decode()


def _as_text(report: Report) -> str:
    looked = (
        f"{counted(report.tenants, 'tenant')}, {counted(report.meters, 'meter')}, "
        f"{counted(report.reservations, 'reservation')} and {counted(report.log_rows, 'log row')} "
        f"in {report.seconds:.1f} s"
    )
    if report.is_clean:
        return f"The ledger is right: {looked}."
    names = dict(Tenant.objects.values_list("id", "ati_id"))
    table = Table("", "Tenant", "What", "Expected", "Found")
    for breach in report.breaches[:_SHOWN]:
        tenant = "" if breach.tenant is None else names.get(breach.tenant, str(breach.tenant))
        table.add_row(breach.invariant, tenant, breach.subject, breach.expected, breach.found)
    rest = f", of which {_SHOWN} are shown," if len(report.breaches) > _SHOWN else ""
    return f"{commands.printed(table)}{len(report.breaches):,} breaches{rest} in {looked}."
