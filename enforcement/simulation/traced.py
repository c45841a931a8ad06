"""The rows of a trace as operations: tenants in turn, and the LLM tasks of each one's plan in turn.

A trace does not say how long its calls took: each ends as it begins, so that none ever meets a concurrency limit.
It ends now, at its own pace.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from math import ceil
from uuid import UUID

import orjson

from enforcement.simulation import meters
from enforcement.simulation.runs import Source
from enforcement.traces import Row, percentile
from plans import policies
from plans.models import TaskKind
from plans.rates import PriceOutOfBounds
from plans.terms import Entitlements, TaskTerms
from usage.operations import Operation

_USERS = 3
_DAY_SECONDS = 86_400


def of_trace(rows: Sequence[Row], tenants: Sequence[UUID]) -> Source:
    """The operations of a trace; each asks for as many output tokens as 95 percent of its calls used."""
    bound = int(percentile([row.output_tokens for row in rows], 95))
    return partial(_operations, rows, tenants, bound)


def days_of(rows: Sequence[Row]) -> int:
    """How many days a trace goes back, begun ones included."""
    return ceil((rows[-1].after_seconds + 1) / _DAY_SECONDS)


def _operations(
    rows: Sequence[Row], tenants: Sequence[UUID], bound: int, entitled: Entitlements, _: datetime, until: datetime
) -> Iterator[Operation]:
    tasks = list(_tasks(entitled))
    first = tenants.index(entitled.tenant.facts.id)
    last = rows[-1].after_seconds
    for turn, row in enumerate(rows[first :: len(tenants)] if tasks else ()):
        at = meters.milliseconds(until) - 1 - round((last - row.after_seconds) * 1000)
        task, model_class = tasks[turn % len(tasks)]
        unit = entitled.catalogue.features[task.feature].unit
        units = policies.units_of(unit, tokens=row.input_tokens + row.output_tokens, api_calls=1, items=1)
        ask = {
            "task": task.code,
            "estimate": {"input_tokens": row.input_tokens, "max_output_tokens": max(bound, row.output_tokens)},
        }
        yield Operation(
            started=at, ended=at, occurred=at, task=task.code, user=f"trace-{1 + turn % _USERS}",
            model_class=model_class, tokens_in=row.input_tokens, tokens_out=row.output_tokens, units=units,
            cost=_cost(entitled, task, model_class, row, units), ask=orjson.dumps(ask).decode(),
        )  # fmt: skip


def _tasks(entitled: Entitlements) -> Iterator[tuple[TaskTerms, str]]:
    """The LLM tasks that the plan in force promises, each with the class it gives by default."""
    plan = entitled.plan
    for code, promise in plan.tasks.items() if plan else ():
        task = entitled.catalogue.tasks[code]
        feature = plan.features.get(task.feature) if plan else None
        if task.kind == TaskKind.LLM and promise.allowed and feature is not None and feature.enabled:
            yield task, promise.default or promise.allowed[0]


def _cost(entitled: Entitlements, task: TaskTerms, model_class: str, row: Row, units: int) -> int | None:
    try:
        return policies.price_of(entitled, task, model_class).most(row.input_tokens, row.output_tokens, units)
    except PriceOutOfBounds:
        return None
