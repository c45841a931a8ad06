"""Where nobody has said who is told, the owners are, by mail; super admins where they have no channel either.

The channel has the id of the person, so however many sweeps make it, there is one. Whoever does not want its mails
switches it off, or follows the link in them, and it stays so: it is a channel like any other.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from alerts import disabling, nudging
from alerts.models import Channel, ChannelKind, Delivery, QuotaAlert
from alerts.models.channel import ChannelQuerySet
from tenants import versions
from tenants.models import Role, User, UserStatus

_NAME_LENGTH = 100
_TOLD_LATER = timedelta(days=1)
"""What was noticed that long ago is told to an owner who comes only now, if it still holds."""
_FORMER = "Is no owner any more."


def have_told() -> int:
    """Gives a channel to each active owner of a tenant that has none, and has it tell what still holds; how many."""
    _follow_owners()
    _leave_former_owners()
    people = [*_owners().filter(~Exists(_kept().filter(tenant=OuterRef("tenant"))))]
    if not _kept().of_operators().exists():
        people += User.objects.filter(role=Role.SUPER_ADMIN, status=UserStatus.ACTIVE)
    if people:
        _give(people, versions.refresh(versions.CATALOGUE))
        nudging.nudge()
    return len(people)


def _owners() -> QuerySet[User]:
    return User.objects.filter(role=Role.OWNER, status=UserStatus.ACTIVE)


def _kept() -> ChannelQuerySet:
    """Channels that say who is told: all but those that were given to somebody who is no owner any more."""
    return Channel.objects.exclude(is_active=False, disabled_reason=_FORMER)


def _follow_owners() -> None:
    """Where somebody's address is another now, their mails go there; one that was led elsewhere stays."""
    person = User.objects.filter(id=OuterRef("id"), status=UserStatus.ACTIVE)
    given = Channel.objects.filter(kind=ChannelKind.EMAIL, address__contains="@")
    given = given.filter(Exists(person), ~Exists(person.filter(email=OuterRef("address"))))
    mails = given.annotate(mail=Subquery(person.values("email")))
    for id_, tenant, name, old, new in mails.values_list("id", "tenant", "name", "address", "mail"):
        if name == _name(tenant, old):
            Channel.objects.filter(pk=id_, address=old).update(address=new, name=_name(tenant, new), failures=0)


def _name(tenant: UUID | None, address: str) -> str:
    return f"{'Owner' if tenant else 'Super admin'}: {address}"[:_NAME_LENGTH]


def _leave_former_owners() -> None:
    """Mails stop with the role that they were given for, and come back with it."""
    person = User.objects.filter(id=OuterRef("id"))
    # One that was led elsewhere is the tenant's own by then; an erasure leaves no address in it.
    given = Channel.objects.filter(Exists(person.filter(email=OuterRef("address"))) | ~Q(address__contains="@"))
    given = given.filter(Exists(person), kind=ChannelKind.EMAIL)
    still = Exists(person.filter(role__in=[Role.OWNER, Role.SUPER_ADMIN], status=UserStatus.ACTIVE))
    for channel in given.filter(~still, is_active=True):
        disabling.switch_off(channel, _FORMER)
    for channel in given.filter(still, is_active=False, disabled_reason=_FORMER):
        disabling.switch_on(channel)


@transaction.atomic
def _give(people: list[User], now: datetime) -> None:
    made = Channel.objects.bulk_create(
        [
            Channel(
                id=person.id, tenant_id=person.tenant_id, kind=ChannelKind.EMAIL, address=person.email,
                name=_name(person.tenant_id, person.email),
            )
            for person in people
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    lately = QuotaAlert.objects.open().filter(created_at__gt=now - _TOLD_LATER)
    for channel in made:
        Delivery.objects.bulk_create(
            [
                Delivery(
                    tenant_id=channel.tenant_id, channel_id=channel.id, alert=alert, next_attempt_at=Now(),
                    created_at=now,
                )
                for alert in lately.filter(tenant=channel.tenant_id)
            ],
            ignore_conflicts=True,
        )  # fmt: skip
