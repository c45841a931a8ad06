"""Usage that never happened, for trying pages and measuring them: log rows as the ledger writes them, by COPY.

What is charged is on the meters in the same transaction, so the audit stays clean, and generating may be stopped and
started at any time. Reservations are left out, as they are pruned two days after their end.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection, transaction

from plans.charges import Charge, Measure, PeriodKind
from plans.models import Plan, PlanStatus, RolloutGate, Task, TaskKind, Unit
from tenants import database, facts, tokens
from tenants.models import Tenant
from usage import meters

TOGETHER = 20_000
"""Rows in one transaction."""

_COLUMNS = (
    "id", "tenant_id", "reservation_id", "status", "user_key", "occurred_at", "recorded_at", "task_id", "feature_id",
    "unit", "model_class_id", "model", "api_code", "plan_id", "input_tokens", "cached_input_tokens",
    "cache_write_tokens", "output_tokens", "reasoning_tokens", "api_calls", "items", "units", "cost", "latency_ms",
    "meters", "measures", "charges", "overruns", "helds", "ask", "decision", "attempt", "certainty", "late",
)  # fmt: skip
_COPY = f"COPY usage_usagelog ({', '.join(_COLUMNS)}) FROM STDIN"
_STATUSES, _SHARES, _REFUSED = ("COMPLETED", "FAILED", "RELEASED", "EXPIRED"), (94, 3, 2, 1), 0.02
# Class, model, nano-USD a token in and out, milliseconds to the first token and for each further one.
_CLASSES = (
    ("BASE_S", "gpt-4o-mini", 150, 600, 300, 8), ("BASE_M", "claude-haiku-4-5", 1_000, 5_000, 400, 10),
    ("PRO_M", "gpt-4o", 2_500, 10_000, 500, 15), ("PRO_L", "claude-sonnet-4-5", 3_000, 15_000, 700, 20),
)  # fmt: skip
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 16, 14, 16, 18, 18, 16, 12, 8, 6, 4, 3, 2, 1)
_ADD_TO_METERS = """
    INSERT INTO usage_usagemeter AS m (id, tenant_id, feature_id, measure, period, period_start, period_end, used,
                                       reserved, overrun, archived)
    SELECT *, 0, 0, 0 FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                                  %s::timestamptz[], %s::bigint[])
    ON CONFLICT (id) DO UPDATE SET used = m.used + EXCLUDED.used, verified_at = NULL
"""
_REFUSE = """
    INSERT INTO usage_denial AS d (id, tenant_id, user_key, feature_id, task_id, code, message, decision, minute,
                                   bucket, count, last_at)
    SELECT DISTINCT ON (tenant, minute, bucket) ledger_uuid7(at), tenant, name, feature, task,
           'DAILY_QUOTA_EXCEEDED', 'Generated.', '{}', minute, bucket, 1, at
      FROM (SELECT *, date_trunc('minute', at) AS minute, abs(hashtext(name)) %% 60 AS bucket
              FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
                   AS r(tenant, name, feature, task, at)) AS refused
    ON CONFLICT (tenant_id, code, minute, bucket) DO UPDATE SET count = d.count + 1, is_rolled = false
"""


class NoCatalogue(LookupError):
    """There is nothing seeded to use."""


class Day(NamedTuple):
    """A feature's meters of one day of a tenant, in meter order, as rows of _ADD_TO_METERS without an amount."""

    rows: list[tuple[Any, ...]]
    measures: list[str]
    text: str


class _Company:
    """A tenant that uses things."""

    def __init__(self, tenant: Tenant, users: int) -> None:
        self.id, self.users = tenant.id, users
        self._facts = facts.tenant(tenant.id)
        self._ends = datetime.min.replace(tzinfo=UTC)
        self._days: dict[str, Day] = {}

    def day(self, feature: str, at: datetime) -> Day:
        """The meters of a call: the feature's units and the tenant's money, of day and month, and its slots.

        Asked for one instant after the other.
        """
        if at >= self._ends:
            self._days = {}
        if feature not in self._days:
            self._days[feature] = self._bound(feature, at)
        return self._days[feature]

    def _bound(self, feature: str, at: datetime) -> Day:
        bound = meters.bind(self._facts, [_charge(*each, feature) for each in _MEASURED], at)
        rows = [
            (each.meter, self.id, each.charge.feature, each.charge.measure.value, each.charge.period.value,
             each.period.start, each.period.end)
            for each in bound
        ]  # fmt: skip
        self._ends = next(each.period.end for each in bound if each.charge.period is PeriodKind.DAY) or at
        measures = [each.charge.measure.value for each in bound]
        ids = ",".join(str(each.meter) for each in bound)
        return Day(rows, measures, f"{{{ids}}}\t{{{','.join(measures)}}}")


