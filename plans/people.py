"""What the owners and admins of a tenant change about its people, each change on record."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from plans import seats
from tenants.models import Role, Tenant, User, UserStatus

GIVEN = (Role.OWNER, Role.ADMIN, Role.MANAGER, Role.ANALYST, Role.VIEWER)
"""The roles that a tenant's people have."""


class Refusal(StrEnum):
    """Why a change is refused."""

    NOT_ALLOWED = "NOT_ALLOWED"
    ONESELF = "ONESELF"
    OWNERS_ALONE = "OWNERS_ALONE"
    LAST_OWNER = "LAST_OWNER"
    SEATS_FULL = "SEATS_FULL"


_WHY = {
    Refusal.NOT_ALLOWED: "Owners and admins alone change people.",
    Refusal.ONESELF: "Nobody changes their own role or suspends themselves; ask another owner or admin.",
    Refusal.OWNERS_ALONE: "Only an owner changes an owner, or makes somebody one.",
    Refusal.LAST_OWNER: "This is the last active owner. Make somebody else an owner first.",
    Refusal.SEATS_FULL: "All seats of the plan are taken. Suspend somebody first, or ask for a larger plan.",
}


class ChangeRefused(Exception):
    """The change cannot be done, and nothing of it was; `code` says why, the message what to do."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(_WHY[code])
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a person of a tenant is to be."""

    role: Role
    status: UserStatus
    is_shown_all_usage: bool

    @classmethod
    def of(cls, person: User) -> "Standing":
        """What they are now."""
        return cls(
            role=Role(person.role), status=UserStatus(person.status), is_shown_all_usage=person.is_shown_all_usage
        )


def change(
    person: User,
    *,
    role: Role | None = None,
    status: UserStatus | None = None,
    is_shown_all_usage: bool | None = None,
    by: User,
    now: datetime,
) -> None:
    """Give somebody another role, suspend or revive them, or let them see everybody's usage. Raises ChangeRefused.

    What is None stays as it is, also where somebody else has changed it meanwhile.
    An owner does it to everybody but themselves, an admin to all but owners; a tenant keeps an active owner, and
    nobody is revived into a seat that the plan has not got. The tenant's row is the lock, as it is of its seats.
    """
    with transaction.atomic():
        tenant = Tenant.objects.select_for_update(no_key=True).get(users=person)
        locked = User.objects.select_for_update(no_key=True).get(pk=person.pk)
        author = User.objects.get(pk=by.pk)
        before = Standing.of(locked)
        to = Standing(
            role=role or before.role,
            status=status or before.status,
            is_shown_all_usage=before.is_shown_all_usage if is_shown_all_usage is None else is_shown_all_usage,
        )
        if to == before:
            return
        refusal = _refusal(tenant, locked, to, author, now)
        if refusal is not None:
            raise ChangeRefused(refusal)
        locked.role, locked.status, locked.is_shown_all_usage = to.role, to.status, to.is_shown_all_usage
        locked.save(update_fields=["role", "status", "is_shown_all_usage"])
        LogEntry.objects.log_actions(
            str(author.pk), [locked], CHANGE, change_message=_told(before, to), single_object=True
        )
    person.refresh_from_db()


def _refusal(tenant: Tenant, person: User, to: Standing, by: User, now: datetime) -> Refusal | None:
    if by.tenant_id != tenant.pk or by.status != UserStatus.ACTIVE or not by.manages:
        return Refusal.NOT_ALLOWED
    if person.pk == by.pk:
        return Refusal.ONESELF
    if Role.OWNER in (person.role, to.role) and by.role != Role.OWNER:
        return Refusal.OWNERS_ALONE
    owners = tenant.users.filter(role=Role.OWNER, status=UserStatus.ACTIVE)
    stays_owner = (to.role, to.status) == (Role.OWNER, UserStatus.ACTIVE)
    if person.role == Role.OWNER and not stays_owner and not owners.exclude(pk=person.pk).exists():
        return Refusal.LAST_OWNER
    is_revived = person.status == UserStatus.SUSPENDED and to.status == UserStatus.ACTIVE
    if is_revived and seats.free(tenant, now) == 0:
        return Refusal.SEATS_FULL
    return None


def _told(before: Standing, to: Standing) -> str:
    said = []
    if to.role != before.role:
        said.append(f"Role {before.role} to {to.role}.")
    if to.status != before.status:
        said.append("Suspended." if to.status == UserStatus.SUSPENDED else "Revived.")
    if to.is_shown_all_usage != before.is_shown_all_usage:
        said.append("Shown everybody's usage." if to.is_shown_all_usage else "No longer shown everybody's usage.")
    return " ".join(said)
