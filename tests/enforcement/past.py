"""Operations of the past, written past the ledger as it would have logged them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from plans.models import Task
from tenants.models import Tenant
from usage.models import Certainty, LogStatus, UsageLog

MOMENT = timedelta(seconds=1)


def id_at(at: datetime) -> UUID:
    """A UUIDv7 of an instant."""
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (7 << 76) | (uuid4().int & ((1 << 76) - 1) & ~(3 << 62)) | (2 << 62))


def operation(
    tenant: Tenant,
    at: datetime,
    *,
    task: str = "LLM2_DRAFT",
    model_class: str | None = "PRO_L",
    tokens: tuple[int, int] = (1000, 500),
    asked: int | None = None,
    user: str | None = None,
    lasting: timedelta = MOMENT,
    cost: int | None = 2_500_000,
    **fields: Any,
) -> UsageLog:
    """A completed call of USD 0.0025, reserved at `at`; `asked` are the output tokens asked for, if not those used."""
    tokens_in, tokens_out = tokens
    about = Task.objects.select_related("feature").get(code=task)
    unit = about.feature.unit
    ended = at + lasting
    ask = {
        "task": task, "model_class": None,
        "estimate": {"input_tokens": tokens_in, "max_output_tokens": tokens_out if asked is None else asked},
    }  # fmt: skip
    values: dict[str, Any] = {
        "id": id_at(ended), "tenant": tenant, "reservation_id": id_at(at), "status": LogStatus.COMPLETED,
        "user_key": user, "feature": about.feature, "task": about, "unit": unit, "model_class_id": model_class,
        "input_tokens": tokens_in, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": tokens_out,
        "reasoning_tokens": 0, "api_calls": 1, "items": 1, "units": tokens_in + tokens_out if unit == "TOKENS" else 1,
        "cost": cost, "certainty": Certainty.FINAL, "late": False, "occurred_at": at.astimezone(UTC),
        "recorded_at": ended, "meters": [], "measures": [], "charges": [], "overruns": [], "helds": [], "ask": ask,
        "decision": {},
    }  # fmt: skip
    return UsageLog.objects.create(**(values | fields))


def fact(tenant: Tenant, at: datetime, **fields: Any) -> UsageLog:
    """Usage that nobody asked for, booked when it occurred."""
    return operation(tenant, at, lasting=timedelta(), reservation_id=None, ask=None, decision=None, **fields)
