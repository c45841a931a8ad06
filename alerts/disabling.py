"""Switching a channel off that nobody is behind any more, and telling those who can mend it."""

from datetime import datetime

from django.db.models import F, Q

from alerts import noticing
from alerts.models import AlertKind, Channel, ChannelKind, Delivery, DeliveryState, Severity
from alerts.models.delivery import OPEN_STATES
from alerts.noticing import Noticed
from alerts.waiting import MOST_ATTEMPTS
from tenants.models import Role, User, UserStatus

STOPPED = "Stopped by who received its mails."
"""Why a channel is off whose receiver wants no more of it."""

_NAME_LENGTH, _REASON_LENGTH = 100, 200


def succeeded(channel: Channel) -> None:
    """A message arrived: whatever failed before is forgotten."""
    Channel.objects.filter(pk=channel.pk).exclude(failures=0).update(failures=0)


def failed(channel: Channel, reason: str, at: datetime, *, is_given_up: bool) -> None:
    """A try failed. A channel is switched off once a message was given up and nothing arrived in as many tries."""
    Channel.objects.filter(pk=channel.pk).update(failures=F("failures") + 1)
    if is_given_up and Channel.objects.filter(pk=channel.pk, failures__gte=MOST_ATTEMPTS).exists():
        disable(channel, reason, at)


def disable(channel: Channel, reason: str, at: datetime) -> None:
    """Switch a channel off, give up what waits for it, and tell its people by their other channels and its owners
    by mail. In the caller's transaction: all of it or nothing.
    """
    if not switch_off(channel, reason):
        return
    _have_owners_told(channel)
    noticing.notice(
        [
            Noticed(
                tenant=channel.tenant_id, kind=AlertKind.CHANNEL_DISABLED, severity=Severity.CRITICAL,
                subject=f"channel={channel.pk}", threshold=0, episode=at.isoformat(),
                numbers={"channel": channel.name, "reason": reason},
            )
        ],
        at,
    )  # fmt: skip


def switch_off(channel: Channel, reason: str) -> bool:
    """Switch a channel off and give up what waits for it; False where it was off."""
    found = Channel.objects.filter(pk=channel.pk, is_active=True)
    if not found.update(is_active=False, disabled_reason=reason[:_REASON_LENGTH]):
        return False
    Delivery.objects.filter(channel=channel, state__in=[*OPEN_STATES, DeliveryState.GATHERED]).update(
        state=DeliveryState.DEAD, leased_until=None, last_error="The channel was switched off."
    )
    return True


def stop(channel: Channel) -> None:
    """Who receives its mails wants no more of them; one that was off for another reason stays off for this one."""
    if not switch_off(channel, STOPPED):
        Channel.objects.filter(pk=channel.pk, is_active=False).update(disabled_reason=STOPPED)


def switch_on(channel: Channel) -> None:
    """Switch a channel on again; it tells what happens from now on."""
    Channel.objects.filter(pk=channel.pk).update(is_active=True, disabled_reason="", failures=0)


def _have_owners_told(channel: Channel) -> None:
    """An e-mail channel for each owner who is not told by one, unless they have one that is off."""
    role = Role.SUPER_ADMIN if channel.tenant_id is None else Role.OWNER
    owners = User.objects.filter(tenant=channel.tenant_id, role=role, status=UserStatus.ACTIVE)
    by_mail = Channel.objects.filter(tenant=channel.tenant_id, kind=ChannelKind.EMAIL)
    told = Q(kinds=[]) | Q(kinds__contains=[AlertKind.CHANNEL_DISABLED])
    served = by_mail.filter(Q(is_active=False) | told & Q(severities__contains=[Severity.CRITICAL]))
    have = {address.casefold() for address in served.values_list("address", flat=True)}
    Channel.objects.bulk_create(
        Channel(
            tenant_id=channel.tenant_id, name=f"When a channel fails: {email}"[:_NAME_LENGTH], kind=ChannelKind.EMAIL,
            address=email, kinds=[AlertKind.CHANNEL_DISABLED],
        )
        for email in owners.values_list("email", flat=True)
        if email.casefold() not in have
    )  # fmt: skip
