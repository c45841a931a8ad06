"""Who is asking: tenants, their people, the ATI tokens and service keys they call with."""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self
from zoneinfo import available_timezones

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from tenants import versions
from tenants.ids import uuid7

if TYPE_CHECKING:
    from plans.models import Plan


def one_of(field: str, choices: type[models.TextChoices], name: str) -> models.CheckConstraint:
    """The CHECK that closes a set of choices in the database."""
    return models.CheckConstraint(condition=Q(**{f"{field}__in": choices.values}), name=name)


def kept(*fields: str, name: str) -> pgtrigger.Trigger:
    """Refuses to change these fields of a stored row.

    After the update, because a trigger before it locks the row as if the keys it sets were changed, as every
    form does: who refers to the row would wait for the form, and the form for their configuration number.
    """
    return pgtrigger.ReadOnly(name=name, fields=[*fields], when=pgtrigger.After)


class EnforcementMode(models.TextChoices):
    OFF = "OFF", "Off: nothing is checked or recorded"
    OBSERVE = "OBSERVE", "Observe: everything is recorded, nothing is refused"
    ENFORCE = "ENFORCE", "Enforce"


class TenantStatus(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    SUSPENDED = "SUSPENDED", "Suspended"


class UserStatus(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    SUSPENDED = "SUSPENDED", "Suspended"


class Role(models.TextChoices):
    SUPER_ADMIN = "SUPER_ADMIN", "Super admin"
    OWNER = "OWNER", "Owner"
    ADMIN = "ADMIN", "Admin"
    MANAGER = "MANAGER", "Manager"
    ANALYST = "ANALYST", "Analyst"
    VIEWER = "VIEWER", "Viewer"


class TokenStatus(models.TextChoices):
    """What an operator stores; what is shown (ISSUED, EXPIRED, USED_UP) is derived, see `ATIToken.state`."""

    ACTIVE = "ACTIVE", "Active"
    SUSPENDED = "SUSPENDED", "Suspended"
    REVOKED = "REVOKED", "Revoked"


class Scope(models.TextChoices):
    ENFORCE = "enforce", "Reserve, commit, release"
    READ = "read", "Read usage"
    REPORT = "report", "Report usage events"
    ADMIN = "admin", "Simulate plans"


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


class UserManager(BaseUserManager["User"]):
    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":  # noqa: ANN401 - model fields
        """A user of a tenant; the password is stored hashed, None makes log-in impossible."""
        user = self.model(email=self.model.normalize_username(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":  # noqa: ANN401 - model fields
        """A super admin: no tenant, every permission."""
        return self.create_user(email, password, role=Role.SUPER_ADMIN, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=self.model.normalize_username(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """A person who logs in by e-mail: a super admin, or someone of one tenant."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField("e-mail", max_length=254, help_text="Used to log in; stored in lower case.")
    name = models.CharField(max_length=200, blank=True, help_text="How the person is addressed.")
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="users",
        help_text="Empty for super admins only.",
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.VIEWER, help_text="What they may do.")
    status = models.CharField(
        max_length=16,
        choices=UserStatus,
        default=UserStatus.ACTIVE,
        help_text="A suspended person cannot log in, and their tokens answer 401.",
    )
    is_shown_all_usage = models.BooleanField(
        default=False,
        help_text="Lets an analyst or viewer see everybody's usage. Owners, admins and managers see it anyway.",
    )
    signup_token = models.ForeignKey(
        "tenants.ATIToken",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="signups",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(fields=["email"], name="tenants_user_email"),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="tenants_user_email_lower_case"),
            one_of("role", Role, "tenants_user_role"),
            one_of("status", UserStatus, "tenants_user_status"),
            models.CheckConstraint(
                condition=Q(role=Role.SUPER_ADMIN, tenant__isnull=True)
                | (~Q(role=Role.SUPER_ADMIN) & Q(tenant__isnull=False)),
                name="tenants_user_super_admin_has_no_tenant",
            ),
            models.CheckConstraint(
                condition=Q(is_superuser=False) | Q(role=Role.SUPER_ADMIN),
                name="tenants_user_superuser_is_super_admin",
            ),
            models.CheckConstraint(
                condition=Q(signup_token__isnull=True) | Q(tenant__isnull=False),
                name="tenants_user_signup_token_needs_tenant",
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="tenants_user_tenant_id"),
        ]
        triggers = versions.counted("r.tenant_id", columns=["tenant_id", "role", "status", "is_shown_all_usage"])

    def __str__(self) -> str:
        return self.email

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """The e-mail address as it is stored and looked up; forms reach it through `clean`."""
        return super().normalize_username(username).strip().lower()

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # Django reads it; here it follows the status
        """Whether they may log in."""
        return self.status == UserStatus.ACTIVE

    @property
    def is_staff(self) -> bool:
        """Whether they may enter the admin: super admins only."""
        return self.role == Role.SUPER_ADMIN

    @property
    def manages(self) -> bool:
        """Whether they manage their tenant's people and tokens."""
        return self.role in (Role.OWNER, Role.ADMIN)

    @property
    def sees_all(self) -> bool:
        """Whether they see the usage of everybody in their tenant, and not just their own."""
        return self.is_shown_all_usage or self.role in (Role.OWNER, Role.ADMIN, Role.MANAGER)

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email


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


class ConfigVersion(models.Model):
    """How often the configuration of a subject changed. Only triggers write it, see `tenants.versions`."""

    subject = models.UUIDField(primary_key=True)
    number = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(number__gt=0), name="tenants_configversion_number")]

    def __str__(self) -> str:
        return f"{self.subject}: {self.number}"


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
