"""The users who were made pseudonyms."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tenants.ids import uuid7
from tenants.models import Tenant


class Erasure(models.Model):
    """One erasure of a user. What tells who it was is kept only until it is found nowhere else."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    user_key = models.CharField(max_length=128, null=True)
    email = models.CharField(max_length=254, null=True)
    pattern = models.TextField(null=True)
    pseudonym = models.CharField(max_length=64, unique=True)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True, user_key__isnull=False)
                | Q(finished_at__isnull=False, user_key__isnull=True, email__isnull=True, pattern__isnull=True),
                name="usage_erasure_forgets_when_finished",
            ),
            # an erasure that was stopped is taken up again, with the pseudonym it began with
            models.UniqueConstraint(fields=["tenant", "user_key"], name="usage_erasure_tenant_user_key"),
        ]

    def __str__(self) -> str:
        return self.pseudonym
