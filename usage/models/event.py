"""The usage events that may be repeated."""

from django.db import models
from django.db.models.functions import Now

from tenants.ids import uuid7
from tenants.models import Tenant
from usage.models.base import UsageQuerySet, loose


class UsageEvent(models.Model):
    """One usage event that was booked, so that its sender may repeat it."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    tenant = loose(Tenant)
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
