"""What a percentile hold is worth: one trace under one budget, holding the maximum and holding a percentile.

`python -m bench.holds TRACE.csv` writes its part of docs/benchmarks.md; README.md says how it measures. The database
is that of DATABASE_URL; tenants and a plan are made in it.
"""

import argparse
import heapq
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import django
import orjson
from rich.progress import track

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")
django.setup()

from django.core.management import call_command  # noqa: E402 - what follows needs the lines above
from django.db import transaction  # noqa: E402
from django.test import Client  # noqa: E402

from bench.run import publish  # noqa: E402
from enforcement import traces  # noqa: E402
from enforcement.traces import Row  # noqa: E402
from plans import entitlements, money, pricing, promises  # noqa: E402
from plans.charges import Measure, PeriodKind  # noqa: E402
from plans.models import Plan, PlanStatus, PolicyRule, RuleKey, RuleScope  # noqa: E402
from plans.promises import FeaturePromise, Promises, RulePromise, TaskPromise  # noqa: E402
from tenants import tokens  # noqa: E402
from tenants.models import Scope, Tenant  # noqa: E402
from usage import estimates  # noqa: E402
from usage.models import HoldEstimate, UsageMeter  # noqa: E402

BEGIN, END = "<!-- holds: written by python -m bench.holds -->", "<!-- holds: end -->"
FEATURE, TASK, MODEL_CLASS = "PATENT_DRAFTING", "LLM2_DRAFT", "PRO_L"
# The dearest of its class: a cheaper one would stay within a small hold however many tokens it used.
MODEL = "claude-opus-5-5"
MOST_IN, MOST_OUT = 8_000, 2_000  # the caps of a call: just above the trace's largest, 7,437 and 1,899
# The trace does not say how long a call took.
SECONDS_TO_FIRST_TOKEN, SECONDS_A_TOKEN = 0.5, 0.03


@dataclass(frozen=True, slots=True)
class Scenario:
    """How many times as fast as in the trace calls come, how many average calls the budget pays for, and the floor."""

    arrivals: int
    calls: int
    floor: int


SCENARIOS = tuple(
    Scenario(arrivals, calls, floor) for floor in (256, MOST_OUT) for calls in (1_000, 100) for arrivals in (1, 10, 40)
)
PERCENTILES = (100, 95)


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of the calls; `cut` permits had fewer output tokens than the call needed. Money in nano-USD."""

    scenario: Scenario
    percentile: int
    budget: int
    full: int = 0
    shortened: int = 0
    cut: int = 0
    refused: int = 0
    first_refused: int | None = None
    used_then: int = 0
    open_sum: int = 0
    open_most: int = 0
    used: int = 0
    overrun: int = 0
    tokens: int = 0
    tokens_overrun: int = 0


class Running(NamedTuple):
    """A permitted call until it ends; the number decides between those that end together."""

    ends_at: float
    number: int
    reservation: str
    row: Row


class World:
    """The API in this process, the tenants' plan, and a tenant that has made the calls of `history` before."""

    def __init__(self, history: Sequence[Row]) -> None:
        call_command("migrate", verbosity=0)
        call_command("seed", stdout=StringIO())
        self._now = datetime.now(UTC)
        self._client = Client(SERVER_NAME="localhost")
        self._key = tokens.issue_key("bench", list(Scope), calls_per_second=1_000_000).text
        self._plan = _plan()
        models = {each.model_id: each for each in entitlements.catalogue().classes[MODEL_CLASS].active_models}
        self._prices = models[MODEL].price_at(self._now)
        self.estimate = self._estimate(history)

    def tenant(self) -> Tenant:
        """A new one on the plan."""
        name = f"HOLDS_{uuid4().hex[:12]}".upper()
        tenant = Tenant.objects.create(ati_id=name, name=name)
        tokens.issue_root(tenant, self._plan, starts_at=self._now - timedelta(days=40))
        return tenant

    def limit(self, tenant: Tenant, key: RuleKey, value: int, **fields: bool) -> None:
        """A rule for a tenant."""
        rule = {"scope": RuleScope.TENANT, "tenant": tenant, "key": key, "value": value, "reason": "bench"}
        PolicyRule.objects.create(**rule, **fields)

    def post(self, path: str, body: object, **headers: str) -> Any:  # noqa: ANN401 - JSON
        """The answer of the API, which must be one."""
        answer = self._client.post(
            f"/api/v1{path}", orjson.dumps(body), content_type="application/json", secure=True,
            headers={"Authorization": f"Bearer {self._key}", **headers},
        )  # fmt: skip
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.content.decode()}")
        return answer.json()

    def cost(self, row: Row) -> int:
        """What a call costs, in nano-USD."""
        assert self._prices is not None  # noqa: S101 - the seed has it
        return pricing.cost_nano_usd(
            self._prices, input_tokens=row.input_tokens, cached_input_tokens=0, cache_write_tokens=0,
            output_tokens=row.output_tokens,
        )  # fmt: skip

    def usage(self, row: Row, most: int = MOST_OUT) -> dict[str, Any]:
        """What a commit or event says of a call whose output ends at `most`."""
        used = {"input_tokens": row.input_tokens, "output_tokens": min(row.output_tokens, most)}
        return {"status": "success", "usage": used, "model": MODEL}

    def _estimate(self, history: Sequence[Row]) -> HoldEstimate:
        """Booked as events of last month, which touch no budget of this one."""
        tenant = self.tenant()
        at = (self._now.replace(day=1, hour=12) - timedelta(days=1)).isoformat()
        events = [
            {"id": str(row.number), "tenant": tenant.ati_id, "task": TASK, "occurred_at": at, **self.usage(row)}
            for row in history
        ]
        for start in range(0, len(events), 500):
            self.post("/usage/events", events[start : start + 500])
        estimates.compute([tenant.id])
        return HoldEstimate.objects.get(tenant=tenant, task=TASK)

    def learn(self, tenant: Tenant) -> None:
        """Give a tenant the estimate of those calls."""
        HoldEstimate.objects.create(
            tenant=tenant, task_id=TASK, samples=self.estimate.samples, computed_at=self.estimate.computed_at,
            input_tokens=self.estimate.input_tokens, output_tokens=self.estimate.output_tokens,
        )  # fmt: skip


