"""At what a quota's people are told."""

from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import BooleanField, F, Func, Q

from plans.charges import Measure, PeriodKind
from plans.models import Feature
from tenants import versions
from tenants.ids import uuid7
from tenants.models import Tenant, one_of

MOST_PERCENT = 1_000
MOST_AMOUNT = 10**18


def _within(field: str, most: int) -> Func:
    """SQL of whether each element lies in 1..most; an empty list does."""
    return Func(
        F(field), template=f"(0 < ALL(%(expressions)s) AND {most} >= ALL(%(expressions)s))",
        output_field=BooleanField(),
    )  # fmt: skip


class AlertPolicyQuerySet(models.QuerySet["AlertPolicy"]):
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        """Those that a tenant has of its own."""
        return self.filter(tenant=tenant)

    def of_everybody(self) -> Self:
        """Those that hold where a tenant has none."""
        return self.filter(tenant=None)


class AlertPolicy(models.Model):
    """The thresholds of the quotas it names; the one that names a quota most closely holds, a tenant's own first."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False,
        help_text="Empty = every tenant that has none of its own.",
    )  # fmt: skip
    feature = models.ForeignKey(
        Feature, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False,
        help_text="Empty = every feature, and what features share.",
    )  # fmt: skip
    measure = models.CharField(
        max_length=16, choices=Measure, null=True, blank=True, help_text="Empty = whatever is counted."
    )
    period = models.CharField(
        max_length=8, choices=PeriodKind, null=True, blank=True, help_text="Empty = days and months."
    )
    percents = ArrayField(
        models.PositiveSmallIntegerField(), default=list, blank=True,
        help_text="Shares of the limit in percent, such as 50, 80, 95, 100. None = not told.",
    )  # fmt: skip
    amounts = ArrayField(
        models.BigIntegerField(), default=list, blank=True,
        help_text="Amounts, limit or not: nano-USD of money, else the quota's unit. Need a measure and a period.",
    )  # fmt: skip

    objects = AlertPolicyQuerySet.as_manager()

    class Meta:
        ordering = ["tenant", "feature", "measure", "period"]
        verbose_name_plural = "alert policies"
        constraints = [
            one_of("measure", Measure, "alerts_alertpolicy_measure"),
            one_of("period", PeriodKind, "alerts_alertpolicy_period"),
            # also the reader's index: those of a tenant, or of everybody
            models.UniqueConstraint(
                fields=["tenant", "feature", "measure", "period"], nulls_distinct=False, name="alerts_alertpolicy_once"
            ),
            models.CheckConstraint(
                condition=Q(amounts=[]) | Q(measure__isnull=False, period__isnull=False),
                name="alerts_alertpolicy_amounts_have_a_unit",
            ),
            models.CheckConstraint(condition=_within("percents", MOST_PERCENT), name="alerts_alertpolicy_percents"),
            models.CheckConstraint(condition=_within("amounts", MOST_AMOUNT), name="alerts_alertpolicy_amounts"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="keep_the_default",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition(
                    "OLD.tenant_id IS NULL AND OLD.feature_id IS NULL AND OLD.measure IS NULL AND OLD.period IS NULL"
                ),
            ),
            *versions.counted(
                f"COALESCE(r.tenant_id, {versions.OF_CATALOGUE})",
                columns=["tenant_id", "feature_id", "measure", "period", "percents", "amounts"],
            ),
        ]

    def __str__(self) -> str:
        named = [self.feature_id, self.measure, self.period]
        return " ".join(str(each) for each in named if each) or "Every quota"

    @property
    def is_default(self) -> bool:
        """Whether it is the one about everything, which stays."""
        return (self.tenant_id, self.feature_id, self.measure, self.period) == (None, None, None, None)
