"""The ways to people, one file each; `by_kind` finds the one that a channel's kind names."""

from typing import Protocol

from alerts.channels import chat, in_app, mail, signed
from alerts.messages import Message
from alerts.models import Channel, ChannelKind
from alerts.outcomes import Outcome


class Send(Protocol):
    """Tells a message by a channel, once. It writes nothing, may take 20 seconds, and raises nothing."""

    def __call__(self, channel: Channel, message: Message) -> Outcome: ...


_BY_KIND: dict[str, Send] = {
    ChannelKind.EMAIL: mail.send,
    ChannelKind.CHAT_WEBHOOK: chat.send,
    ChannelKind.SIGNED_WEBHOOK: signed.send,
    ChannelKind.IN_APP: in_app.send,
}


def send(channel: Channel, message: Message) -> Outcome:
    """Tell a message by a channel, once."""
    return _BY_KIND[channel.kind](channel, message)
