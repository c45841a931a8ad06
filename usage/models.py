"""The ledger's tables. `usage.ledger` alone writes meters, reservations and log, through its SQL functions.

They carry no foreign-key constraints (those cost a fifth of the hot path): a trigger refuses to delete what
they refer to, and the audit looks for orphans.
"""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from plans.charges import Measure, PeriodKind
from plans.models import Feature, ModelClass, Plan, Task, Unit
from tenants.ids import uuid7
from tenants.models import Tenant, one_of
from usage.fields import Xid8Field


class ReservationStatus(models.TextChoices):
    OPEN = "OPEN", "Open"
    COMMITTED = "COMMITTED", "Committed"
    RELEASED = "RELEASED", "Released"
    EXPIRED = "EXPIRED", "Expired"


class LogStatus(models.TextChoices):
    REPORT = "REPORT", "Reported on the way"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    RELEASED = "RELEASED", "Released"
    EXPIRED = "EXPIRED", "Expired"
    CORRECTION = "CORRECTION", "Correction"


class Certainty(models.TextChoices):
    FINAL = "FINAL", "Final"
    PARTIAL = "PARTIAL", "Partial"
    ESTIMATED = "ESTIMATED", "Estimated: the model has no price"
    UNKNOWN = "UNKNOWN", "Unknown: no counts were sent"


def _loose(to: type[models.Model], **options: Any) -> Any:  # noqa: ANN401 - a typed FK per target
    """A relation without a constraint in the database and without an index of its own."""
    return models.ForeignKey(
        to, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", **options
    )


class UsageQuerySet(models.QuerySet[Any]):
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        """Rows of one tenant; the only way tenant data is filtered."""
        return self.filter(tenant=tenant)


class UsageMeter(models.Model):
    """One counter: what a tenant used and holds of one measure in one period."""

    id = models.UUIDField(primary_key=True)
    tenant = _loose(Tenant)
    user_key = models.CharField(max_length=128, null=True)
    feature = _loose(Feature, null=True)
    task = _loose(Task, null=True)
    measure = models.CharField(max_length=16, choices=Measure)
    period = models.CharField(max_length=8, choices=PeriodKind)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True)
    used = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    overrun = models.BigIntegerField(default=0)
    limit_amount = models.BigIntegerField(null=True)
    archived = models.BigIntegerField(default=0)
    verified_at = models.DateTimeField(null=True)

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-period_start", "feature", "measure"]
        constraints = [
            one_of("measure", Measure, "usage_usagemeter_measure"),
            one_of("period", PeriodKind, "usage_usagemeter_period"),
            models.CheckConstraint(
                condition=Q(used__gte=0, reserved__gte=0, overrun__gte=0),
                name="usage_usagemeter_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(limit_amount__isnull=True)
                | Q(used__lte=models.F("limit_amount") + models.F("overrun") - models.F("reserved")),
                name="usage_usagemeter_no_overspend",
            ),
        ]
        indexes = [
            # a tenant's meters of the running periods: pages, API, audit
            models.Index(fields=["tenant", "-period_start"], name="usage_meter_tenant_period"),
            # what the audit has still to find right
            models.Index(fields=["tenant"], condition=Q(verified_at__isnull=True), name="usage_meter_unverified"),
            # the keeper prunes ended minutes
            models.Index(fields=["period_start"], condition=Q(period="MINUTE"), name="usage_meter_minutes"),
        ]

    def __str__(self) -> str:
        return f"{self.feature_id or 'tenant'} {self.measure}/{self.period}"


