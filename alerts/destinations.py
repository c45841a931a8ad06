"""The channels of a tenant, or of super admins, as people make and change them: with secrets that can be renewed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import time
from urllib.parse import urlsplit
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from alerts import addresses, disabling
from alerts.channels import signed
from alerts.fields import Sealed
from alerts.models import AlertKind, Channel, ChannelKind, Digest, Report
from tenants.models import Tenant

MOST_CHANNELS = 50
_SECRETS_KEPT = 2

OF_OPERATORS = (
    AlertKind.UNPRICED, AlertKind.UNUSUAL_PRICE, AlertKind.AUDIT_BREACH, AlertKind.LAG, AlertKind.EXPIRING,
    AlertKind.CHANNEL_DISABLED,
)  # fmt: skip
"""What super admins are told of."""
OF_TENANTS = tuple(
    kind
    for kind in AlertKind
    if kind not in {AlertKind.UNPRICED, AlertKind.UNUSUAL_PRICE, AlertKind.AUDIT_BREACH, AlertKind.LAG}
)
"""What a tenant's people are told of."""


class Unusable(ValueError):
    """A channel that cannot be; the text says why."""


class Overtaken(Unusable):
    """Somebody else changed the channel, or removed it, since it was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a channel is called, what it tells and when; no `kinds` = all alerts, `quiet` from and until."""

    name: str
    severities: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    digest: str = Digest.NONE
    report: str = Report.NONE
    quiet: tuple[time, time] | None = None

    def write_to(self, channel: Channel) -> list[str]:
        """Have a row say this; the names of its fields, for `update_fields`."""
        said = asdict(self)
        said["quiet_from"], said["quiet_until"] = said.pop("quiet") or (None, None)
        for name, value in said.items():
            setattr(channel, name, list(value) if isinstance(value, tuple) else value)
        return list(said)


def checked_address(kind: str, address: str) -> str:
    """An address that a channel of this kind can have. Raises Unusable."""
    if kind == ChannelKind.EMAIL:
        try:
            validate_email(address)
        except ValidationError:
            raise Unusable("This is not an e-mail address.") from None
        return address
    try:
        addresses.resolve(address)
    except (addresses.Refused, addresses.Unresolved) as refusal:
        raise Unusable(str(refusal)) from None
    return address


def check_room(tenant: Tenant | None) -> None:
    """Raises Unusable where a tenant, or super admins, have as many channels as there may be."""
    if Channel.objects.filter(tenant=tenant).count() >= MOST_CHANNELS:
        raise Unusable(f"There are {MOST_CHANNELS} channels already. Remove one that is not needed.")


def add(tenant: Tenant | None, *, kind: ChannelKind, address: str, telling: Telling) -> tuple[Channel, str | None]:
    """A new channel to a checked address, and the text of the secret that signs what it sends, where it signs.

    Whoever has the address of a chat's webhook may write there: it is kept as a secret, and its host shown. Raises
    Unusable.
    """
    check_room(tenant)
    channel = Channel(tenant=tenant, kind=kind)
    _lead(channel, address)
    secret = signed.new_secret() if kind == ChannelKind.SIGNED_WEBHOOK else None
    if secret is not None:
        channel.secrets = [Sealed.of(secret)]
    telling.write_to(channel)
    channel.save(force_insert=True)
    return channel, secret


def change(channel_id: UUID, *, seen: str, address: str, telling: Telling) -> Channel:
    """The channel as it is from now on; an empty address leaves it where it leads. Its kind stays.

    `seen` is the stamp of the channel that was looked at: nobody undoes unseen what another has just changed. Raises
    Overtaken.
    """
    with changing(channel_id) as channel:
        if stamp(channel) != seen:
            raise Overtaken("Somebody changed this channel meanwhile. Here it is as it is now: change it again.")
        written = telling.write_to(channel)
        if address and address != channel.address:
            _lead(channel, address)
            written += ["address", "secrets", "failures"]
        channel.save(update_fields=written)
    return channel


def stamp(channel: Channel) -> str:
    """What differs whenever somebody has changed a channel; it gives no secret away."""
    said = (
        channel.name, channel.address, sorted(channel.severities), sorted(channel.kinds), sorted(channel.events),
        str(channel.digest), str(channel.report), channel.quiet_from, channel.quiet_until,
        [each.ciphertext for each in channel.secrets],
    )  # fmt: skip
    return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


def renew_secret(channel_id: UUID) -> str:
    """A new secret for a signed webhook; the last one signs beside it until the next change. Raises Unusable."""
    with changing(channel_id) as channel:
        if channel.kind != ChannelKind.SIGNED_WEBHOOK:
            raise Unusable("Only a signed webhook has a secret.")
        secret = signed.new_secret()
        channel.secrets = [Sealed.of(secret), *channel.secrets][:_SECRETS_KEPT]
        channel.save(update_fields=["secrets"])
    return secret


def forget_old_secret(channel_id: UUID) -> None:
    """From now on the newest secret signs alone. Raises Unusable."""
    with changing(channel_id) as channel:
        channel.secrets = channel.secrets[:1]
        channel.save(update_fields=["secrets"])


def remove(channel_id: UUID) -> None:
    """Take a channel away with its messages; what is just being sent still arrives. Raises Unusable."""
    with transaction.atomic():
        # Whoever writes a message to it holds its row, and is let finish: all its messages are seen and go.
        channel = Channel.objects.select_for_update(of=("self",)).filter(pk=channel_id).first()
        if channel is None:
            raise _gone()
        if is_stopped(channel):
            raise Unusable(
                "Who received its mails stopped it. It stays, so that nobody is written to again by mistake."
            )
        channel.delete()


@contextmanager
def changing(channel_id: UUID) -> Iterator[Channel]:
    """The channel as it is now, which nobody else changes meanwhile. Raises Overtaken."""
    with transaction.atomic():
        channel = Channel.objects.select_for_update(of=("self",), no_key=True).filter(pk=channel_id).first()
        if channel is None:
            raise _gone()
        yield channel


def _gone() -> Overtaken:
    return Overtaken("Somebody removed this channel meanwhile.")


def is_stopped(channel: Channel) -> bool:
    """Whether who receives its mails wants no more of them."""
    return not channel.is_active and channel.disabled_reason == disabling.STOPPED


def check_wanted(channel: Channel) -> None:
    """Raises Unusable where who receives its mails stopped them: not even a test goes there."""
    if is_stopped(channel):
        raise Unusable("Who received its mails stopped them. If they want them again, switch it on first.")


def _lead(channel: Channel, address: str) -> None:
    if channel.kind == ChannelKind.CHAT_WEBHOOK:
        channel.secrets = [Sealed.of(address)]
        address = f"https://{urlsplit(address).hostname}/…"
    channel.address, channel.failures = address, 0
