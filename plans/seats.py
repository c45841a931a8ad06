"""Seats: how many people a tenant's plan allows, and the sign-up that takes one."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

from tenants import tokens
from tenants.models import ATIToken, Role, Tenant, TenantStatus, TokenStatus, User, UserStatus

_SENT_TWICE = timedelta(minutes=10)


class Refusal(StrEnum):
    """Why a sign-up is refused."""

    INVALID = "INVALID"
    TENANT_SUSPENDED = "TENANT_SUSPENDED"
    REVOKED = "REVOKED"
    SUSPENDED = "SUSPENDED"
    EXPIRED = "EXPIRED"
    USED_UP = "USED_UP"
    PLAN_EXPIRED = "PLAN_EXPIRED"
    SEATS_FULL = "SEATS_FULL"
    EMAIL_TAKEN = "EMAIL_TAKEN"


_WHAT_TO_DO = {
    Refusal.INVALID: "This is not an invitation we know. Copy all of it again, or ask for a new one.",
    Refusal.TENANT_SUSPENDED: "This organisation is suspended. Ask its owner to have that settled first.",
    Refusal.REVOKED: "This invitation was withdrawn. Ask for a new one.",
    Refusal.SUSPENDED: "This invitation is suspended for now. Ask whoever sent it to release it.",
    Refusal.EXPIRED: "This invitation has expired. Ask for a new one.",
    Refusal.USED_UP: "This invitation was used as often as it allows. Ask for a new one.",
    Refusal.PLAN_EXPIRED: "This organisation has no plan in force. Ask its owner to renew it first.",
    Refusal.SEATS_FULL: "All seats of this organisation are taken. Ask its owner to free one or to change the plan.",
    Refusal.EMAIL_TAKEN: "There is an account with this e-mail address already. Log in, or use another address.",
}


class SignUpRefused(Exception):
    """The sign-up cannot be done; `code` says why, the message what to do."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(_WHAT_TO_DO[code])
        self.code = code


def taken(tenant: Tenant) -> int:
    """The seats in use: the tenant's people, suspended ones left out.

    Somebody suspended may be revived beyond the plan's seats; then nobody joins until there is room again.
    """
    return tenant.users.filter(status=UserStatus.ACTIVE).count()


def free(tenant: Tenant, now: datetime) -> int | None:
    """The seats that are left in the plan in force; None = no limit, 0 also where no plan is in force."""
    root = ATIToken.objects.with_plan_tier().roots().filter(tenant=tenant).first()
    plan = root.plan_at(now) if root else None
    if plan is None:
        return 0
    return None if plan.max_seats is None else max(0, plan.max_seats - taken(tenant))


def join(token_text: str, *, email: str, password: str, name: str, now: datetime) -> User:
    """Sign somebody up to a tenant by an invitation, taking one use of it and one seat of the plan in force.

    The first to join by a root token is the OWNER, all others are VIEWERs. The same form sent again within ten
    minutes answers the user it made. Raises SignUpRefused; ValidationError, by field, for a bad e-mail address,
    name or password. Nothing is written then.
    """
    token = _invitation(token_text)
    user = User(email=User.normalize_username(email), name=name.strip(), tenant=token.tenant, signup_token=token)
    _validate(user, password)
    user.set_password(password)  # slow on purpose, so before anything is locked
    try:
        _take_seat(user, token.tenant_id, token_text, now)
    except SignUpRefused:
        made = User.objects.filter(
            email=user.email, signup_token=token, status=UserStatus.ACTIVE, created_at__gt=now - _SENT_TWICE
        ).first()
        if made is not None and made.check_password(password):
            return made
        raise
    return user


def _invitation(text: str, *, lock: bool = False) -> ATIToken:
    """The invitation with this text; its tenant, root and plans come along, and are read after the lock."""
    presented = tokens.parse(text.strip())
    rows = ATIToken.objects.select_related("tenant", "root__plan", "root__next_plan")
    if lock:
        rows = rows.select_for_update(no_key=True, of=("self",))
    token = rows.filter(fingerprint=presented.public, user__isnull=True).first() if presented else None
    if presented is None or token is None or not presented.matches(bytes(token.hash)):
        raise SignUpRefused(Refusal.INVALID)
    return token


def _validate(user: User, password: str) -> None:
    errors: dict[str, list[str]] = {}
    try:
        user.clean_fields(exclude={"password", "tenant", "signup_token"})
    except ValidationError as problem:
        errors |= problem.message_dict
    try:
        validate_password(password, user)
    except ValidationError as problem:
        errors["password"] = problem.messages
    if errors:
        raise ValidationError(errors)


def _take_seat(user: User, tenant_id: UUID, token_text: str, now: datetime) -> None:
    """Save the user, all or nothing. The tenant's row is the lock of its seats, the token's that of its uses."""
    try:
        with transaction.atomic():
            tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
            token = _invitation(token_text, lock=True)
            refusal = _refusal(tenant, token, now)
            if refusal is not None:
                raise SignUpRefused(refusal)
            user.role = Role.OWNER if token.is_root and token.usage_count == 0 else Role.VIEWER
            user.save(force_insert=True)
            ATIToken.objects.filter(pk=token.pk).update(usage_count=F("usage_count") + 1)
    except IntegrityError as problem:
        if not User.objects.filter(email=user.email).exists():
            raise
        raise SignUpRefused(Refusal.EMAIL_TAKEN) from problem


def _refusal(tenant: Tenant, token: ATIToken, now: datetime) -> Refusal | None:
    if tenant.status == TenantStatus.SUSPENDED:
        return Refusal.TENANT_SUSPENDED
    state = token.state(now)
    if state in (TokenStatus.REVOKED, TokenStatus.SUSPENDED, "EXPIRED", "USED_UP"):
        return Refusal(state)
    plan = token.plan_at(now)
    if plan is None:
        return Refusal.PLAN_EXPIRED
    if plan.max_seats is not None and taken(tenant) >= plan.max_seats:
        return Refusal.SEATS_FULL
    return None
