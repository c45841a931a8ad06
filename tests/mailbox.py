"""A mail server that keeps what it is sent."""

import email
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.test import override_settings


@dataclass(slots=True)
class Mailbox:
    """What has come in, the oldest first."""

    port: int
    letters: list[EmailMessage] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """What it answers to mails for an address, in place of taking them."""
    answer: str = "250 kept"
    """What it answers to a whole mail; it keeps none that it does not answer 250."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or refuse them."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Take a mail in."""
        if not self.answer.startswith("250"):
            return self.answer
        letter = email.message_from_bytes(envelope.original_content or b"", _class=EmailMessage, policy=default)
        self.letters.append(letter)
        return self.answer

    def link(self) -> str:
        """The path of the link in the last mail, by the text that people without HTML read."""
        found = re.search(r"https?://[^/\s]+(/\S+)", text_of(self.letters[-1]))
        assert found, "the mail has no link"
        return found[1]


def text_of(letter: EmailMessage, kind: str = "plain") -> str:
    """The words of a mail, "plain" or "html"."""
    part = letter.get_body((kind,))
    assert part is not None, f"the mail has no {kind} part"
    content: str = part.get_content()
    return content


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Everything that is mailed meanwhile goes to a real server on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        box = Mailbox(probe.getsockname()[1])
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        with override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=box.port,
            EMAIL_HOST_USER="",
            EMAIL_USE_TLS=False,
            EMAIL_USE_SSL=False,
        ):
            yield box
    finally:
        controller.stop()
