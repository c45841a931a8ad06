"""ATI tokens, and the plan that a tenant has by its root token."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, Q

from tenants import versions
from tenants.ids import uuid7
from tenants.models.constraints import kept, one_of
from tenants.models.tenant import Tenant
from tenants.models.user import User

if TYPE_CHECKING:
    from plans.models import Plan


class TokenStatus(models.TextChoices):
    """What an operator stores; what is shown (ISSUED, EXPIRED, USED_UP) is derived, see `ATIToken.state`."""

    ACTIVE = "ACTIVE", "Active"
    SUSPENDED = "SUSPENDED", "Suspended"
    REVOKED = "REVOKED", "Revoked"


class ATITokenQuerySet(models.QuerySet["ATIToken"]):
    def roots(self) -> Self:
        return self.filter(id=F("root"))

    def for_tenant(self, tenant: Tenant) -> Self:
        return self.filter(tenant=tenant)

    def holding(self, plan: "Plan") -> Self:
        """The root tokens whose plan or next plan this is."""
        return self.filter(Q(plan=plan) | Q(next_plan=plan))

    def with_plan_tier(self) -> Self:
        """What `plan_tier` reads, without a query per row."""
        return self.select_related("root__plan", "root__next_plan")


class ATIToken(models.Model):
    """A token of a tenant: an invitation to sign up, or the credential of one of its users.

    The root token alone carries the tenant's plan; every other token of the tenant inherits it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="ati_tokens")
    root = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        related_name="branches",
        editable=False,
        help_text="The tenant's root token; itself for the root.",
    )
    user = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="ati_tokens",
        help_text="Whose calls it authenticates; empty for an invitation. Set when issued only.",
    )
    name = models.CharField(max_length=100, blank=True, help_text="What it is for, as people call it.")
    fingerprint = models.CharField(max_length=16, unique=True, editable=False)
    hash = models.BinaryField(max_length=32, editable=False)
    status = models.CharField(
        max_length=16,
        choices=TokenStatus,
        default=TokenStatus.ACTIVE,
        help_text="Suspended can be undone, revoked is for good.",
    )
    revoked_at = models.DateTimeField(null=True, editable=False, help_text="Since when it is revoked.")
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on it signs nobody up and authenticates no call."
    )
    max_uses = models.PositiveIntegerField(
        null=True, blank=True, help_text="How many sign-ups an invitation allows; empty = unlimited."
    )
    usage_count = models.PositiveIntegerField(default=0, editable=False)
    plan = models.ForeignKey("plans.Plan", on_delete=models.PROTECT, null=True, blank=True, related_name="root_tokens")
    plan_starts_at = models.DateTimeField(null=True, blank=True, help_text="When the plan begins.")
    plan_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="When the tenant's plan ends, whichever is then in force."
    )
    next_plan = models.ForeignKey(
        "plans.Plan", on_delete=models.PROTECT, null=True, blank=True, related_name="next_root_tokens"
    )
    next_plan_at = models.DateTimeField(null=True, blank=True, help_text="When the next plan takes over.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ATITokenQuerySet.as_manager()

    class Meta:
        verbose_name = "ATI token"
        ordering = ["tenant", "-created_at"]
        constraints = [
            one_of("status", TokenStatus, "tenants_atitoken_status"),
            models.CheckConstraint(
                condition=Q(status=TokenStatus.REVOKED, revoked_at__isnull=False)
                | (~Q(status=TokenStatus.REVOKED) & Q(revoked_at__isnull=True)),
                name="tenants_atitoken_revoked_has_time",
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="tenants_atitoken_tenant_id"),
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(id=F("root")), name="tenants_atitoken_one_root_per_tenant"
            ),
            models.CheckConstraint(
                condition=Q(id=F("root"), plan__isnull=False, plan_starts_at__isnull=False)
                | (
                    ~Q(id=F("root"))
                    & Q(
                        plan__isnull=True,
                        plan_starts_at__isnull=True,
                        plan_ends_at__isnull=True,
                        next_plan__isnull=True,
                    )
                ),
                name="tenants_atitoken_plan_on_root_only",
            ),
            models.CheckConstraint(
                condition=~Q(id=F("root")) | Q(user__isnull=True), name="tenants_atitoken_root_is_invitation"
            ),
            models.CheckConstraint(
                condition=Q(next_plan__isnull=True, next_plan_at__isnull=True)
                | Q(next_plan__isnull=False, next_plan_at__isnull=False),
                name="tenants_atitoken_next_plan_has_date",
            ),
            models.CheckConstraint(
                condition=Q(next_plan_at__isnull=True)
                | Q(plan_ends_at__isnull=True)
                | Q(next_plan_at__lt=F("plan_ends_at")),
                name="tenants_atitoken_next_plan_before_end",
            ),
            models.CheckConstraint(
                condition=Q(plan_ends_at__isnull=True) | Q(plan_starts_at__lt=F("plan_ends_at")),
                name="tenants_atitoken_plan_starts_before_end",
            ),
            models.CheckConstraint(
                condition=Q(max_uses__isnull=True) | Q(user__isnull=True),
                name="tenants_atitoken_max_uses_on_invitation",
            ),
        ]
        triggers = [
            kept("tenant", "root", "user", name="keep_owner"),
            *versions.counted(
                "r.tenant_id",
                columns=[
                    "user_id", "hash", "fingerprint", "status", "expires_at", "plan_id", "plan_starts_at",
                    "plan_ends_at", "next_plan_id", "next_plan_at",
                ],
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"ati_{self.fingerprint}"

    @property
    def is_root(self) -> bool:
        """Whether this is the tenant's root token."""
        return self.id == self.root_id

    def plan_at(self, now: datetime) -> "Plan | None":
        """The plan in force at `now`, by the root token alone; None before its start and after its end."""
        root = self.root
        if root.plan_starts_at is None or now < root.plan_starts_at:
            return None
        if root.plan_ends_at is not None and now >= root.plan_ends_at:
            return None
        return root.next_plan if root.next_plan_at is not None and now >= root.next_plan_at else root.plan

    def plan_tier(self, now: datetime) -> str | None:
        """The code of the plan in force at `now`."""
        plan = self.plan_at(now)
        return plan.code if plan else None

    def state(self, now: datetime) -> str:
        """What is shown: the stored status, else EXPIRED, USED_UP, ISSUED (never used) or ACTIVE."""
        if self.status != TokenStatus.ACTIVE:
            return self.status
        if self.expires_at is not None and now >= self.expires_at:
            return "EXPIRED"
        if self.max_uses is not None and self.usage_count >= self.max_uses:
            return "USED_UP"
        return "ACTIVE" if self.usage_count or self.user_id else "ISSUED"


class TenantPlan(models.Model):
    """The plan each tenant is on now, for lists and joins: a read-only view over its root token."""

    tenant = models.OneToOneField(Tenant, on_delete=models.DO_NOTHING, primary_key=True, related_name="current_plan")
    root_token = models.ForeignKey(ATIToken, on_delete=models.DO_NOTHING, related_name="+")
    plan = models.ForeignKey("plans.Plan", on_delete=models.DO_NOTHING, related_name="current_tenants")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "tenants_tenantplan"

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.plan_id}"
