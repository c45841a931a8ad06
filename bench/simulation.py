"""`python -m bench.simulation [ROWS]`: a million recorded operations of 1,000 tenants, and simulations over them.

Fills the database of DATABASE_URL, which must be one to throw away:

    python -m metering_site.embedded exec --data .data/bench-simulation -- python -m bench.simulation

Tokens are drawn as `manage.py replay --synthetic` draws them. Prints the median of three runs of each plan.
"""

import json
import os
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from time import monotonic
from typing import Any
from uuid import UUID

import django
from django.db import connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - models need the line above

from enforcement import traces  # noqa: E402
from enforcement.simulation import parallel, trials  # noqa: E402
from enforcement.simulation.trials import Trial  # noqa: E402
from plans.models import Plan, PlanStatus  # noqa: E402
from tenants import tokens  # noqa: E402
from tenants.models import Tenant  # noqa: E402

TENANTS, USERS, DAYS, RUNS = 1_000, 20, 30, 3
TASKS = (
    ("LLM2_DRAFT", "PATENT_DRAFTING", "TOKENS", "PRO_L"),
    ("LLM1_PRIOR_ART", "PRIOR_ART_SEARCH", "API_CALLS", "PRO_M"),
    ("LLM3_DIAGRAM", "DIAGRAM_GENERATION", "REQUESTS", "PRO_M"),
    ("PATENT_OPEN", "PRIOR_ART_SEARCH", "API_CALLS", None),
)
SHARES = (6, 2, 1, 1)
# What some tenants draft in a month and some do not; and a plan that promises less of everything.
TRIALS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("PRO", ("PATENT_DRAFTING.monthly_quota=200000",)),
    ("FREE", ()),
)
COLUMNS = (
    "id, tenant_id, reservation_id, status, attempt, user_key, feature_id, task_id, unit, model_class_id, plan_id, "
    "input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, api_calls, items, units, "
    "cost, certainty, late, occurred_at, recorded_at, meters, measures, charges, overruns, helds, ask, decision"
)
DECISION = json.dumps(
    {
        "mode": "ENFORCE", "on_failure": "OPEN", "policy_version": "4.1.7", "plan": "PRO",
        "caps": [[f"PLAN MAX_TOKENS_IN {UUID(int=5)}", 32_000]] * 9,
        "params": {"model_class": "PRO_L", "max_tokens_in": 1_200, "max_tokens_out": 500},
        "shaped": [], "estimated_cost": "0.0123", "hold": None,
        "limits": [["DAILY_QUOTA", 500_000, True, "plan PRO"]] * 6, "readings": [0] * 18,
    }
)  # fmt: skip


def fill(rows: int) -> None:
    """The tenants, and their operations of the last days."""
    plan = Plan.objects.get(code="PRO", status=PlanStatus.ACTIVE)
    names = [f"SIMULATED_{number:04}" for number in range(TENANTS)]
    now = datetime.now(UTC)
    for name in names:
        tenant, was_made = Tenant.objects.get_or_create(ati_id=name, name=name)
        if was_made:
            tokens.issue_root(tenant, plan, starts_at=now - timedelta(days=DAYS))
    tenants = list(Tenant.objects.filter(ati_id__in=names).order_by("ati_id").values_list("id", flat=True))
    with connection.cursor() as cursor:
        for back in (0, DAYS):
            cursor.execute("SELECT ledger_make_partition(%s)", [(now - timedelta(days=back)).date()])
        with cursor.copy(f"COPY usage_usagelog ({COLUMNS}) FROM STDIN") as copy:
            for row in operations(rows, tenants, plan.pk, now):
                copy.write_row(row)
        cursor.execute("ANALYZE usage_usagelog")


def operations(rows: int, tenants: list[UUID], plan: UUID, now: datetime) -> Iterator[tuple[Any, ...]]:
    """Rows of the log, in the order of time."""
    draw = random.Random(7)  # noqa: S311 - nothing secret
    span = DAYS * 86_400_000
    start = int(now.timestamp() * 1000) - span
    trace = traces.synthetic(rows, 7)
    for number, row in enumerate(trace):
        begun = start + span * number // rows
        ended = begun + draw.randint(200, 20_000)
        task, feature, unit, model_class = draw.choices(TASKS, SHARES)[0]
        sent, got = (row.input_tokens, row.output_tokens) if model_class else (0, 0)
        asked = draw.choice((100, 500, 1_000, 2_000)) if model_class else None
        ask = {"task": task, "estimate": {"input_tokens": sent if model_class else None, "max_output_tokens": asked}}
        yield (
            _id(ended, draw), draw.choice(tenants), _id(begun, draw), "COMPLETED", 0, f"u-{draw.randrange(USERS)}",
            feature, task, unit, model_class, plan, sent, 0, 0, got, 0, 1, 1, sent + got if unit == "TOKENS" else 1,
            sent * 2_500 + got * 10_000 if model_class else 1_000_000, "FINAL", False, _instant(begun), _instant(ended),
            [UUID(int=draw.getrandbits(128)) for _ in range(6)], ["UNITS", "UNITS", "COST", "COST", "SLOTS", "TOKENS"],
            [1] * 6, [0] * 6, [1] * 6, json.dumps(ask), DECISION,
        )  # fmt: skip


def _id(milliseconds: int, draw: random.Random) -> UUID:
    return UUID(int=milliseconds << 80 | 7 << 76 | draw.getrandbits(12) << 64 | 2 << 62 | draw.getrandbits(62))


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def measure(code: str, changes: tuple[str, ...], processes: int) -> None:
    """Simulate a plan on all of them, several times."""
    seconds = []
    for _ in range(RUNS):
        began = monotonic()
        trial = Trial(plan=Plan.objects.get(code=code, status=PlanStatus.ACTIVE), changes=changes)
        tenants = trials.whom(None, None)
        report = parallel.run(trial, tenants, now=datetime.now(UTC), days=DAYS, processes=processes)
        seconds.append(monotonic() - began)
    found = report.total
    refused = found.refused.requests
    print(
        f"{code} {' '.join(changes)}, {processes} processes: {found.calls.requests:,} operations of "
        f"{report.tenants:,} tenants, {refused:,} newly refused: median {median(seconds):.1f} s "
        f"({', '.join(f'{each:.1f}' for each in sorted(seconds))})",
        flush=True,
    )


if __name__ == "__main__":
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    began = monotonic()
    fill(rows)
    print(f"{rows:,} rows in {monotonic() - began:.0f} s; {os.getloadavg()[0]:.1f} load", flush=True)
    for code, changes in TRIALS:
        for processes in (2, 1):
            measure(code, changes, processes)
