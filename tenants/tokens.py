"""Issue, renew and revoke ATI tokens and service keys. A secret exists in clear once: in `Issued`.

A credential reads `<kind>_<public>_<secret>`: the public part finds the row, the SHA-256 of the whole text is
what is stored. The secret is 256 random bits, so a plain hash is enough (there is nothing to guess).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from tenants.ids import uuid7
from tenants.models import ATIToken, Scope, ServiceKey, Tenant, TokenStatus, User

if TYPE_CHECKING:
    from plans.models import Plan

ATI = "ati"
KEY = "mk"
_FORM = re.compile(r"(ati|mk)_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")

Credential = TypeVar("Credential", ATIToken, ServiceKey)


class TokenError(Exception):
    """What was asked of a token cannot be done; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Issued(Generic[Credential]):
    """A credential just issued, with its text, which is shown now and never again."""

    record: Credential
    text: str


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential as somebody sent it: its kind, its public part and the hash of its text."""

    kind: str
    public: str
    hash: bytes

    def matches(self, stored: bytes) -> bool:
        """Whether it is the one that was issued; takes the same time for every wrong one."""
        return hmac.compare_digest(self.hash, stored)


def parse(text: str) -> Presented | None:
    """The credential in a text, or None where it has not the form of one."""
    form = _FORM.fullmatch(text)
    return Presented(form[1], form[2], _hash(text)) if form else None


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _new(kind: str) -> tuple[str, str]:
    public = secrets.token_hex(8)
    return public, f"{kind}_{public}_{secrets.token_urlsafe(32)}"


def issue_root(
    tenant: Tenant,
    plan: "Plan",
    *,
    starts_at: datetime,
    ends_at: datetime | None = None,
    expires_at: datetime | None = None,
    max_uses: int | None = None,
) -> Issued[ATIToken]:
    """The tenant's one root token: an invitation that carries the plan.

    TokenError where the tenant has its root token already, or the plan is not given or would end at once.
    """
    if ends_at is not None and ends_at <= starts_at:
        raise TokenError("The plan would end before it begins.")
    public, text = _new(ATI)
    token_id = uuid7()
    with transaction.atomic():
        _require_given(plan)
        locked = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
        if locked.root_token_id is not None:
            raise TokenError(f"{tenant.ati_id} has its root token already; renew it instead.")
        token = ATIToken.objects.create(
            id=token_id, tenant=tenant, root_id=token_id, name="Root", fingerprint=public,
            hash=_hash(text), plan=plan, plan_starts_at=starts_at, plan_ends_at=ends_at,
            expires_at=expires_at, max_uses=max_uses,
        )  # fmt: skip
        locked.root_token = token
        locked.save(update_fields=["root_token"])
    tenant.root_token = token
    return Issued(token, text)


def issue_invitation(
    tenant: Tenant,
    *,
    name: str = "",
    expires_at: datetime | None = None,
    max_uses: int | None = None,
    token_id: UUID | None = None,
) -> Issued[ATIToken]:
    """A token that signs people up to the tenant; it inherits the root's plan.

    `token_id`, where the caller has chosen one, is the new token's: TokenError where it was issued before.
    """
    return _issue_branch(tenant, None, token_id, name=name, expires_at=expires_at, max_uses=max_uses)


def issue_for_user(
    user: User, *, name: str = "", expires_at: datetime | None = None, token_id: UUID | None = None
) -> Issued[ATIToken]:
    """A token that authenticates one user's calls; it inherits the root's plan. `token_id` as in an invitation."""
    if user.tenant is None:
        raise TokenError("A super admin belongs to no tenant and has no ATI token.")
    return _issue_branch(user.tenant, user, token_id, name=name, expires_at=expires_at, max_uses=None)


def _issue_branch(
    tenant: Tenant,
    user: User | None,
    token_id: UUID | None,
    *,
    name: str,
    expires_at: datetime | None,
    max_uses: int | None,
) -> Issued[ATIToken]:
    root = Tenant.objects.values_list("root_token", flat=True).get(pk=tenant.pk)
    if root is None:
        raise TokenError(f"{tenant.ati_id} has no root token yet; a super admin issues it with a plan.")
    public, text = _new(ATI)
    token = ATIToken(
        id=token_id or uuid7(), tenant=tenant, root_id=root, user=user, name=name, fingerprint=public,
        hash=_hash(text), expires_at=expires_at, max_uses=max_uses,
    )  # fmt: skip
    try:
        with transaction.atomic():
            token.save(force_insert=True)
    except IntegrityError as error:
        if not ATIToken.objects.filter(pk=token.pk).exists():
            raise
        raise TokenError(
            "This token was issued already, and its secret is shown once only. Revoke it and issue another one."
        ) from error
    return Issued(token, text)


def renew(token: ATIToken, *, expires_at: datetime | None) -> Issued[ATIToken]:
    """A new secret and expiry for the same token; the old secret stops working with this.

    TokenError where it was revoked.
    """
    public, text = _new(ATI)
    with transaction.atomic():
        locked = ATIToken.objects.select_for_update(no_key=True).get(pk=token.pk)
        _refuse_revoked(locked)
        locked.fingerprint, locked.hash, locked.expires_at = public, _hash(text), expires_at
        locked.save(update_fields=["fingerprint", "hash", "expires_at"])
    token.refresh_from_db()
    return Issued(token, text)


def set_status(token: ATIToken, status: TokenStatus) -> None:
    """Suspend, revive or revoke. TokenError where it was revoked: that is for good."""
    with transaction.atomic():
        locked = ATIToken.objects.select_for_update(no_key=True).get(pk=token.pk)
        if status != TokenStatus.REVOKED:
            _refuse_revoked(locked)
        if locked.status != status:
            locked.status = status
            locked.revoked_at = datetime.now(UTC) if status == TokenStatus.REVOKED else None
            locked.save(update_fields=["status", "revoked_at"])
    token.refresh_from_db()


def _refuse_revoked(token: ATIToken) -> None:
    if token.status == TokenStatus.REVOKED:
        raise TokenError("A revoked token stays revoked; issue a new one.")


def _require_given(plan: "Plan") -> None:
    """Its row stays locked: a revision that takes its place meanwhile then finds this token. Before any token."""
    locked = type(plan).objects.select_for_update(no_key=True).get(pk=plan.pk)
    if locked.status != "ACTIVE":  # plans.models.PlanStatus, which lies above
        raise TokenError(f"{plan} is not active; only an active plan can be given.")


def change_plan(root: ATIToken, plan: "Plan", *, now: datetime, at: datetime | None = None) -> None:
    """Put the tenant on another plan now, or at an instant to come. A next plan already due is folded in.

    A plan put in force now leaves a next plan that is still to come. TokenError where `root` is no root token,
    the plan is not given, `at` is not to come, or the tenant's plan has ended by then.
    """
    if at is not None and at <= now:
        raise TokenError("The next plan must begin in the future; leave the date out to change it now.")
    with transaction.atomic():
        _require_given(plan)
        locked = _locked_root(root)
        if locked.plan_ends_at is not None and (at or now) >= locked.plan_ends_at:
            raise TokenError("The tenant's plan has ended by then; move its end first.")
        fold_due(locked, now)
        if at is None:
            locked.plan, locked.plan_starts_at = plan, now
        else:
            locked.next_plan, locked.next_plan_at = plan, at
        locked.save(update_fields=["plan", "plan_starts_at", "next_plan", "next_plan_at"])
    root.refresh_from_db()


def fold_due(root: ATIToken, now: datetime) -> None:
    """Make a next plan whose date has come the plan, on the instance alone; its row is for the caller to store."""
    if root.next_plan_at is not None and root.next_plan_at <= now:
        # A next plan whose date comes before the start of the plan waits for that start.
        root.plan, root.plan_starts_at = root.next_plan, max(root.next_plan_at, root.plan_starts_at or now)
        root.next_plan = root.next_plan_at = None


def store_plans(roots: Sequence[ATIToken]) -> None:
    """Store the plan, its start and the next plan of root tokens that the caller holds locked.

    By one statement, however many they are: the configuration numbers of their tenants are taken in order.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE tenants_atitoken t
               SET plan_id = m.plan_id, plan_starts_at = m.starts_at, next_plan_id = m.next_id, next_plan_at = m.next_at
              FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::uuid[], %s::timestamptz[])
                   AS m (id, plan_id, starts_at, next_id, next_at)
             WHERE t.id = m.id
            """,
            [
                [root.id for root in roots],
                [root.plan_id for root in roots],
                [root.plan_starts_at for root in roots],
                [root.next_plan_id for root in roots],
                [root.next_plan_at for root in roots],
            ],
        )


def end_plan(root: ATIToken, *, at: datetime | None) -> None:
    """Let the tenant's plan end at an instant, or run on (None); a plan that ended before is in force again.

    TokenError where `root` is no root token, or `at` is not after the start of its plan and of its next plan.
    """
    with transaction.atomic():
        locked = _locked_root(root)
        begins = max(start for start in (locked.plan_starts_at, locked.next_plan_at) if start is not None)
        if at is not None and at <= begins:
            raise TokenError("The plan would end before it begins, or before the next plan begins.")
        locked.plan_ends_at = at
        locked.save(update_fields=["plan_ends_at"])
    root.refresh_from_db()


def _locked_root(token: ATIToken) -> ATIToken:
    locked = ATIToken.objects.select_for_update(no_key=True).get(pk=token.pk)
    if not locked.is_root:
        raise TokenError("Only the root token carries a plan; every other token inherits it.")
    return locked


def issue_key(
    name: str,
    scopes: Iterable[Scope],
    *,
    tenant: Tenant | None = None,
    calls_per_second: int = 1000,
    expires_at: datetime | None = None,
) -> Issued[ServiceKey]:
    """A service key; without a tenant it may act for any. TokenError where no scope is given."""
    given = sorted(set(scopes))
    if not given:
        raise TokenError("A key without a scope can do nothing; give it at least one.")
    public, text = _new(KEY)
    key = ServiceKey.objects.create(
        name=name, prefix=public, hash=_hash(text), scopes=given, tenant=tenant,
        calls_per_second=calls_per_second, expires_at=expires_at,
    )  # fmt: skip
    return Issued(key, text)


def rotate_key(key: ServiceKey, *, now: datetime, grace: timedelta) -> Issued[ServiceKey]:
    """A key like this one; this one works until `grace` is over.

    TokenError where it was rotated before, or is revoked or expired.
    """
    public, text = _new(KEY)
    with transaction.atomic():
        old = ServiceKey.objects.select_for_update(no_key=True).get(pk=key.pk)
        if ServiceKey.objects.filter(replaces=old).exists():
            raise TokenError("This key was rotated already; rotate the new one.")
        if any(end is not None and end <= now for end in (old.revoked_at, old.expires_at)):
            raise TokenError("This key is revoked or expired; issue a new one.")
        ends = now + grace
        old.revoked_at = min(old.revoked_at, ends) if old.revoked_at else ends
        old.save(update_fields=["revoked_at"])
        new = ServiceKey.objects.create(
            name=old.name, prefix=public, hash=_hash(text), scopes=old.scopes, tenant=old.tenant,
            calls_per_second=old.calls_per_second, expires_at=old.expires_at, replaces=old,
        )  # fmt: skip
    key.revoked_at = old.revoked_at
    return Issued(new, text)


def revoke_key(key: ServiceKey, *, now: datetime) -> None:
    """The key answers 401 from the next request on."""
    key.revoked_at = min(key.revoked_at, now) if key.revoked_at else now
    key.save(update_fields=["revoked_at"])
