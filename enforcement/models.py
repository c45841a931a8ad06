"""Simulations: what was asked for, how far each is, and what it found."""

from typing import Any, Self
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from plans.models import Plan
from tenants.ids import uuid7
from tenants.models import Tenant, one_of

MOST_DAYS = 90


class SimulationStatus(models.TextChoices):
    QUEUED = "QUEUED", "Waiting"
    RUNNING = "RUNNING", "Running"
    DONE = "DONE", "Done"
    FAILED = "FAILED", "Failed"


UNDER_WAY = (SimulationStatus.QUEUED, SimulationStatus.RUNNING)


class SimulationQuerySet(models.QuerySet["Simulation"]):
    def for_tenant(self, tenant: UUID | None) -> Self:
        """Those of one tenant; all where the caller may act for any."""
        return self.all() if tenant is None else self.filter(tenant=tenant)


class Simulation(models.Model):
    """A plan, or changes of promises, tried on the calls of the last days by a worker."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    plan = models.ForeignKey(
        Plan, on_delete=models.CASCADE, null=True, blank=True, related_name="+",
        help_text="Empty = each tenant's own plan.",
    )  # fmt: skip
    changes = ArrayField(
        models.CharField(max_length=400), default=list, help_text="What is changed in it first, as PATH=VALUE."
    )
    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="+",
        help_text="Empty = all who hold the plan, or everybody where none is named.",
    )  # fmt: skip
    days = models.PositiveSmallIntegerField(help_text="How many days back.")
    status = models.CharField(max_length=16, choices=SimulationStatus, default=SimulationStatus.QUEUED)
    progress = models.FloatField(default=0.0, help_text="The share that is done, 0 to 1.")
    operations = models.PositiveBigIntegerField(default=0, help_text="Recorded operations read so far.")
    result: models.JSONField[Any, Any] = models.JSONField(null=True)
    error = models.TextField(blank=True)
    asked_by = models.CharField(max_length=254, help_text="Who asked for it.")
    service_key = models.UUIDField(null=True)
    idempotency_key = models.CharField(max_length=128, null=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="How often a worker began it.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True, help_text="When its worker last said how far it is.")
    finished_at = models.DateTimeField(null=True)

    objects = SimulationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            one_of("status", SimulationStatus, "enforcement_simulation_status"),
            models.CheckConstraint(condition=Q(days__range=(1, MOST_DAYS)), name="enforcement_simulation_days"),
            models.CheckConstraint(
                condition=Q(plan__isnull=False) | Q(changes__len__gt=0), name="enforcement_simulation_something_to_try"
            ),
            models.CheckConstraint(
                condition=Q(status=SimulationStatus.DONE, result__isnull=False)
                | (~Q(status=SimulationStatus.DONE) & Q(result__isnull=True)),
                name="enforcement_simulation_done_has_result",
            ),
            models.CheckConstraint(
                condition=Q(status__in=UNDER_WAY, finished_at__isnull=True)
                | (~Q(status__in=UNDER_WAY) & Q(finished_at__isnull=False)),
                name="enforcement_simulation_ended_has_time",
            ),
            models.UniqueConstraint(
                fields=["service_key", "idempotency_key"], name="enforcement_simulation_service_key_idempotency_key"
            ),
        ]
        indexes = [
            # the sweep of those that wait, or whose worker was lost
            models.Index(fields=["status"], condition=Q(status__in=UNDER_WAY), name="enforcement_simulation_open"),
        ]

    def __str__(self) -> str:
        return f"{self.plan or 'own plans'}{' with changes' if self.changes else ''}, {self.days} days"

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return self.status in UNDER_WAY
