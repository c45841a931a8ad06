"""The channels of a tenant, or of super admins, as people make them: with secrets that can be renewed."""

from collections.abc import Sequence
from datetime import time
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from alerts import addresses
from alerts.channels import signed
from alerts.fields import Sealed
from alerts.models import Channel, ChannelKind
from tenants.models import Tenant

MOST_CHANNELS = 50
_SECRETS_KEPT = 2


class Unusable(ValueError):
    """A channel that cannot be; the text says why."""


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


def add(
    tenant: Tenant | None,
    *,
    kind: ChannelKind,
    name: str,
    address: str,
    severities: Sequence[str],
    quiet: tuple[time, time] | None = None,
) -> tuple[Channel, str | None]:
    """A new channel, and the text of the secret that signs what it sends, where it signs. Raises Unusable.

    Whoever has the address of a chat's webhook may write there: it is kept as a secret, and its host shown.
    """
    if Channel.objects.filter(tenant=tenant).count() >= MOST_CHANNELS:
        raise Unusable(f"There are {MOST_CHANNELS} channels already. Remove one that is not needed.")
    secret = signed.new_secret() if kind == ChannelKind.SIGNED_WEBHOOK else None
    kept = address if kind == ChannelKind.CHAT_WEBHOOK else secret
    channel = Channel.objects.create(
        tenant=tenant,
        name=name,
        kind=kind,
        address=f"https://{urlsplit(address).hostname}/…" if kind == ChannelKind.CHAT_WEBHOOK else address,
        secrets=[Sealed.of(kept)] if kept else [],
        severities=list(severities),
        quiet_from=quiet[0] if quiet else None,
        quiet_until=quiet[1] if quiet else None,
    )
    return channel, secret


def renew_secret(channel: Channel) -> str:
    """A new secret for a signed webhook; the last one signs beside it until the next change. Raises Unusable."""
    if channel.kind != ChannelKind.SIGNED_WEBHOOK:
        raise Unusable("Only a signed webhook has a secret.")
    secret = signed.new_secret()
    channel.secrets = [Sealed.of(secret), *channel.secrets][:_SECRETS_KEPT]
    channel.save(update_fields=["secrets"])
    return secret


def forget_old_secret(channel: Channel) -> None:
    """From now on the newest secret signs alone."""
    channel.secrets = channel.secrets[:1]
    channel.save(update_fields=["secrets"])
