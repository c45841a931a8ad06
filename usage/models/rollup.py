"""The log and the refusals, summed beforehand for whoever reads many of them. `usage.rollups` alone writes here."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q

from plans.models import Feature, ModelClass, Task
from tenants.models import Tenant, one_of
from usage.fields import Xid8Field
from usage.models.base import UsageQuerySet, loose
from usage.models.log import LogStatus


class Sums(models.Model):
    """What the roll-ups of the log add up: rows alike in everything that is not a number.

    `bookings` are rows of the log; of status COMPLETED and FAILED they are operations. `unpriced` bookings have no
    cost, and `cost` is NULL where none has. `latency_histogram` counts by `rollup_latency_bucket`, without the zeros
    at its end. `held_*` is what reservations held when they ended, `held_*_used` what was booked on those holds.
    """

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    tenant = loose(Tenant)
    slot = models.DateTimeField()
    status = models.CharField(max_length=16, choices=LogStatus)
    bookings = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    api_calls = models.BigIntegerField()
    items = models.BigIntegerField()
    units = models.BigIntegerField()
    cost = models.BigIntegerField(null=True)
    latencies = models.BigIntegerField()
    latency_ms = models.BigIntegerField()
    latency_histogram = ArrayField(models.IntegerField())
    held_tokens = models.BigIntegerField()
    held_tokens_used = models.BigIntegerField()
    held_cost = models.BigIntegerField()
    held_cost_used = models.BigIntegerField()

    objects = UsageQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["-slot"]

    def __str__(self) -> str:
        return f"{self.slot:%Y-%m-%d %H:%M} {self.status}"


class KindSums(Sums):
    """Sums by all that tells calls apart but who made them."""

    feature = loose(Feature)
    task = loose(Task)
    model_class = loose(ModelClass, null=True)
    api_code = models.CharField(max_length=64, null=True)

    class Meta(Sums.Meta):
        abstract = True


class UsageRollup(KindSums):
    """15 minutes of occurred_at: no day of any zone begins within them."""

    user_key = models.CharField(max_length=128, null=True)

    class Meta(Sums.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slot", "feature", "task", "user_key", "model_class", "api_code", "status"],
                name="usage_usagerollup_key",
                nulls_distinct=False,
            ),
            one_of("status", LogStatus, "usage_usagerollup_status"),
        ]
        indexes = [
            # one user, or a few, over time
            models.Index(fields=["tenant", "user_key", "slot"], name="usage_rollup_user"),
            # a rebuild removes what it computes anew
            models.Index(fields=["slot"], name="usage_rollup_slot"),
        ]


class TenantRollup(KindSums):
    """15 minutes of all users together: what a whole tenant used is read here, and does not grow with its users."""

    class Meta(Sums.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slot", "feature", "task", "model_class", "api_code", "status"],
                name="usage_tenantrollup_key",
                nulls_distinct=False,
            ),
            one_of("status", LogStatus, "usage_tenantrollup_status"),
        ]
        indexes = [
            # a rebuild removes what it computes anew
            models.Index(fields=["slot"], name="usage_tenantrollup_slot"),
        ]


class DayRollup(KindSums):
    """A whole day of UTC: the middle of a long range that is summed by user, whose ends are read by 15 minutes."""

    user_key = models.CharField(max_length=128, null=True)

    class Meta(Sums.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slot", "feature", "task", "user_key", "model_class", "api_code", "status"],
                name="usage_dayrollup_key",
                nulls_distinct=False,
            ),
            one_of("status", LogStatus, "usage_dayrollup_status"),
        ]
        indexes = [
            # a rebuild removes what it computes anew
            models.Index(fields=["slot"], name="usage_dayrollup_slot"),
        ]


class TenantDayRollup(KindSums):
    """A whole day of UTC of all users together: the middle of a long range, few rows however much there was."""

    class Meta(Sums.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slot", "feature", "task", "model_class", "api_code", "status"],
                name="usage_tenantdayrollup_key",
                nulls_distinct=False,
            ),
            one_of("status", LogStatus, "usage_tenantdayrollup_status"),
        ]
        indexes = [
            # a rebuild removes what it computes anew
            models.Index(fields=["slot"], name="usage_tenantdayrollup_slot"),
        ]


class UserDayRollup(Sums):
    """A whole day of UTC of a user, whatever they did: who used how much over a long range."""

    user_key = models.CharField(max_length=128, null=True)

    class Meta(Sums.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slot", "user_key", "status"],
                name="usage_userdayrollup_key",
                nulls_distinct=False,
            ),
            one_of("status", LogStatus, "usage_userdayrollup_status"),
        ]
        indexes = [
            # a rebuild removes what it computes anew
            models.Index(fields=["slot"], name="usage_userdayrollup_slot"),
        ]


class DenialRollup(models.Model):
    """Refusals alike within 15 minutes. They stay when the refusals themselves are pruned."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    tenant = loose(Tenant)
    slot = models.DateTimeField()
    user_key = models.CharField(max_length=128, null=True)
    feature = loose(Feature, null=True)
    task = loose(Task, null=True)
    code = models.CharField(max_length=32)
    count = models.BigIntegerField()

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-slot"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slot", "code", "feature", "task", "user_key"],
                name="usage_denialrollup_key",
                nulls_distinct=False,
            )
        ]
        indexes = [
            # a rebuild removes what it computes anew
            models.Index(fields=["slot"], name="usage_denialrollup_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.code} × {self.count}"


class RollupState(models.Model):
    """How far the roll-ups are: they hold the log's rows below (transaction_id, log_id) and no other. One row at most.

    Whoever writes roll-ups locks it first. `as_of`: all that was committed before is in; `seen_at` is the next such
    instant, once they hold all that is below seen_transaction_id. While `rebuild_from` is set, the roll-ups of that
    time are not to be read: they are removed (`rebuild_log_id` NULL), then filled again with the rows below
    (rebuild_transaction_id, rebuild_below), which is where the others were then, in the order of their ids, up to
    rebuild_log_id so far.
    """

    id = models.SmallIntegerField(primary_key=True, db_default=1)
    transaction_id = Xid8Field()
    log_id = models.UUIDField()
    as_of = models.DateTimeField(null=True)
    seen_transaction_id = Xid8Field()
    seen_at = models.DateTimeField(null=True)
    rebuild_from = models.DateTimeField(null=True)
    rebuild_until = models.DateTimeField(null=True)
    rebuild_transaction_id = Xid8Field()
    rebuild_below = models.UUIDField(null=True)
    rebuild_log_id = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="usage_rollupstate_one"),
            models.CheckConstraint(
                condition=Q(rebuild_from=None, rebuild_until=None) | Q(rebuild_from__lt=models.F("rebuild_until")),
                name="usage_rollupstate_rebuild",
            ),
        ]

    def __str__(self) -> str:
        return f"as of {self.as_of}"
