"""What calls really use."""

from typing import Self
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from plans.models import Task
from tenants.ids import uuid7
from tenants.models import Tenant


class HoldEstimateQuerySet(models.QuerySet["HoldEstimate"]):
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        return self.filter(tenant=tenant)


class HoldEstimate(models.Model):
    """What the operations of a tenant's task really used lately, as percentiles 1 to 100. Derived from the log."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+", db_index=False)
    samples = models.PositiveBigIntegerField()
    input_tokens = ArrayField(models.BigIntegerField())
    output_tokens = ArrayField(models.BigIntegerField())
    computed_at = models.DateTimeField()

    objects = HoldEstimateQuerySet.as_manager()

    class Meta:
        ordering = ["tenant", "task"]
        constraints = [
            # also the reader's index: all tasks of a tenant
            models.UniqueConstraint(fields=["tenant", "task"], name="usage_holdestimate_tenant_task"),
            models.CheckConstraint(
                condition=Q(input_tokens__len=100, output_tokens__len=100), name="usage_holdestimate_percentiles"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}: {self.samples}"
