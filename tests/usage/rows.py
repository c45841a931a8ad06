"""Rows of the ledger to look at, written past it: no sum of theirs adds up."""

from datetime import UTC, date, datetime
from uuid import UUID

from plans.charges import Measure, PeriodKind
from plans.models import FeatureCode, TaskCode, Unit
from tenants.ids import uuid7
from tenants.models import Tenant
from tests import cast
from usage import rollups
from usage.models import (
    Certainty,
    DayRollup,
    Denial,
    DenialRollup,
    Erasure,
    HoldEstimate,
    LogArchive,
    LogStatus,
    ReservationStatus,
    TenantDayRollup,
    TenantRollup,
    UsageEvent,
    UsageLog,
    UsageMeter,
    UsageReservation,
    UsageRollup,
    UserDayRollup,
)


def make_meter(tenant: Tenant, measure: Measure = Measure.COST, used: int = 31_200_000_000) -> UsageMeter:
    """A meter of this month."""
    return UsageMeter.objects.create(
        id=uuid7(), tenant=tenant, feature_id=FeatureCode.PRIOR_ART_SEARCH, measure=measure, period=PeriodKind.MONTH,
        period_start=datetime(2030, 1, 1, tzinfo=UTC), period_end=datetime(2030, 2, 1, tzinfo=UTC), used=used,
        reserved=0, limit_amount=50_000_000_000,
    )  # fmt: skip


def make_reservation(tenant: Tenant, meter: UsageMeter) -> UsageReservation:
    """An open reservation of USD 0.0025 on one meter."""
    row = uuid7()
    return UsageReservation.objects.create(
        id=row, tenant=tenant, feature_id=FeatureCode.PRIOR_ART_SEARCH, task_id=TaskCode.LLM1_PRIOR_ART,
        plan=cast.plan("PRO"), unit=Unit.API_CALLS, meters=[meter.pk], measures=[meter.measure], periods=[meter.period],
        amounts=[2_500_000], booked=[0], charges=[], readings=[0], held_totals=[0] * 7, held_cost=2_500_000,
        totals=[0] * 7, idempotency_key=f"key-{row}", fingerprint=b"0" * 32, status=ReservationStatus.OPEN,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC), ask={"task": "LLM1_PRIOR_ART"}, decision={"code": "OK"},
    )  # fmt: skip


def make_log(tenant: Tenant, meter: UsageMeter, reservation: UUID | None = None, row: UUID | None = None) -> UsageLog:
    """A completed booking of USD 0.0025."""
    now = datetime.now(UTC)
    return UsageLog.objects.create(
        id=row or uuid7(), tenant=tenant, reservation_id=reservation, status=LogStatus.COMPLETED,
        feature_id=FeatureCode.PRIOR_ART_SEARCH, task_id=TaskCode.LLM1_PRIOR_ART, unit=Unit.API_CALLS,
        plan=cast.plan("PRO"), input_tokens=1_234_567, cached_input_tokens=0, cache_write_tokens=0, output_tokens=8,
        reasoning_tokens=0, api_calls=1, items=0, units=1, cost=2_500_000, certainty=Certainty.FINAL, late=False,
        occurred_at=now, recorded_at=now, meters=[meter.pk], measures=[meter.measure], charges=[2_500_000],
        overruns=[0], helds=[2_500_000],
    )  # fmt: skip


def make_estimate(tenant: Tenant, *, task: str = TaskCode.LLM2_DRAFT, samples: int = 1_234) -> HoldEstimate:
    """An estimate of 1 to 100 tokens in, and ten times that out."""
    return HoldEstimate.objects.create(
        tenant=tenant, task_id=task, samples=samples, computed_at=datetime(2030, 1, 1, tzinfo=UTC),
        input_tokens=list(range(1, 101)), output_tokens=list(range(10, 1001, 10)),
    )  # fmt: skip


def make_rows(tenant: Tenant) -> None:
    """A row of every kind."""
    meter = make_meter(tenant)
    reservation = make_reservation(tenant, meter)
    log = make_log(tenant, meter, reservation.pk)
    now = datetime.now(UTC)
    make_estimate(tenant)
    UsageEvent.objects.create(tenant=tenant, source="svc", event_id=str(uuid7()), fingerprint=b"0" * 32, log_id=log.pk)
    Denial.objects.create(
        id=uuid7(), tenant=tenant, feature_id=FeatureCode.PRIOR_ART_SEARCH, code="BUDGET_EXCEEDED", message="Over",
        meter=meter.pk, binding={"limit": 1}, decision={"code": "BUDGET_EXCEEDED"}, minute=now, bucket=1, last_at=now,
        count=1_234,
    )  # fmt: skip
    Erasure.objects.create(tenant=tenant, pseudonym=f"erased-{uuid7()}", finished_at=now)
    long_ago = date(1901 + LogArchive.objects.count(), 1, 1)
    LogArchive.objects.create(month=long_ago, rows=1_234, first_id=log.pk, last_id=log.pk)
    _make_rollups(tenant, now)


def _make_rollups(tenant: Tenant, slot: datetime) -> None:
    for model in (UsageRollup, TenantRollup, DayRollup, TenantDayRollup, UserDayRollup):
        named = {field.name for field in model._meta.fields}
        codes = {"feature_id": FeatureCode.PRIOR_ART_SEARCH, "task_id": TaskCode.LLM1_PRIOR_ART}
        counts = {field.name: 1_234 for field in model._meta.fields if field.get_internal_type() == "BigIntegerField"}
        model.objects.create(
            tenant=tenant, slot=slot, status=LogStatus.COMPLETED, latency_histogram=[1], **counts,
            **{name: code for name, code in codes.items() if name.removesuffix("_id") in named},
        )  # fmt: skip
    DenialRollup.objects.create(tenant=tenant, slot=slot, code="BUDGET_EXCEEDED", count=1_234)
    rollups.fill()
