"""By e-mail, as text and HTML, through the server of EMAIL_URL."""

import smtplib
import textwrap

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import BadHeaderError
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from alerts.messages import Message
from alerts.models import Channel
from alerts.outcomes import SENT, Outcome, Verdict, failed
from alerts.reports.letter import EVENT, Reported

STOPPING = "alerts.stop"
"""The salt of the links that stop a channel's mails."""

_REFUSED_FOR_GOOD = 500
_TEMPLATES = {"alert.digest": "alerts/digest", EVENT: "alerts/report"}
"""Of messages that are more than a few sentences, by type."""
_COLUMNS = 72


def send(channel: Channel, message: Message) -> Outcome:
    """Hand a mail to the mail server. Its Message-ID stays over retries, by which a mailbox knows it again."""
    try:
        letter(channel, message).send()
    except smtplib.SMTPRecipientsRefused as refusal:
        code = max((code for code, _ in refusal.recipients.values()), default=0)
        if code >= _REFUSED_FOR_GOOD:
            return Outcome(verdict=Verdict.RETRY, error=f"The mail server does not take mail for it ({code}).")
        return failed(f"The mail server does not take mail for it now ({code}).")
    except smtplib.SMTPResponseException as refusal:
        return failed(f"The mail server refused it ({refusal.smtp_code}).", is_ours=True)
    except (smtplib.SMTPException, OSError) as error:
        return failed(f"The mail server could not be reached ({type(error).__name__}).", is_ours=True)
    except (BadHeaderError, UnicodeError):
        return Outcome(verdict=Verdict.IMPOSSIBLE, error="It cannot be written as a mail.")
    return SENT


def letter(channel: Channel, message: Message) -> EmailMultiAlternatives:
    """The mail that tells a message."""
    stop = f"{settings.SITE_URL}{reverse('stop-alerts', args=[signing.dumps(str(channel.id), salt=STOPPING)])}"
    context = {"message": message, "channel": channel, "stop": stop}
    template = _TEMPLATES.get(message.type, "alerts/mail")
    with timezone.override(message.place.zone):
        text, html = (render_to_string(f"{template}.{form}", context) for form in ("txt", "html"))
    made = EmailMultiAlternatives(
        subject=message.title,
        body=_wrapped(text),
        to=[channel.address],
        headers={
            "Message-ID": f"<{message.id}@{settings.SITE_URL.partition('://')[2].partition(':')[0]}>",
            "List-Unsubscribe": f"<{stop}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",  # no holiday notice answers it
        },
    )
    made.attach_alternative(html, "text/html")
    if isinstance(message, Reported):
        made.attach(message.file_name, message.file.decode(), "text/csv")
    return made


def _wrapped(text: str) -> str:
    """Lines of at most 72 columns, but for addresses: a broken one leads nowhere."""
    return "\n".join(
        textwrap.fill(
            line, _COLUMNS, break_long_words=False, break_on_hyphens=False,
            subsequent_indent=line[: len(line) - len(line.lstrip())],
        )
        for line in text.splitlines()
    )  # fmt: skip
