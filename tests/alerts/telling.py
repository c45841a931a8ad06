"""Channels and alerts for tests, and what a receiver got."""

from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import connection
from pytest_httpserver import HTTPServer
from werkzeug import Request

from alerts import noticing
from alerts.fields import Sealed
from alerts.models import AlertKind, Channel, ChannelKind, Delivery, Severity
from alerts.noticing import Noticed
from tenants.models import Tenant

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NUMBERS: dict[str, Any] = {
    "feature": "PATENT_DRAFTING", "task": None, "measure": "UNITS", "period": "MONTH", "used": 4_012_300,
    "held": 12_000, "limit": 5_000_000, "left": 975_700, "unit": "TOKENS",
    "starts_at": datetime(2026, 11, 1, tzinfo=UTC), "resets_at": datetime(2026, 12, 1, tzinfo=UTC),
}  # fmt: skip


def channel(
    tenant: Tenant | None, address: str, kind: ChannelKind = ChannelKind.SIGNED_WEBHOOK, **more: Any
) -> Channel:
    """A channel that tells everything at once."""
    secrets = {ChannelKind.SIGNED_WEBHOOK: SECRET, ChannelKind.CHAT_WEBHOOK: address}.get(kind)
    return Channel.objects.create(
        **{
            "tenant": tenant, "name": "Ops", "kind": kind, "address": address,
            "secrets": [Sealed.of(secrets)] if secrets else [],
        } | more
    )  # fmt: skip


def alert(tenant: Tenant | None, threshold: int = 80, **more: Any) -> None:
    """Something noticed of a tenant, with its deliveries."""
    about: dict[str, Any] = {
        "tenant": tenant.id if tenant else None, "kind": AlertKind.THRESHOLD, "severity": Severity.WARNING,
        "subject": "feature=PATENT_DRAFTING;task=;period=MONTH;measure=UNITS;user=", "threshold": threshold,
        "episode": "2026-11-01;5000000", "numbers": NUMBERS,
    } | more  # fmt: skip
    noticing.notice([Noticed(**about)], AT)


def make_due() -> None:
    """Everything that waits for its next try, or for the end of a lease, is due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_delivery SET next_attempt_at = created_at,"
            " leased_until = CASE WHEN state = 'SENDING' THEN created_at END"
        )


def only() -> Delivery:
    """The one delivery there is."""
    return Delivery.objects.select_related("channel", "alert").get()


def requests(sink: HTTPServer) -> list[Request]:
    """What a receiver was asked, the oldest first."""
    return [request for request, _ in sink.log]


def body(request: Request) -> Any:
    """The JSON of a request."""
    return orjson.loads(request.data)
