"""The counters."""

from django.db import models
from django.db.models import Q

from plans.charges import Measure, PeriodKind
from plans.models import Feature, Task
from tenants.models import Tenant, closed
from usage.models.base import UsageQuerySet, loose


class UsageMeter(models.Model):
    """One counter: what a tenant used and holds of one measure in one period."""

    id = models.UUIDField(primary_key=True)
    tenant = loose(Tenant)
    user_key = models.CharField(max_length=128, null=True)
    feature = loose(Feature, null=True)
    task = loose(Task, null=True)
    measure = models.CharField(max_length=16, choices=Measure)
    period = models.CharField(max_length=8, choices=PeriodKind)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True)
    used = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    overrun = models.BigIntegerField(default=0)
    limit_amount = models.BigIntegerField(null=True)
    archived = models.BigIntegerField(default=0)
    verified_at = models.DateTimeField(null=True)

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-period_start", "feature", "measure"]
        constraints = [
            models.CheckConstraint(
                condition=Q(used__gte=0, reserved__gte=0, overrun__gte=0),
                name="usage_usagemeter_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(limit_amount__isnull=True)
                | Q(used__lte=models.F("limit_amount") + models.F("overrun") - models.F("reserved")),
                name="usage_usagemeter_no_overspend",
            ),
        ]
        indexes = [
            # a tenant's meters of the running periods: pages, API, audit
            models.Index(fields=["tenant", "-period_start"], name="usage_meter_tenant_period"),
            # what the audit has still to find right
            models.Index(fields=["tenant"], condition=Q(verified_at__isnull=True), name="usage_meter_unverified"),
            # the keeper prunes ended minutes
            models.Index(fields=["period_start"], condition=Q(period="MINUTE"), name="usage_meter_minutes"),
        ]
        triggers = [
            closed("measure", Measure, "usage_usagemeter_measure"),
            closed("period", PeriodKind, "usage_usagemeter_period"),
        ]

    def __str__(self) -> str:
        return f"{self.feature_id or 'tenant'} {self.measure}/{self.period}"
