"""How long pages and the summary take over many rows of the log, and how fast the roll-ups are filled.

`python -m bench.pages --rows 10000000` writes its part of docs/benchmarks.md; README.md says how it measures. The
database is that of DATABASE_URL; usage is generated in it where it has fewer rows.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import django
from rich.progress import track

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")
django.setup()

from django.core.management import call_command  # noqa: E402 - what follows needs the lines above
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from bench.run import QUIET, publish  # noqa: E402
from tenants import database, facts, tokens  # noqa: E402
from tenants.models import Role, Scope, Tenant, User  # noqa: E402
from usage import rollups, sums  # noqa: E402
from usage.sight import Sight  # noqa: E402

BEGIN, END = "<!-- pages: written by python -m bench.pages -->", "<!-- pages: end -->"
TENANT = "GENERATED_1"
DAYS = 31
_TABLES = (
    "usage_usagelog",
    "usage_usagerollup",
    "usage_tenantrollup",
    "usage_dayrollup",
    "usage_tenantdayrollup",
    "usage_userdayrollup",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and how it is called in the table."""

    name: str
    path: str
    query: Mapping[str, str]


def questions(since: str, until: str) -> Iterator[Question]:
    """A month of the tenant with most usage, by the API and in the browser."""
    month = {"from": since, "to": until}
    for by in ("day", "feature", "task", "user", "status"):
        yield Question(f"API: summary by {by}", "/api/v1/usage/summary", {"tenant": TENANT, "group_by": by, **month})
    yield Question(
        "API: summary by day of Asia/Kathmandu", "/api/v1/usage/summary",
        {"tenant": TENANT, "group_by": "day", "tz": "Asia/Kathmandu", **month},
    )  # fmt: skip
    yield Question(
        "API: summary by hour", "/api/v1/usage/summary", {"tenant": TENANT, "group_by": "hour", **month}
    )  # fmt: skip
    for name, query in (
        ("tokens by feature", {}),
        ("tokens by person", {"group_by": "user"}),
        ("latency by task", {"measure": "latency_p95", "group_by": "task"}),
    ):
        yield Question(f"Explore: 30 days {name}, with the 30 before", f"/t/{TENANT}/explore/", query)
    yield Question("Overview", f"/t/{TENANT}/", {})


@contextmanager
def stopwatch(seconds: list[float]) -> Iterator[None]:
    """Adds how long it took."""
    started = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - started)


def prepared(rows: int) -> str:
    """The tables filled, and what that took."""
    call_command("migrate", verbosity=0)
    call_command("seed", stdout=StringIO())
    have = database.rows("SELECT count(*) FROM usage_usagelog")[0][0]
    said = []
    if have < rows:
        out = StringIO()
        call_command("generate_usage", rows=rows - have, tenants=20, days=DAYS, stdout=out)
        said.append(f"Generated with manage.py generate_usage --tenants 20 --days {DAYS}: {out.getvalue().strip()}")
    waiting, _ = rollups.lacking()
    if waiting:
        spent: list[float] = []
        with stopwatch(spent):
            filled = 0
            while added := rollups.fill():
                filled += added
                print(f"{filled:,} rows rolled up", flush=True)
        said.append(f"Rolled up: {filled:,} rows in {spent[0]:,.0f} s, {filled / spent[0]:,.0f} a second.")
    for table in _TABLES:  # as autovacuum does in time
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    return "\n".join(said)


def clients() -> tuple[Client, dict[str, str], Client]:
    """A service with its headers, and the tenant's owner in a browser."""
    key = tokens.issue_key("bench", [Scope.READ], calls_per_second=1_000_000).text
    tenant = Tenant.objects.get(ati_id=TENANT)
    owner = User.objects.filter(tenant=tenant).first()
    if owner is None:
        owner = User.objects.create_user(
            "owner@generated.example", tenant=tenant, role=Role.OWNER, signup_token=tenant.root_token
        )
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(owner)
    return Client(SERVER_NAME="localhost"), {"Authorization": f"Bearer {key}"}, browser


def measured(repetitions: int) -> dict[str, list[float]]:
    """The seconds of each question, warm: the first time is not counted."""
    service, headers, browser = clients()
    today = datetime.now(UTC).date()
    found: dict[str, list[float]] = {}
    for asked in track(list(questions(str(today - timedelta(days=30)), str(today + timedelta(days=1)))), "Asking"):
        found[asked.name] = []
        for turn in range(repetitions + 1):
            client, extra = (service, headers) if asked.path.startswith("/api/") else (browser, {})
            with stopwatch(found[asked.name]):
                answer = client.get(asked.path, asked.query, headers=extra, secure=True)
            if answer.status_code != 200:
                raise SystemExit(f"{asked.name}: {answer.status_code}\n{answer.content.decode()[:2000]}")
            if not turn:
                found[asked.name].clear()
    return found


def checked(tenant: Tenant) -> str:
    """That the sums are right: what the roll-ups say and what the log says of a month. Raises SystemExit."""
    since = datetime.now(UTC) - timedelta(days=30)
    until = datetime.now(UTC) + timedelta(days=1)
    rolled: Any = sums.usage(_sight(tenant), sums.Span(since=since, until=until), ("bookings", "units", "cost"))
    logged = database.rows(
        "SELECT count(*), sum(units)::bigint, sum(cost)::bigint FROM usage_usagelog"
        " WHERE tenant_id = %s AND occurred_at >= %s AND occurred_at < %s",
        [tenant.id, since, until],
    )[0]
    if tuple(rolled[0].values()) != logged:
        raise SystemExit(f"The sums are wrong: {rolled[0]}, and the log says {logged}")
    return f"{logged[0]:,}"


def _sight(tenant: Tenant) -> Sight:
    return Sight(tenant=facts.tenant(tenant.id), user=None)


def written(prepared_by: str, found: Mapping[str, list[float]], of_tenant: str, repetitions: int) -> str:
    """The section of docs/benchmarks.md."""
    counts = {table: database.rows(f"SELECT count(*) FROM {table}")[0][0] for table in _TABLES}  # noqa: S608 - constants
    load = os.getloadavg()[0]
    lines = [
        f"`python -m bench.pages` on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load average {load:.1f}: "
        f"{counts['usage_usagelog']:,} rows of the log over {DAYS} days, {of_tenant} of them of the tenant that is "
        f"asked about, in the last 30 days. Roll-ups: {counts['usage_usagerollup']:,} rows by user, "
        f"{counts['usage_tenantrollup']:,} of tenants; {counts['usage_dayrollup']:,} of days by user, "
        f"{counts['usage_tenantdayrollup']:,} of days of tenants, {counts['usage_userdayrollup']:,} of days of users.",
        prepared_by,
        "",
        f"Time in the server for one request, of {repetitions} after a first one, in milliseconds:",
        "",
        "| request | median | largest |",
        "|---|---|---|",
        *(f"| {name} | {_ms(statistics.median(each))} | {_ms(max(each))} |" for name, each in found.items()),
    ]
    if load > QUIET:
        lines[0:0] = ["**The machine had other work to do: times are several times what they are alone.**", ""]
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f}"


def main() -> int:
    """Prepare, check, measure, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the log there are to be (10,000,000)")
    parser.add_argument("--repetitions", type=int, default=20, help="times each request is measured (20)")
    asked = parser.parse_args()
    said = prepared(asked.rows)
    of_tenant = checked(Tenant.objects.get(ati_id=TENANT))
    found = measured(asked.repetitions)
    publish(written(said, found, of_tenant, asked.repetitions), BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
