"""The account of a user who is a person of the tenant: it stays as a row that others refer to, and is nobody's."""

import secrets
from collections.abc import Iterator
from uuid import UUID

from django.apps import apps
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Model
from django.db.models.functions import Coalesce, Now

from tenants.models import ATIToken, Role, Tenant, TokenStatus, User, UserStatus

_NOBODY = "erased.invalid"
_SIGN_IN = ("account", "mfa", "socialaccount")


class OnlyOwner(Exception):
    """A tenant would be left without an OWNER who can log in."""


def of(tenant: Tenant, user_key: str) -> User | None:
    """The person of the tenant whose key this is: an ATI token's user is known by the id of their account."""
    try:
        id_ = UUID(user_key)
    except ValueError:
        return None
    return User.objects.filter(tenant=tenant, id=id_).first() if str(id_) == user_key else None


def require_another_owner(user: User) -> None:
    """Raises OnlyOwner."""
    owners = User.objects.filter(tenant=user.tenant, role=Role.OWNER, status=UserStatus.ACTIVE)
    if user.role == Role.OWNER and not owners.exclude(pk=user.pk).exists():
        raise OnlyOwner(f"{user} is the only OWNER of {user.tenant}: make somebody else one first.")


def erase(user: User) -> None:
    """Suspends and anonymises a person, and revokes their tokens: from then on they make no calls.

    The address is random and not the pseudonym: who reads the account could tell the two belong together.
    """
    with transaction.atomic():
        ATIToken.objects.filter(user=user).update(
            status=TokenStatus.REVOKED, revoked_at=Coalesce("revoked_at", Now()), name=""
        )
        user.email = f"{secrets.token_hex(10)}@{_NOBODY}"
        user.name = ""
        user.status = UserStatus.SUSPENDED
        user.last_login = None
        user.set_unusable_password()
        user.save(update_fields=["email", "name", "status", "last_login", "password"])
    for model in _belonging():
        model._default_manager.filter(user=user).delete()
    for session in Session.objects.iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()


def _belonging() -> Iterator[type[Model]]:
    """What the sign-in packages keep of a person: addresses, second factors, accounts elsewhere."""
    for label in _SIGN_IN:
        if apps.is_installed(f"allauth.{label}"):
            for model in apps.get_app_config(label).get_models():
                if any(field.name == "user" for field in model._meta.get_fields()):
                    yield model


def is_erased(user: User) -> bool:
    """Whether it was."""
    return user.email.endswith(f"@{_NOBODY}")
