"""By the incoming webhook of a chat: Slack and what takes the same (Mattermost, Rocket.Chat), or Microsoft Teams."""

import re
from typing import Any
from urllib.parse import urlsplit

import orjson

from alerts import posting
from alerts.fields import CannotDecrypt
from alerts.messages import Message
from alerts.models import Channel
from alerts.outcomes import Outcome, failed

_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_UNSEEN = "\u2060"
_OF_TEAMS = (".office.com", ".logic.azure.com", ".powerplatform.com", ".powerautomate.com")


def send(channel: Channel, message: Message) -> Outcome:
    """Post a message to the chat, whose whole address is its secret.

    A chat knows no ids: a try whose answer was lost is shown twice.
    """
    try:
        url = channel.secrets[0].open()
    except (CannotDecrypt, IndexError):
        return failed("The address of the chat cannot be read: see ENCRYPTION_KEYS.", is_ours=True)
    return posting.post(url, orjson.dumps(body(url, message)), {"Content-Type": "application/json"})


def body(url: str, message: Message) -> dict[str, Any]:
    """What is posted to a chat at this address, of which the host alone matters here."""
    return card(message) if (urlsplit(url).hostname or "").endswith(_OF_TEAMS) else text(message)


def text(message: Message) -> dict[str, Any]:
    """The body that Slack takes."""
    figures = "\n".join(f"• {_plain(figure.label)}: {_plain(figure.value)}" for figure in message.figures)
    parts = [
        f"*{_plain(message.title)}*", _plain(message.happened), figures, _plain(message.advice),
        f"<{message.link}|{_plain(message.link_words)}>",
    ]  # fmt: skip
    return {"text": "\n".join(part for part in parts if part)}


def card(message: Message) -> dict[str, Any]:
    """The body that Teams takes: a message with one adaptive card."""
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": _unlinked(message.title), "weight": "Bolder", "size": "Medium", "wrap": True},
        {"type": "TextBlock", "text": _unlinked(message.happened), "wrap": True},
        {
            "type": "FactSet",
            "facts": [{"title": each.label, "value": _unlinked(each.value)} for each in message.figures],
        },
        {"type": "TextBlock", "text": _unlinked(message.advice), "wrap": True},
    ]
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": body,
                    "actions": [{"type": "Action.OpenUrl", "title": message.link_words, "url": message.link}],
                },
            }
        ],
    }


def _plain(text: str) -> str:
    """A text in which nothing is markup to Slack, or to what takes the same: no link, no mention of everybody."""
    return _unlinked(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unlinked(text: str) -> str:
    """A text without links or mentions of Markdown, which a name could hold: a mark that nobody sees is between."""
    return _MENTION.sub(f"@{_UNSEEN}", text).replace("](", f"]{_UNSEEN}(")
