"""The messages that channels get: the webhooks section of the description."""

from typing import Any

from alerts.events import ALERT_RESOLVED, EVENTS, HELP, PERIOD_RESET, PLAN_CHANGED, RESERVATION_DENIED, TOKEN_REVOKED
from alerts.events.payloads import (
    AlertNoticed,
    AlertOver,
    CallsDenied,
    DigestGathered,
    PeriodReset,
    PlanChanged,
    Tested,
    TokenRevoked,
)
from alerts.models import AlertKind
from enforcement.schema.components import Schema, ref

_SAID = {
    ALERT_RESOLVED: AlertOver,
    RESERVATION_DENIED: CallsDenied,
    PLAN_CHANGED: PlanChanged,
    TOKEN_REVOKED: TokenRevoked,
    PERIOD_RESET: PeriodReset,
}
_HEADERS = {
    "webhook-id": "The same at every try of a message: whoever handled it answers 2xx and does nothing.",
    "webhook-timestamp": "When this try was made, in seconds since 1970.",
    "webhook-signature": "One signature a secret, `v1,` and base64 each, separated by spaces (Standard Webhooks).",
}


def webhooks() -> dict[str, Schema]:
    """Every message by the name of its type; `alert` stands for one of each kind."""
    kinds = [f"alert.{kind.lower()}" for kind in AlertKind.values]
    return {
        "alert": _message(kinds, "Something was noticed", "To channels of its severity and kind, once.", AlertNoticed),
        **{name: _message([name], EVENTS[name], HELP[name], said) for name, said in _SAID.items()},
        "alert.digest": _message(
            ["alert.digest"], "What was gathered", "In place of what is not critical, where digests are asked for.",
            DigestGathered,
        ),
        "test": _message(["test"], "A test", "What “Send a test” sends.", Tested),
    }  # fmt: skip


def _message(types: list[str], summary: str, text: str, said: Any) -> Schema:  # noqa: ANN401 - a dataclass
    body = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "enum": types},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened or was noticed."},
            "data": ref(said),
        },
    }
    parameters = [
        {"name": name, "in": "header", "required": True, "description": about, "schema": {"type": "string"}}
        for name, about in _HEADERS.items()
    ]
    return {
        "post": {
            "operationId": f"webhook {types[0] if len(types) == 1 else 'alert'}".replace(" ", "_").replace(".", "_"),
            "summary": summary,
            "description": text,
            "parameters": parameters,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {
                "2XX": {"description": "It was taken over. Within ten seconds; anything else is tried again."},
                "410": {"description": "Nobody is here any more: the channel is switched off."},
            },
        }
    }
