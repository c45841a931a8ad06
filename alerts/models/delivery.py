"""Whether what was to be told arrived."""

from typing import Any, Self
from uuid import UUID

from django.db import models
from django.db.models import Q

from alerts.models.alert import QuotaAlert
from alerts.models.channel import Channel
from tenants.ids import uuid7
from tenants.models import Tenant, one_of


class DeliveryState(models.TextChoices):
    """How far a delivery is. FAILED is tried again at its time, DEAD is not, GATHERED ends as its digest does."""

    PENDING = "PENDING", "Waiting"
    GATHERED = "GATHERED", "Waiting in a digest"
    SENDING = "SENDING", "Being sent"
    SENT = "SENT", "Sent"
    FAILED = "FAILED", "Failed, will be tried again"
    DEAD = "DEAD", "Given up"


OPEN_STATES = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        """Those of one tenant's channels."""
        return self.filter(tenant=tenant)


class Delivery(models.Model):
    """One message to one channel, of an alert or of an event of the product, until it is sent or given up.

    `message_id` is the same however often it is tried, so that whoever gets it twice can tell.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    alert = models.ForeignKey(
        QuotaAlert, on_delete=models.CASCADE, null=True, related_name="deliveries", db_index=False
    )
    event = models.CharField(max_length=64, null=True, help_text="Which event of the product it is, where it is one.")
    event_id = models.CharField(max_length=128, null=True, help_text="Which one: told once to each channel.")
    digest = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, related_name="gathered", db_index=False,
        help_text="The message that tells this one with others.",
    )  # fmt: skip
    payload: models.JSONField[Any, Any] = models.JSONField(null=True, help_text="What the event says.")
    message_id = models.UUIDField(default=uuid7, editable=False)
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(help_text="Not before then.")
    leased_until = models.DateTimeField(null=True, help_text="Whoever sends it has until then.")
    last_error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            one_of("state", DeliveryState, "alerts_delivery_state"),
            models.CheckConstraint(
                condition=Q(alert__isnull=False, event__isnull=True, event_id__isnull=True, payload__isnull=True)
                | Q(alert__isnull=True, event__isnull=False, event_id__isnull=False, payload__isnull=False),
                name="alerts_delivery_of_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.SENT, sent_at__isnull=False)
                | (~Q(state=DeliveryState.SENT) & Q(sent_at__isnull=True)),
                name="alerts_delivery_sent_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.SENDING) | Q(leased_until__isnull=False),
                name="alerts_delivery_sending_has_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state=DeliveryState.GATHERED) | Q(digest__isnull=False),
                name="alerts_delivery_gathered_has_digest",
            ),
            models.UniqueConstraint(fields=["message_id"], name="alerts_delivery_message_id"),
            models.UniqueConstraint(
                fields=["alert", "channel"], condition=Q(alert__isnull=False), name="alerts_delivery_alert_once"
            ),
            models.UniqueConstraint(
                fields=["channel", "event_id"], condition=Q(alert__isnull=True), name="alerts_delivery_event_once"
            ),
        ]
        indexes = [
            # what is due
            models.Index(fields=["next_attempt_at"], condition=Q(state__in=OPEN_STATES), name="alerts_delivery_due"),
            # channels at which somebody is right now
            models.Index(
                fields=["leased_until"], condition=Q(state=DeliveryState.SENDING), name="alerts_delivery_sending"
            ),
            # what a digest gathers
            models.Index(fields=["digest"], condition=Q(digest__isnull=False), name="alerts_delivery_digest"),
            # what is pruned
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=[DeliveryState.SENT, DeliveryState.DEAD]),
                name="alerts_delivery_ended",
            ),
            # a channel's messages, newest first
            models.Index(fields=["channel", "-id"], name="alerts_delivery_channel_id"),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.message_id}"
