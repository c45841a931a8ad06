"""The refusals."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from plans.models import Feature, Task
from tenants.models import Tenant
from usage.models.base import UsageQuerySet, loose


class Denial(models.Model):
    """A refusal, with the numbers as they were. Alike ones of a minute share a row and are counted."""

    id = models.UUIDField(primary_key=True)
    tenant = loose(Tenant)
    user_key = models.CharField(max_length=128, null=True)
    feature = loose(Feature, null=True)
    task = loose(Task, null=True)
    code = models.CharField(max_length=32)
    message = models.TextField()
    meter = models.UUIDField(null=True)
    binding = models.JSONField(null=True)
    decision = models.JSONField()
    minute = models.DateTimeField()
    bucket = models.PositiveSmallIntegerField()
    count = models.PositiveBigIntegerField(default=1)
    last_at = models.DateTimeField()
    rolled = models.PositiveBigIntegerField(default=0, db_default=0)
    is_rolled = models.BooleanField(default=False, db_default=False)

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
            # what the roll-ups lack: `count` less `rolled`, the part of it that they have
            models.Index(fields=["tenant"], condition=Q(is_rolled=False), name="usage_denial_unrolled"),
        ]

    def __str__(self) -> str:
        return f"{self.code} × {self.count}"

    @property
    def at(self) -> datetime:
        """When it was last refused so."""
        return self.last_at