class UsageReservation(models.Model):
    """One promise: what an operation may spend, until it commits, releases or expires."""

    id = models.UUIDField(primary_key=True)
    tenant = _loose(Tenant)
    user_key = models.CharField(max_length=128, null=True)
    feature = _loose(Feature)
    task = _loose(Task)
    model_class = _loose(ModelClass, null=True)
    plan = _loose(Plan, null=True)
    unit = models.CharField(max_length=16, choices=Unit)
    rates = ArrayField(models.BigIntegerField(), null=True)
    meters = ArrayField(models.UUIDField())
    measures = ArrayField(models.CharField(max_length=16))
    periods = ArrayField(models.CharField(max_length=8))
    amounts = ArrayField(models.BigIntegerField())
    booked = ArrayField(models.BigIntegerField())
    charges = models.JSONField()
    readings = ArrayField(models.BigIntegerField())
    held_totals = ArrayField(models.BigIntegerField())
    held_cost = models.BigIntegerField(null=True)
    totals = ArrayField(models.BigIntegerField())
    cost = models.BigIntegerField(null=True)
    idempotency_key = models.CharField(max_length=128)
    fingerprint = models.BinaryField(max_length=32)
    status = models.CharField(max_length=16, choices=ReservationStatus)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    correlation_id = models.CharField(max_length=128, null=True)
    ask = models.JSONField()
    metadata = models.JSONField(null=True)
    decision = models.JSONField()
    end_fingerprint = models.BinaryField(max_length=32, null=True)
    result = models.JSONField(null=True)

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            one_of("status", ReservationStatus, "usage_usagereservation_status"),
            one_of("unit", Unit, "usage_usagereservation_unit"),
            models.CheckConstraint(
                condition=Q(status="OPEN", ended_at__isnull=True) | (~Q(status="OPEN") & Q(ended_at__isnull=False)),
                name="usage_usagereservation_ended_has_time",
            ),
            models.UniqueConstraint(
                fields=["tenant", "idempotency_key"], name="usage_usagereservation_tenant_idempotency_key"
            ),
        ]
        indexes = [
            # the sweep of expired reservations, and the audit of open ones
            models.Index(fields=["expires_at"], condition=Q(status="OPEN"), name="usage_reservation_open"),
            # a tenant's open holds: audit
            models.Index(fields=["tenant"], condition=Q(status="OPEN"), name="usage_reservation_held"),
            # pruning of ended ones, and the audit of those that ended lately
            models.Index(fields=["status", "ended_at"], condition=~Q(status="OPEN"), name="usage_reservation_ended"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class UsageLog(models.Model):
    """One booking, for ever: what changed, on which meters, and why. Partitioned by the month of its id."""

    id = models.UUIDField(primary_key=True)
    tenant = _loose(Tenant)
    reservation_id = models.UUIDField(null=True)
    status = models.CharField(max_length=16, choices=LogStatus)
    attempt = models.PositiveSmallIntegerField(default=0)
    user_key = models.CharField(max_length=128, null=True)
    feature = _loose(Feature)
    task = _loose(Task)
    unit = models.CharField(max_length=16, choices=Unit)
    model_class = _loose(ModelClass, null=True)
    model = models.CharField(max_length=128, null=True)
    api_code = models.CharField(max_length=64, null=True)
    plan = _loose(Plan, null=True)
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    api_calls = models.BigIntegerField()
    items = models.BigIntegerField()
    units = models.BigIntegerField()
    cost = models.BigIntegerField(null=True)
    price = models.JSONField(null=True)
    latency_ms = models.BigIntegerField(null=True)
    certainty = models.CharField(max_length=16, choices=Certainty)
    late = models.BooleanField()
    error = models.CharField(max_length=500, null=True)
    refers_to = models.UUIDField(null=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    transaction_id = Xid8Field(db_default=models.Func(function="pg_current_xact_id"), db_index=False)
    correlation_id = models.CharField(max_length=128, null=True)
    meters = ArrayField(models.UUIDField())
    measures = ArrayField(models.CharField(max_length=16))
    charges = ArrayField(models.BigIntegerField())
    overruns = ArrayField(models.BigIntegerField())
    helds = ArrayField(models.BigIntegerField())
    ask = models.JSONField(null=True)
    decision = models.JSONField(null=True)
    metadata = models.JSONField(null=True)

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            one_of("status", LogStatus, "usage_usagelog_status"),
            one_of("unit", Unit, "usage_usagelog_unit"),
            one_of("certainty", Certainty, "usage_usagelog_certainty"),
        ]
        indexes = [
            # what a reservation booked: late events, corrections, explanation
            models.Index(fields=["tenant", "reservation_id"], name="usage_log_tenant_reservation"),
            # a tenant's log, newest first, and the audit of one tenant
            models.Index(fields=["tenant", "-id"], name="usage_log_tenant_id"),
            # roll-ups read what committed below a snapshot's xmin
            models.Index(fields=["transaction_id"], name="usage_log_transaction"),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.id}"


class UsageEvent(models.Model):
    """One usage event that was booked, so that its sender may repeat it."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    tenant = _loose(Tenant)
    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32)
    log_id = models.UUIDField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-recorded_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "source", "event_id"], name="usage_usageevent_tenant_source_event_id"
            )
        ]
        indexes = [
            # pruning after 35 days
            models.Index(fields=["recorded_at"], name="usage_event_recorded")
        ]

    def __str__(self) -> str:
        return f"{self.source}/{self.event_id}"


class Denial(models.Model):
    """A refusal, with the numbers as they were. Alike ones of a minute share a row and are counted."""

    id = models.UUIDField(primary_key=True)
    tenant = _loose(Tenant)
    user_key = models.CharField(max_length=128, null=True)
    feature = _loose(Feature, null=True)
    task = _loose(Task, null=True)
    code = models.CharField(max_length=32)
    message = models.TextField()
    meter = models.UUIDField(null=True)
    binding = models.JSONField(null=True)
    decision = models.JSONField()
    minute = models.DateTimeField()
    bucket = models.PositiveSmallIntegerField()
    count = models.PositiveBigIntegerField(default=1)
    last_at = models.DateTimeField()

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "code", "minute", "bucket"], name="usage_denial_tenant_code_minute_bucket"
            ),
            models.CheckConstraint(condition=Q(bucket__range=(0, 59)), name="usage_denial_bucket"),
        ]
        indexes = [
            # a tenant's refusals, newest first
            models.Index(fields=["tenant", "-id"], name="usage_denial_tenant_id"),
            # pruning after 90 days
            models.Index(fields=["minute"], name="usage_denial_minute"),
        ]

    def __str__(self) -> str:
        return f"{self.code} × {self.count}"

    @property
    def at(self) -> datetime:
        """When it was last refused so."""
        return self.last_at
