"""Service keys."""

from datetime import datetime
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from tenants import versions
from tenants.ids import uuid7
from tenants.models.tenant import Tenant


class Scope(models.TextChoices):
    ENFORCE = "enforce", "Reserve, commit, release"
    READ = "read", "Read usage"
    REPORT = "report", "Report usage events"
    ADMIN = "admin", "Simulate plans"


class ServiceKeyQuerySet(models.QuerySet["ServiceKey"]):
    def usable(self, now: datetime) -> Self:
        """Keys that authenticate at `now`."""
        return self.filter(
            Q(revoked_at__isnull=True) | Q(revoked_at__gt=now),
            Q(expires_at__isnull=True) | Q(expires_at__gt=now),
        )


class ServiceKey(models.Model):
    """The credential of a service. During a rotation the old key works until its grace ends."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, help_text="Which service uses it.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    hash = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=16, choices=Scope),
        help_text="What the key may do; give only what is needed.",
    )
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="service_keys",
        help_text="Empty = it may act for any tenant.",
    )
    calls_per_second = models.PositiveIntegerField(
        default=1000,
        validators=[MinValueValidator(1)],
        help_text="Calls allowed a second, divided among the API processes; beyond it they get 429.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From then on it answers 401.")
    revoked_at = models.DateTimeField(
        null=True, blank=True, help_text="When it stops working; in the future during a rotation's grace."
    )
    replaces = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="replaced_by"
    )
    last_used_on = models.DateField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ServiceKeyQuerySet.as_manager()

    class Meta:
        ordering = ["name", "-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values, scopes__len__gt=0),
                name="tenants_servicekey_scopes",
            ),
            models.CheckConstraint(condition=Q(calls_per_second__gt=0), name="tenants_servicekey_calls_per_second"),
        ]
        triggers = versions.counted(
            versions.OF_KEYS,
            columns=["prefix", "hash", "scopes", "tenant_id", "calls_per_second", "expires_at", "revoked_at"],
        )

    def __str__(self) -> str:
        return f"mk_{self.prefix}"