@transaction.atomic
def _plan() -> Plan:
    """One class, no quota: the budget alone binds, and calls are shortened but never downgraded."""
    revision = Plan.objects.filter(code="HOLDS").count() + 1
    plan = Plan.objects.create(code="HOLDS", revision=revision, name="Holds")
    promised = Promises(
        max_seats=None,
        monthly_budget_nano_usd=None,
        features=frozenset({FeaturePromise(FEATURE)}),
        tasks=frozenset({TaskPromise(TASK, MODEL_CLASS, allow_downgrade=False, classes=frozenset({MODEL_CLASS}))}),
        rules=frozenset({RulePromise(RuleKey.MAX_TOKENS_IN, MOST_IN), RulePromise(RuleKey.MAX_TOKENS_OUT, MOST_OUT)}),
    )
    promises.write(plan, promised)
    Plan.objects.filter(code="HOLDS", status=PlanStatus.ACTIVE).update(status=PlanStatus.DEPRECATED)
    plan.status = PlanStatus.ACTIVE
    plan.save(update_fields=["status"])
    return plan


def played(world: World, rows: Sequence[Row], scenario: Scenario, percentile: int) -> Result:
    """The calls one after the other, in the order in which they would begin and end; each ends by its commit."""
    budget = scenario.calls * sum(world.cost(row) for row in rows) // len(rows)
    result = Result(scenario=scenario, percentile=percentile, budget=budget)
    tenant = world.tenant()
    world.learn(tenant)
    world.limit(tenant, RuleKey.MONTHLY_BUDGET, budget)
    world.limit(tenant, RuleKey.MIN_TOKENS_OUT, scenario.floor)
    if percentile < 100:
        world.limit(tenant, RuleKey.HOLD_PERCENTILE, percentile, includes_money=True)
    running: list[tuple[Running, int]] = []

    def end_first() -> None:
        call, most = heapq.heappop(running)
        world.post(f"/reservations/{call.reservation}/commit", world.usage(call.row, most))

    for number, row in enumerate(rows, start=1):
        at = (row.after_seconds - rows[0].after_seconds) / scenario.arrivals
        while running and running[0][0].ends_at <= at:
            end_first()
        body = {"tenant": tenant.ati_id, "task": TASK, "estimate": {"input_tokens": row.input_tokens}}
        answer = world.post("/enforce", body, **{"Idempotency-Key": str(number)})
        if answer["allowed"]:
            most = answer["params"]["max_tokens_out"]
            lasts = SECONDS_TO_FIRST_TOKEN + SECONDS_A_TOKEN * min(row.output_tokens, most)
            heapq.heappush(running, (Running(at + lasts, number, answer["reservation_id"], row), most))
            result.full += most == MOST_OUT
            result.shortened += most < MOST_OUT
            result.cut += row.output_tokens > most
        elif answer["code"] == "BUDGET_EXCEEDED":
            if result.first_refused is None:
                result.first_refused = number
                result.used_then = money.nano_usd(answer["binding"]["used"])
            result.refused += 1
        else:
            raise SystemExit(f"{answer['code']}: {answer['message']}")
        result.open_sum += len(running)
        result.open_most = max(result.open_most, len(running))
    while running:
        end_first()
    _read(tenant, result)
    return result


