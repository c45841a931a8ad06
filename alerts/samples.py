"""What an alert of each kind would read like to a tenant: with the figures of its latest one, else with its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from alerts import messages
from alerts.messages import Message
from alerts.models import AlertKind, Channel, QuotaAlert, Severity
from alerts.places import place_of
from alerts.quotas import Quota
from plans import entitlements, periods
from plans.calendars import calendar_of
from plans.charges import Charge, Measure, PeriodKind
from plans.models import Unit
from tenants import facts
from tenants.ids import uuid7
from tenants.models import Tenant
from usage import standings
from usage.entries import Reading

OF_LATEST = "The figures are those of the last time that this was noticed."
OF_LIMIT = "The limit is yours, and what is used of it is made up."
MADE_UP = "The figures are made up."
_SEARCHED = 1_000
_MARK = "Sample"
_USD = 10**9
_CRITICAL = {AlertKind.CHANNEL_DISABLED}
_OF_QUOTA = {AlertKind.THRESHOLD: 80, AlertKind.AMOUNT: 50, AlertKind.RUN_OUT: 60}
"""Kinds that are about a quota, with the share of it that a sample says is used."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A message that nobody is sent, marked so in its title, and where its figures come from."""

    message: Message
    basis: str


def of(channel: Channel, tenant: Tenant, kind: AlertKind, now: datetime) -> Sample:
    """What a channel of the tenant would be told by an alert of a kind, were it noticed now."""
    row = _latest(tenant, kind)
    basis = OF_LATEST
    if row is None:
        row, basis = _made_up(channel, tenant, kind, now)
    place = place_of(tenant, [row.user_key] if row.user_key else [], now)
    message = messages.of_alert(row, place, messages.message_id(uuid7()))
    return Sample(replace(message, title=f"{_MARK}: {message.title}"), basis)


def _latest(tenant: Tenant, kind: AlertKind) -> QuotaAlert | None:
    lately = QuotaAlert.objects.for_tenant(tenant).order_by("-id").values("id")[:_SEARCHED]
    return QuotaAlert.objects.filter(id__in=lately, kind=kind).order_by("-id").first()


def _made_up(channel: Channel, tenant: Tenant, kind: AlertKind, now: datetime) -> tuple[QuotaAlert, str]:
    if kind not in _OF_QUOTA:
        return _row(tenant, kind, _figures(channel, kind, now), now), MADE_UP
    charge = _charge(tenant, kind, now)
    percent = _OF_QUOTA[kind]
    quota = _quota(tenant, charge, percent, now)
    numbers = quota.numbers()
    threshold = quota.counted if kind == AlertKind.AMOUNT else percent
    if kind == AlertKind.RUN_OUT:
        ends_at = quota.ends_at or now + timedelta(days=1)
        numbers |= {"runs_out_at": now + (ends_at - now) / 2, "basis_hours": 168}
    return _row(tenant, kind, numbers, now, quota.subject, threshold), OF_LIMIT if charge else MADE_UP


def _row(
    tenant: Tenant, kind: AlertKind, numbers: Mapping[str, Any], now: datetime, subject: str = "", threshold: int = 0
) -> QuotaAlert:
    """An alert as the database would give it back; it is never saved."""
    return QuotaAlert(
        tenant=tenant, kind=kind, severity=_severity(kind), subject=subject or kind.lower(), threshold=threshold,
        episode="", numbers=orjson.loads(orjson.dumps(numbers)), created_at=now,
    )  # fmt: skip


def _severity(kind: AlertKind) -> Severity:
    if kind in _CRITICAL:
        return Severity.CRITICAL
    return Severity.INFO if kind == AlertKind.AMOUNT else Severity.WARNING


def _charge(tenant: Tenant, kind: AlertKind, now: datetime) -> Charge | None:
    """A quota of the tenant that has a limit; of an amount, rather its money."""
    entitled = entitlements.of(tenant.id, now)
    charged = standings.charged(entitled, standings.tasks_of(entitled), None).values()
    limited = [each for each in charged if each.limit and each.period in {PeriodKind.DAY, PeriodKind.MONTH}]
    measure = Measure.COST if kind == AlertKind.AMOUNT else Measure.UNITS
    # the longest period is the one that most people watch
    limited.sort(key=lambda each: (each.measure != measure, each.period != PeriodKind.MONTH))
    return limited[0] if limited else None


def _quota(tenant: Tenant, charge: Charge | None, percent: int, now: datetime) -> Quota:
    kind = charge.period if charge else PeriodKind.MONTH
    period = periods.period(kind, calendar_of(facts.tenant(tenant.id)), now)
    limit = charge.limit if charge and charge.limit else 50 * _USD
    return Quota(
        user=None, feature=charge.feature if charge else None, task=charge.task if charge else None,
        measure=charge.measure if charge else Measure.COST, period=kind,
        unit=Unit(charge.unit) if charge and charge.unit else None, starts_at=period.start, ends_at=period.end,
        limit=limit, reading=Reading(-(-limit * percent // 100), 0, 0),
    )  # fmt: skip


def _figures(channel: Channel, kind: AlertKind, now: datetime) -> dict[str, Any]:
    """Figures of what is not about a quota, as its detector would give them."""
    match kind:
        case AlertKind.SATURATED:
            return {"measure": Measure.SLOTS, "limit": 10, "unit": "SLOTS", "refused": 14, "minutes": 15}
        case AlertKind.REFUSALS:
            return {"refused": 240, "usual": 3, "minutes": 15, "basis": 96}
        case AlertKind.USAGE_SPIKE:
            return {
                "measure": "tokens", "lately": 1_840_000, "usual": 210_000, "unit": "tokens", "minutes": 60,
                "basis": 12,
            }  # fmt: skip
        case AlertKind.SPEND_ANOMALY:
            return {
                "measure": "cost", "lately": 42 * _USD, "usual": 6 * _USD, "unit": "USD", "minutes": 60, "basis": 12,
            }  # fmt: skip
        case AlertKind.EXPIRING:
            return {"what": "token", "user": "you@example.com", "ends_at": now + timedelta(days=7), "days": 7}
        case AlertKind.HOLDS_EXPIRED:
            return {"expired": 25, "committed": 310, "minutes": 60}
        case _:
            return {"channel": channel.name, "reason": "The receiver answered 500."}
