"""Ways to people."""

from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from alerts.fields import SealedField
from alerts.models.alert import AlertKind, Severity
from tenants.ids import uuid7
from tenants.models import Tenant, one_of


class ChannelKind(models.TextChoices):
    """How a channel tells."""

    EMAIL = "EMAIL", "E-mail"
    CHAT_WEBHOOK = "CHAT_WEBHOOK", "Chat (Slack, Teams)"
    SIGNED_WEBHOOK = "SIGNED_WEBHOOK", "Signed webhook"
    IN_APP = "IN_APP", "In these pages"


class Digest(models.TextChoices):
    """Whether what is not critical is gathered first."""

    NONE = "NONE", "Each at once"
    HOURLY = "HOURLY", "Once an hour"
    DAILY = "DAILY", "Once a day"


class Report(models.TextChoices):
    """How often the usage of its tenant is reported."""

    NONE = "NONE", "No report"
    WEEKLY = "WEEKLY", "Each Monday, of the week before"
    MONTHLY = "MONTHLY", "On a month's first day, of the month before"


def every_severity() -> list[str]:
    """All severities."""
    return list(Severity.values)


class ChannelQuerySet(models.QuerySet["Channel"]):
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        """Those of one tenant."""
        return self.filter(tenant=tenant)

    def of_operators(self) -> Self:
        """Those of super admins."""
        return self.filter(tenant=None)


class Channel(models.Model):
    """A way to somebody who wants to be told: an address, and of what."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False,
        help_text="Whose alerts it tells; empty = those of super admins.",
    )  # fmt: skip
    name = models.CharField(max_length=100, help_text="What people call it.")
    kind = models.CharField(max_length=16, choices=ChannelKind, help_text="How it tells.")
    address = models.CharField(
        max_length=2000, blank=True, help_text="An e-mail address, or the https:// address of a webhook."
    )
    secrets = ArrayField(
        SealedField(), default=list, blank=True, editable=False,
        help_text="What signs a webhook, encrypted, the newest first; the others still verify while they are changed.",
    )  # fmt: skip
    severities = ArrayField(
        models.CharField(max_length=16, choices=Severity), default=every_severity,
        help_text="What it tells, by how much it matters.",
    )  # fmt: skip
    kinds = ArrayField(
        models.CharField(max_length=24, choices=AlertKind), default=list, blank=True,
        help_text="Which alerts it tells; none chosen = all.",
    )  # fmt: skip
    events = ArrayField(
        models.CharField(max_length=64), default=list, blank=True,
        help_text="Which events of the product it tells beside alerts, such as reservation.denied.",
    )  # fmt: skip
    digest = models.CharField(
        max_length=8, choices=Digest, default=Digest.NONE,
        help_text="Whether what is not critical is gathered into one message.",
    )  # fmt: skip
    report = models.CharField(
        "usage report", max_length=8, choices=Report, default=Report.NONE,
        help_text="How often it gets a report of the tenant's usage, at 8 in the morning; e-mail only.",
    )  # fmt: skip
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="From then on, in the tenant's zone, what is not critical waits."
    )
    quiet_until = models.TimeField(null=True, blank=True, help_text="Until then it waits.")
    is_active = models.BooleanField("active", default=True, help_text="Whether it tells at all.")
    disabled_reason = models.CharField(max_length=200, blank=True, help_text="Why it was switched off.")
    failures = models.PositiveIntegerField("failures in a row", default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    listens_since = models.DateTimeField(
        db_default=Now(), editable=False, help_text="It tells events of the product that happened from then on."
    )

    objects = ChannelQuerySet.as_manager()

    class Meta:
        ordering = ["tenant", "name"]
        constraints = [
            one_of("kind", ChannelKind, "alerts_channel_kind"),
            one_of("digest", Digest, "alerts_channel_digest"),
            one_of("report", Report, "alerts_channel_report"),
            # a report is of a tenant, and long
            models.CheckConstraint(
                condition=Q(report=Report.NONE) | Q(kind=ChannelKind.EMAIL, tenant__isnull=False),
                name="alerts_channel_reports_are_mails",
            ),
            models.CheckConstraint(
                condition=Q(severities__contained_by=Severity.values), name="alerts_channel_severities"
            ),
            models.CheckConstraint(condition=Q(kinds__contained_by=AlertKind.values), name="alerts_channel_kinds"),
            models.CheckConstraint(
                condition=Q(kind=ChannelKind.IN_APP, address="") | (~Q(kind=ChannelKind.IN_APP) & ~Q(address="")),
                name="alerts_channel_has_address",
            ),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="alerts_channel_quiet_hours_have_both_ends",
            ),
        ]
        indexes = [
            # whom an alert goes to
            models.Index(fields=["tenant"], condition=Q(is_active=True), name="alerts_channel_active")
        ]
        triggers = [
            # whoever asks for something else, or is switched on again, is not told what was before
            pgtrigger.Trigger(
                name="listen_from_now_on",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("events", "is_active"),
                condition=pgtrigger.Condition(
                    "NEW.events IS DISTINCT FROM OLD.events OR NEW.is_active AND NOT OLD.is_active"
                ),
                func="NEW.listens_since := clock_timestamp(); RETURN NEW;",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_quiet_hours(self) -> bool:
        """Whether there is a time of day in which it waits."""
        return self.quiet_from is not None
