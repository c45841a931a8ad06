"""By a webhook that is signed as standardwebhooks.com says: its receiver knows who sent it, and what was sent."""

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime

import orjson

from alerts import posting
from alerts.fields import CannotDecrypt
from alerts.messages import Message
from alerts.models import Channel
from alerts.outcomes import Outcome, Verdict, failed

MOST_BYTES = 20_000
_PREFIX = "whsec_"
_SECRET_BYTES = 32


def send(channel: Channel, message: Message) -> Outcome:
    """Post a message, signed by each of the channel's secrets. Its webhook-id stays over retries."""
    body = envelope(message)
    if len(body) > MOST_BYTES:
        return Outcome(verdict=Verdict.IMPOSSIBLE, error=f"It is larger than {MOST_BYTES:,} bytes.")
    try:
        keys = [secret.open() for secret in channel.secrets]
    except CannotDecrypt as missing:
        return failed(str(missing), is_ours=True)
    if not keys:
        return failed("The channel has no secret to sign with.", is_ours=True)
    at = int(datetime.now(UTC).timestamp())
    return posting.post(
        channel.address,
        body,
        {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(signature(key, message.id, at, body) for key in keys),
        },
    )


def envelope(message: Message) -> bytes:
    """The body: what kind of thing happened, when, and its data."""
    return orjson.dumps({"type": message.type, "timestamp": message.at.astimezone(UTC), "data": message.data})


def new_secret() -> str:
    """A secret for a receiver to verify by."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, at: int, body: bytes) -> str:
    """The signature of what is sent at an instant (seconds), by one secret."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{message_id}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
