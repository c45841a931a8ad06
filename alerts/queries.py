"""The reads of alerts: of one tenant, without those about other people for who sees their own usage alone."""

from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from alerts.models import AlertKind, Delivery, DeliveryState, QuotaAlert, Severity
from alerts.models.alert import QuotaAlertQuerySet
from usage.queries import first_id_at
from usage.sight import Sight

MOST = 1_000
"""Counted up to here."""
OPEN, OVER = "open", "over"
PARAMETERS = {"kind": AlertKind.values, "severity": Severity.values, "state": [OPEN, OVER]}
"""What a list may be narrowed to."""


def alerts(sight: Sight) -> QuotaAlertQuerySet:
    """Those that somebody may see."""
    return QuotaAlert.objects.for_tenant(sight.tenant.id).seen_by(sight.user)


def chosen(rows: QuotaAlertQuerySet, sent: QueryDict) -> QuotaAlertQuerySet:
    """Those that the parameters leave. Raises ValidationError, listing what is known."""
    for name, known in PARAMETERS.items():
        if name in sent and sent[name] not in known:
            raise ValidationError({name: f"{sent[name]} is not known. Known: {', '.join(known)}."})
    named = {name: sent[name] for name in ("kind", "severity") if name in sent}
    rows = rows.filter(**named)
    return rows.filter(resolved_at__isnull=sent["state"] == OPEN) if "state" in sent else rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Alerts that still hold: how many (counted up to a bound), and what they are, each once."""

    count: int
    kinds: tuple[str, ...]


def open_for_operators() -> Open:
    """Those told to super admins that still hold."""
    kinds = list(QuotaAlert.objects.of_operators().open().values_list("kind", flat=True)[:MOST])
    return Open(count=len(kinds), kinds=tuple(sorted({AlertKind(kind).label for kind in kinds})))


def given_up(since: datetime, most: int = MOST) -> int:
    """Messages of a time until now that nobody got and that are not tried again, counted up to a bound."""
    dead = Delivery.objects.filter(id__gte=first_id_at(since), state=DeliveryState.DEAD)
    return dead.order_by()[:most].count()
