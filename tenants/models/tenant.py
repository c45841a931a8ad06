"""Customers."""

import secrets
from typing import Self
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from tenants import versions
from tenants.ids import uuid7
from tenants.models.constraints import kept, one_of


class EnforcementMode(models.TextChoices):
    OFF = "OFF", "Off: nothing is checked or recorded"
    OBSERVE = "OBSERVE", "Observe: everything is recorded, nothing is refused"
    ENFORCE = "ENFORCE", "Enforce"


class TenantStatus(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    SUSPENDED = "SUSPENDED", "Suspended"


def known_zone(name: str) -> None:
    """Raises ValidationError where this machine knows no such time zone; “localtime” is nobody's."""
    if name not in available_timezones() or name == "localtime":
        raise ValidationError("There is no time zone %(name)s; write it like Europe/Berlin.", params={"name": name})


def meter_secret() -> bytes:
    """A new secret under which a tenant's meter ids are derived."""
    return secrets.token_bytes(32)


class TenantQuerySet(models.QuerySet["Tenant"]):
    def active(self) -> Self:
        return self.filter(status=TenantStatus.ACTIVE)


class Tenant(models.Model):
    """One customer: the owner of users, tokens, quotas and usage."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    ati_id = models.CharField(
        "ATI id",
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_-]*$", "Upper-case letters, digits, - and _ only.")],
        help_text="The public name services send as “tenant”. It cannot change later.",
    )
    name = models.CharField(max_length=200, help_text="The customer's name as people write it.")
    status = models.CharField(
        max_length=16,
        choices=TenantStatus,
        default=TenantStatus.ACTIVE,
        help_text="A suspended tenant is refused everything new; usage already begun is still booked.",
    )
    enforcement_mode = models.CharField(
        max_length=16,
        choices=EnforcementMode,
        default=EnforcementMode.ENFORCE,
        help_text="The mildest of tenant, feature and roll-out rule is what counts.",
    )
    timezone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[known_zone],
        help_text="Its days and months begin at midnight here.",
    )
    billing_anchor_day = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(31)],
        help_text="The day its month begins, 1 to 31; in a shorter month the last day.",
    )
    calendar_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When an earlier change took effect."
    )
    next_timezone = models.CharField(
        max_length=64,
        null=True,
        blank=True,
        validators=[known_zone],
        help_text="The zone from the change on.",
    )
    next_billing_anchor_day = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The anchor day from the change on."
    )
    next_calendar_at = models.DateTimeField(
        null=True, blank=True, help_text="The end of the running month, when the change takes effect."
    )
    root_token = models.OneToOneField(
        "tenants.ATIToken",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="rooted_tenant",
    )
    meter_secret = models.BinaryField(max_length=32, default=meter_secret, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["ati_id"]
        constraints = [
            one_of("status", TenantStatus, "tenants_tenant_status"),
            one_of("enforcement_mode", EnforcementMode, "tenants_tenant_enforcement_mode"),
            models.CheckConstraint(condition=Q(ati_id__regex=r"^[A-Z][A-Z0-9_-]*$"), name="tenants_tenant_ati_id"),
            models.CheckConstraint(
                condition=Q(billing_anchor_day__range=(1, 31)), name="tenants_tenant_billing_anchor_day"
            ),
            models.CheckConstraint(
                condition=Q(
                    next_timezone__isnull=True,
                    next_billing_anchor_day__isnull=True,
                    next_calendar_at__isnull=True,
                )
                | Q(
                    next_timezone__isnull=False,
                    next_billing_anchor_day__isnull=False,
                    next_billing_anchor_day__range=(1, 31),
                    next_calendar_at__isnull=False,
                ),
                name="tenants_tenant_next_calendar",
            ),
            models.CheckConstraint(
                condition=Q(calendar_since__isnull=True)
                | Q(next_calendar_at__isnull=True)
                | Q(calendar_since__lt=F("next_calendar_at")),
                name="tenants_tenant_next_calendar_after_since",
            ),
            models.UniqueConstraint(fields=["id", "root_token"], name="tenants_tenant_id_root_token"),
        ]
        triggers = [
            kept("ati_id", "meter_secret", name="keep_identity"),
            *versions.counted(
                "r.id",
                columns=[
                    "name", "status", "enforcement_mode", "timezone", "billing_anchor_day", "calendar_since",
                    "next_timezone", "next_billing_anchor_day", "next_calendar_at", "root_token_id",
                ],
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.ati_id