class _Call(NamedTuple):
    """What calls of one task and class have in common; the texts are parts of a line of COPY."""

    feature: str
    unit: str
    is_llm: bool
    price_in: int
    price_out: int
    price_of_a_unit: int
    milliseconds: tuple[int, int]
    named: str
    decided: str


_MEASURED = (
    (Measure.UNITS, PeriodKind.DAY), (Measure.UNITS, PeriodKind.MONTH), (Measure.COST, PeriodKind.DAY),
    (Measure.COST, PeriodKind.MONTH), (Measure.SLOTS, PeriodKind.OPEN),
)  # fmt: skip


def _charge(measure: Measure, period: PeriodKind, feature: str) -> Charge:
    return Charge(
        gate=RolloutGate.DAILY_QUOTA, measure=measure, period=period, amount=0, limit=None, enforced=False,
        feature=feature if measure is Measure.UNITS else None,
    )  # fmt: skip


def generate(
    rows: int, *, tenants: int, days: int, users: int, seed: int, now: datetime,
    tell: Callable[[int], None] = lambda rows: None,
) -> None:  # fmt: skip
    """Write `rows` rows of the last days, oldest first; the first of the tenants GENERATED_1... has most of them.

    `tell` hears how many are written. Raises NoCatalogue before a seed.
    """
    plan = Plan.objects.filter(code="ENTERPRISE", status=PlanStatus.ACTIVE).first()
    tasks = list(Task.objects.select_related("feature").order_by("code"))
    if plan is None or not tasks:
        raise NoCatalogue("There is no plan ENTERPRISE, or no task: run manage.py seed.")
    companies = [_Company(_tenant(number + 1, plan, now - timedelta(days=400)), users) for number in range(tenants)]
    _make_partitions(now - timedelta(days=days + 1), now)
    draw = random.Random(seed)  # noqa: S311 - nothing is a secret here
    calls = [_call(task, plan.id, each) for task in tasks for each in (_CLASSES if _is_llm(task) else _CLASSES[:1])]
    begins = _begins(rows, now - timedelta(days=days), now)
    written = 0
    while written < rows:
        together = min(TOGETHER, rows - written)
        _write(draw, companies, calls, [next(begins) for _ in range(together)])
        written += together
        tell(written)


def _tenant(number: int, plan: Plan, since: datetime) -> Tenant:
    tenant, is_new = Tenant.objects.get_or_create(
        ati_id=f"GENERATED_{number}", defaults={"name": f"Generated {number}"}
    )
    if is_new:
        tokens.issue_root(tenant, plan, starts_at=since)
    return tenant


def _make_partitions(since: datetime, until: datetime) -> None:
    month = since.date().replace(day=1)
    while month <= until.date():
        database.rows("SELECT ledger_make_partition(%s)", [month])
        month = (month + timedelta(days=32)).replace(day=1)


def _begins(rows: int, since: datetime, until: datetime) -> Iterator[datetime]:
    """Instants in order, as many in each hour as people work in it."""
    hours = math.ceil((until - since) / timedelta(hours=1))
    weights = [_HOURS[(since + timedelta(hours=hour)).hour] for hour in range(hours)]
    reached = list(accumulate(weights))
    hour = 0
    for row in range(rows):
        place = (row + 0.5) / rows * reached[-1]
        while reached[hour] < place:
            hour += 1
        within = 1 - (reached[hour] - place) / weights[hour]
        yield min(since + timedelta(hours=hour + within), until - timedelta(milliseconds=1))


def _write(draw: random.Random, companies: list[_Company], calls: list[_Call], begins: list[datetime]) -> None:
    """Rows that begin then, and what they charge, in one transaction."""
    chosen = draw.choices(companies, [1 / (place + 1) for place in range(len(companies))], k=len(begins))
    made = draw.choices(calls, k=len(begins))
    statuses = draw.choices(_STATUSES, _SHARES, k=len(begins))
    charged: dict[int, tuple[Day, list[int]]] = {}
    lines: list[str] = []
    refused: list[tuple[UUID, str, str, str, datetime]] = []
    for company, call, status, at in zip(chosen, made, statuses, begins, strict=True):
        user = f"u-{int(company.users * draw.random() ** 2) + 1}"
        day = company.day(call.feature, at)
        line, units, cost = _line(draw, company, call, day, status, user, at)
        lines.append(line)
        sums = charged.setdefault(id(day), (day, [0, 0]))[1]
        sums[0] += units
        sums[1] += cost
        if draw.random() < _REFUSED:
            refused.append((company.id, user, call.feature, call.named.split("\t")[0], at))
    with transaction.atomic(), connection.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            copy.write("".join(lines))
        _add_to_meters(cursor, charged.values())
        if refused:
            cursor.execute(_REFUSE, [list(column) for column in zip(*refused, strict=True)])


