"""What a channel would get, kind by kind, without sending it."""

from dataclasses import dataclass
from uuid import UUID

import orjson
from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.clickjacking import xframe_options_sameorigin

from alerts import destinations, samples
from alerts.channels import chat, mail, signed
from alerts.messages import Message
from alerts.models import AlertKind, Channel, ChannelKind
from alerts.pages.managing import ManagersPage
from alerts.samples import Sample

# A mail carries its styles in itself. It gets nothing else, runs nothing, and leads nowhere.
_MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'; sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A sample as a channel gets it: a mail, or the JSON of what is posted, with its headers where it is signed."""

    letter: EmailMultiAlternatives | None = None
    posted: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class _Samples(ManagersPage):
    def kind(self) -> AlertKind:
        """The kind that is asked for, else the first."""
        asked = self.request.GET.get("of", "")
        return next((kind for kind in destinations.OF_TENANTS if kind.value == asked), AlertKind.THRESHOLD)

    def sample(self, channel: Channel) -> Sample:
        return samples.of(channel, self.viewer.tenant, self.kind(), self.viewer.now)


class PreviewPage(_Samples):
    """A message of the kind that is asked for, as the channel would get it."""

    def get(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        channel = self.channel(channel_id)
        sample = self.sample(channel)
        return self.show(
            "alerts/preview.html",
            channel=channel,
            kinds=destinations.OF_TENANTS,
            kind=self.kind(),
            is_told=_is_told(channel, self.kind(), sample.message),
            sample=sample,
            preview=preview(channel, sample.message),
        )


@method_decorator(xframe_options_sameorigin, name="dispatch")
class MailPreview(_Samples):
    """The mail itself, for a frame of the page above."""

    def get(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        channel = self.channel(channel_id)
        html = str(mail.letter(channel, self.sample(channel).message).alternatives[0][0])
        return HttpResponse(html, headers={"Content-Security-Policy": _MAIL_POLICY})


def preview(channel: Channel, message: Message) -> Preview:
    """What a channel would get; no secret is opened for it."""
    match channel.kind:
        case ChannelKind.EMAIL:
            return Preview(letter=mail.letter(channel, message))
        case ChannelKind.CHAT_WEBHOOK:
            return Preview(posted=_json(orjson.dumps(chat.body(channel.address, message))))
        case ChannelKind.SIGNED_WEBHOOK:
            headers = (
                ("webhook-id", message.id),
                ("webhook-timestamp", str(int(message.at.timestamp()))),
                ("webhook-signature", "v1,… (made with the channel's secret when it is sent)"),
            )
            return Preview(posted=_json(signed.envelope(message)), headers=headers)
        case _:
            return Preview()


def _json(body: bytes) -> str:
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()


def _is_told(channel: Channel, kind: AlertKind, message: Message) -> bool:
    """Whether the channel is told of this kind at all, as it is set now."""
    return channel.is_active and message.severity in channel.severities and (not channel.kinds or kind in channel.kinds)
