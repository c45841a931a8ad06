"""People."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from tenants import versions
from tenants.ids import uuid7
from tenants.models.constraints import one_of
from tenants.models.tenant import Tenant


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

    def names(self, tenant: UUID, keys: Iterable[str]) -> dict[str, str]:
        """What to call those user keys that are people of a tenant; the others are its services' users."""
        ids = [found for key in keys if (found := _uuid(key)) is not None]
        people = self.filter(tenant=tenant, id__in=ids) if ids else ()
        return {str(person.id): person.get_full_name() for person in people}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


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
