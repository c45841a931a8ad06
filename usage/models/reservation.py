"""The promises."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from plans.models import Feature, ModelClass, Plan, Task, Unit
from tenants.models import Tenant, one_of
from usage.models.base import UsageQuerySet, loose


class ReservationStatus(models.TextChoices):
    OPEN = "OPEN", "Open"
    COMMITTED = "COMMITTED", "Committed"
    RELEASED = "RELEASED", "Released"
    EXPIRED = "EXPIRED", "Expired"


class UsageReservation(models.Model):
    """One promise: what an operation may spend, until it commits, releases or expires."""

    id = models.UUIDField(primary_key=True)
    tenant = loose(Tenant)
    user_key = models.CharField(max_length=128, null=True)
    feature = loose(Feature)
    task = loose(Task)
    model_class = loose(ModelClass, null=True)
    plan = loose(Plan, null=True)
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