def _read(tenant: Tenant, result: Result) -> None:
    """What the ledger says of it."""
    months = UsageMeter.objects.for_tenant(tenant).filter(period=PeriodKind.MONTH)
    money, drafted = (months.get(measure=measure) for measure in (Measure.COST, Measure.UNITS))
    assert money.reserved == drafted.reserved == 0  # noqa: S101 - all has ended
    result.used, result.overrun = money.used, money.overrun
    result.tokens, result.tokens_overrun = drafted.used, drafted.overrun


def written(results: Sequence[Result], estimate: HoldEstimate, trace: str, rows: int) -> str:
    """The section of docs/benchmarks.md."""
    held = ", ".join(f"P{each} {estimate.output_tokens[each - 1]:,}" for each in (50, *reversed(PERCENTILES)))
    lines = [
        f"`python -m bench.holds {trace}` on {datetime.now(UTC):%Y-%m-%d}: {rows:,} calls; the {estimate.samples:,} "
        f"before them are the history, with output tokens of {held}.",
    ]
    for floor, of_floor in groupby(results, key=lambda each: each.scenario.floor):
        can = "which calls may be shortened to" if floor < MOST_OUT else "so no call can be shortened"
        lines += [
            "",
            f"MIN_TOKENS_OUT {floor:,}, {can}:",
            "",
            "| budget, in average calls | arrivals | open: mean (most) | hold | in full | shortened | of them cut off "
            "| refused | first refused call | spent by then | spent at the end | overrun tokens | overrun USD |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
            *(_line(each) for each in of_floor),
        ]
    return "\n".join(lines)


def _line(found: Result) -> str:
    scenario, calls = found.scenario, found.full + found.shortened + found.refused
    cells = [
        f"{scenario.calls:,}",
        f"×{scenario.arrivals}",
        f"{found.open_sum / calls:.1f} ({found.open_most})",
        "maximum" if found.percentile == 100 else f"P{found.percentile}",
        f"{found.full:,}",
        f"{found.shortened:,}",
        f"{found.cut:,}",
        f"{found.refused:,}",
        "none" if found.first_refused is None else f"{found.first_refused:,}",
        f"{found.used_then / found.budget:.0%}",
        f"{found.used / found.budget:.1%}",
        f"{found.tokens_overrun:,} ({found.tokens_overrun / found.tokens:.2%})",
        f"{found.overrun / 10**9:.4f} ({found.overrun / found.used:.2%})",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Run all scenarios and write them down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path, metavar="TRACE.csv")
    chosen = parser.parse_args()
    try:
        rows = traces.read(chosen.trace)
    except traces.BadTrace as problem:
        print(problem, file=sys.stderr)
        return 1
    half = len(rows) // 2
    world = World(rows[:half])
    runs = [(scenario, percentile) for scenario in SCENARIOS for percentile in PERCENTILES]
    results = [played(world, rows[half:], *run) for run in track(runs, description="scenarios")]
    section = written(results, world.estimate, chosen.trace.name, len(rows) - half)
    publish(section, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
