"""What was noticed."""

from typing import Any, Self
from uuid import UUID

from django.db import models
from django.db.models import Q

from tenants.ids import uuid7
from tenants.models import Tenant, one_of


class AlertKind(models.TextChoices):
    """What an alert is about."""

    THRESHOLD = "THRESHOLD", "Share of a limit used"
    AMOUNT = "AMOUNT", "Amount used"
    SATURATED = "SATURATED", "Too many calls at once"
    REFUSALS = "REFUSALS", "Many refusals"
    USAGE_SPIKE = "USAGE_SPIKE", "More use than usual"
    SPEND_ANOMALY = "SPEND_ANOMALY", "More spend than usual"
    RUN_OUT = "RUN_OUT", "Will run out"
    UNPRICED = "UNPRICED", "Model without a price"
    UNUSUAL_PRICE = "UNUSUAL_PRICE", "Unusual price"
    EXPIRING = "EXPIRING", "Token or key expires"
    HOLDS_EXPIRED = "HOLDS_EXPIRED", "Commits are missing"
    AUDIT_BREACH = "AUDIT_BREACH", "The ledger does not add up"
    LAG = "LAG", "Background work is late"
    CHANNEL_DISABLED = "CHANNEL_DISABLED", "Channel was switched off"


class Severity(models.TextChoices):
    """How much it matters. Critical ones are told at once, whatever digest or quiet hours say."""

    INFO = "INFO", "Info"
    WARNING = "WARNING", "Warning"
    CRITICAL = "CRITICAL", "Critical"


class QuotaAlertQuerySet(models.QuerySet["QuotaAlert"]):
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        """Those told to a tenant."""
        return self.filter(tenant=tenant)

    def of_operators(self) -> Self:
        """Those told to super admins."""
        return self.filter(tenant=None)

    def seen_by(self, user: str | None) -> Self:
        """Without those about other people; None = everybody's."""
        return self if user is None else self.filter(Q(user_key=None) | Q(user_key=user))

    def open(self) -> Self:
        """Those that still hold."""
        return self.filter(resolved_at=None)


class QuotaAlert(models.Model):
    """One thing that was noticed, once: at its threshold, in its episode.

    An episode of a quota is its period and its limit, so that a raised limit and a new period tell anew.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, related_name="+", db_index=False,
        help_text="Whose people are told; empty = super admins.",
    )  # fmt: skip
    kind = models.CharField(max_length=24, choices=AlertKind)
    severity = models.CharField(max_length=16, choices=Severity)
    subject = models.TextField(help_text="What it is about, by a name that stays: of a quota its keys.")
    user_key = models.CharField(
        "user", max_length=128, null=True, help_text="Whose quota it is, where it is one's own."
    )
    threshold = models.BigIntegerField(help_text="Percent of the limit; of an amount, nano-USD or the quota's unit.")
    episode = models.TextField(help_text="The span in which it is told once: of a quota its period and limit.")
    numbers: models.JSONField[Any, Any] = models.JSONField(help_text="The figures as they were.")
    created_at = models.DateTimeField("noticed")
    resolved_at = models.DateTimeField("over since", null=True)

    objects = QuotaAlertQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "alert"
        constraints = [
            one_of("kind", AlertKind, "alerts_quotaalert_kind"),
            one_of("severity", Severity, "alerts_quotaalert_severity"),
            # who inserts the row is the one who tells
            models.UniqueConstraint(
                fields=["tenant", "kind", "subject", "threshold", "episode"],
                nulls_distinct=False,
                name="alerts_quotaalert_once",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True) | Q(resolved_at__gte=models.F("created_at")),
                name="alerts_quotaalert_resolved_after_created",
            ),
        ]
        indexes = [
            # a tenant's alerts, newest first: API, page
            models.Index(fields=["tenant", "-id"], name="alerts_alert_tenant_id"),
            # what still holds: bell, banner, the sweep that resolves
            models.Index(fields=["tenant"], condition=Q(resolved_at__isnull=True), name="alerts_alert_open"),
            # what is pruned
            models.Index(fields=["resolved_at"], condition=Q(resolved_at__isnull=False), name="alerts_alert_resolved"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.threshold}: {self.subject}"