def _add_to_meters(cursor: Any, charged: Iterable[tuple[Day, list[int]]]) -> None:  # noqa: ANN401 - Django's cursor
    used: Counter[tuple[Any, ...]] = Counter()
    for day, (units, cost) in charged:
        for row, measure in zip(day.rows, day.measures, strict=True):
            used[row] += {"UNITS": units, "COST": cost}.get(measure, 0)
    ordered = sorted(used, key=lambda row: row[0].int)
    columns = [list(column) for column in zip(*ordered, strict=True)]
    cursor.execute(_ADD_TO_METERS, [*columns, [used[row] for row in ordered]])


def _line(
    draw: random.Random, company: _Company, call: _Call, day: Day, status: str, user: str, at: datetime
) -> tuple[str, int, int]:
    """A line of COPY in the order of _COLUMNS, with the units and the cost that it charges."""
    tokens_in = tokens_out = calls = 0
    latency = "\\N"
    ended = at + timedelta(minutes=1)
    if status == "COMPLETED":
        calls = 1
        tokens_in = min(int(draw.expovariate(1 / 2_500)) + 50, 30_000)
        tokens_out = min(int(draw.expovariate(1 / 600)) + 5, 8_000) if call.is_llm else 0
    if status in ("COMPLETED", "FAILED"):
        first, further = call.milliseconds
        milliseconds = int((first + further * tokens_out) * (0.6 + draw.expovariate(2)))
        latency, ended = str(milliseconds), at + timedelta(milliseconds=milliseconds)
    units = tokens_in + tokens_out if call.unit == Unit.TOKENS else calls
    cost = tokens_in * call.price_in + tokens_out * call.price_out + units * call.price_of_a_unit
    charges = [units if each == "UNITS" else cost if each == "COST" else 0 for each in day.measures]
    # Twice what is used, as holds of the maximum are; what is released held something too.
    helds = [1 if each == "SLOTS" else 2 * charge or 4_000 for each, charge in zip(day.measures, charges, strict=True)]
    tokens = f"{tokens_in}\t{tokens_in // 5}\t0\t{tokens_out}\t{tokens_out // 10}"
    lists = f"{{{','.join(map(str, charges))}}}\t{{0,0,0,0,0}}\t{{{','.join(map(str, helds))}}}"
    return (
        f"{_id_at(draw, ended)}\t{company.id}\t{_id_at(draw, at)}\t{status}\t{user}\t{at}\t{ended}\t{call.named}\t"
        f"{tokens}\t{calls}\t{calls}\t{units}\t{cost}\t{latency}\t{day.text}\t{lists}\t{call.decided}\n",
        units,
        cost,
    )  # fmt: skip


def _id_at(draw: random.Random, at: datetime) -> str:
    """The hexadecimal digits of a UUIDv7 of that instant."""
    digits = f"{draw.getrandbits(72):018x}"
    return f"{int(at.timestamp() * 1000):012x}7{digits[:3]}8{digits[3:]}"


def _is_llm(task: Task) -> bool:
    return task.kind == TaskKind.LLM


def _call(task: Task, plan: UUID, each: tuple[str, str, int, int, int, int]) -> _Call:
    model_class, model, price_in, price_out, *milliseconds = each
    is_llm = _is_llm(task)
    of_a_model = (model_class, model, "OPENAI") if is_llm else ("\\N", "\\N", task.code)
    limits = [["DAILY_QUOTA", 10**7, True, "ENTERPRISE"], ["MONTHLY_QUOTA", 10**8, True, "ENTERPRISE"]]
    asked = {"task": task.code, "estimate": {"input_tokens": 4000, "max_output_tokens": 1000}}
    decided = {
        "mode": "ENFORCE", "on_failure": "CLOSED", "policy_version": "12.3.4", "plan": "ENTERPRISE",
        "caps": [["GLOBAL", 10], ["PLAN", 128_000], ["PLAN", 16_000]],
        "params": {"model_class": model_class, "max_tokens_in": 4000, "max_tokens_out": 1000},
        "limits": [*limits, ["BUDGET", None, True, None], ["BUDGET", 2 * 10**12, True, "ENTERPRISE"],
                   ["CONCURRENCY", 20, True, "ENTERPRISE"]],
        "readings": [0] * 15, "shaped": [], "estimated_cost": "0.01", "hold": None,
    }  # fmt: skip
    return _Call(
        feature=task.feature_id, unit=task.feature.unit, is_llm=is_llm, price_in=price_in if is_llm else 0,
        price_out=price_out if is_llm else 0, price_of_a_unit=task.price_per_unit_nano_usd or 0,
        milliseconds=(milliseconds[0], milliseconds[1]),
        named="\t".join((task.code, task.feature_id, task.feature.unit, *of_a_model, str(plan))),
        decided=f"{orjson.dumps(asked).decode()}\t{orjson.dumps(decided).decode()}\t0\tFINAL\tf",
    )  # fmt: skip
