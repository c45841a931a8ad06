"""What was booked."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from plans.models import Feature, ModelClass, Plan, Task, Unit
from tenants.models import Tenant, one_of
from usage.fields import Xid8Field
from usage.models.base import UsageQuerySet, loose


class LogStatus(models.TextChoices):
    REPORT = "REPORT", "Reported on the way"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    RELEASED = "RELEASED", "Released"
    EXPIRED = "EXPIRED", "Expired"
    CORRECTION = "CORRECTION", "Correction"


class Certainty(models.TextChoices):
    FINAL = "FINAL", "Final"
    PARTIAL = "PARTIAL", "Partial"
    ESTIMATED = "ESTIMATED", "Estimated: the model has no price"
    UNKNOWN = "UNKNOWN", "Unknown: no counts were sent"


class UsageLog(models.Model):
    """One booking, for ever: what changed, on which meters, and why. Partitioned by the month of its id."""

    id = models.UUIDField(primary_key=True)
    tenant = loose(Tenant)
    reservation_id = models.UUIDField(null=True)
    status = models.CharField(max_length=16, choices=LogStatus)
    attempt = models.PositiveSmallIntegerField(default=0)
    user_key = models.CharField(max_length=128, null=True)
    feature = loose(Feature)
    task = loose(Task)
    unit = models.CharField(max_length=16, choices=Unit)
    model_class = loose(ModelClass, null=True)
    model = models.CharField(max_length=128, null=True)
    api_code = models.CharField(max_length=64, null=True)
    plan = loose(Plan, null=True)
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    api_calls = models.BigIntegerField()
    items = models.BigIntegerField()
    units = models.BigIntegerField()
    cost = models.BigIntegerField(null=True)
    price = models.JSONField(null=True)
    latency_ms = models.BigIntegerField(null=True)
    certainty = models.CharField(max_length=16, choices=Certainty)
    late = models.BooleanField()
    error = models.CharField(max_length=500, null=True)
    refers_to = models.UUIDField(null=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    transaction_id = Xid8Field(db_default=models.Func(function="pg_current_xact_id"), db_index=False)
    correlation_id = models.CharField(max_length=128, null=True)
    meters = ArrayField(models.UUIDField())
    measures = ArrayField(models.CharField(max_length=16))
    charges = ArrayField(models.BigIntegerField())
    overruns = ArrayField(models.BigIntegerField())
    helds = ArrayField(models.BigIntegerField())
    ask = models.JSONField(null=True)
    decision = models.JSONField(null=True)
    metadata = models.JSONField(null=True)

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            one_of("status", LogStatus, "usage_usagelog_status"),
            one_of("unit", Unit, "usage_usagelog_unit"),
            one_of("certainty", Certainty, "usage_usagelog_certainty"),
        ]
        indexes = [
            # what a reservation booked: late events, corrections, explanation
            models.Index(fields=["tenant", "reservation_id"], name="usage_log_tenant_reservation"),
            # a tenant's log, newest first, and the audit of one tenant
            models.Index(fields=["tenant", "-id"], name="usage_log_tenant_id"),
            # the corrections of a row: the next correction, and estimates of holds
            models.Index(
                fields=["tenant", "refers_to"], condition=Q(refers_to__isnull=False), name="usage_log_tenant_refers_to"
            ),
            # what gates that are only observed let through
            models.Index(
                fields=["id"],
                condition=Q(decision__has_key="over") | Q(decision__has_key="would_deny"),
                name="usage_log_watched",
            ),
            # the console's attention to costs that are not sure
            models.Index(
                fields=["id"],
                condition=Q(certainty__in=[Certainty.ESTIMATED, Certainty.UNKNOWN]),
                name="usage_log_unsure",
            ),
            # roll-ups read what committed below a snapshot's xmin, in pages where a transaction is large
            models.Index(fields=["transaction_id", "id"], name="usage_log_transaction_id"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="append_only",
                operation=pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                # A partition's row has a type of its own.
                func="""
                    IF TG_OP = 'UPDATE' AND ledger_is_erasing(
                        jsonb_populate_record(NULL::usage_usagelog, to_jsonb(OLD)),
                        jsonb_populate_record(NULL::usage_usagelog, to_jsonb(NEW))
                    ) THEN
                        RETURN NEW;
                    END IF;
                    RAISE EXCEPTION 'Rows of % stay as they were booked.', TG_TABLE_NAME
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'usage_usagelog_append_only';
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.id}"
