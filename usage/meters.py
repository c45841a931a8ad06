"""From abstract charges to meters: which row each one is, and for which period."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from plans import periods
from plans.calendars import calendar_of
from plans.charges import Charge
from plans.periods import Period
from tenants.facts import TenantFacts


@dataclass(frozen=True, slots=True)
class BoundCharge:
    """A charge with its meter and the period it falls in."""

    charge: Charge
    meter: UUID
    period: Period

    def scope(self) -> list[str | None]:
        """The meter's keys as the ledger's SQL reads them: user, feature, task, measure, period, start, end, unit."""
        charge, period = self.charge, self.period
        return [
            charge.user, charge.feature, charge.task, charge.measure.value, charge.period.value,
            period.start.isoformat(), period.end.isoformat() if period.end else None,
            charge.unit.value if charge.unit else None,
        ]  # fmt: skip


def meter_id(secret: bytes, tenant: UUID, charge: Charge, start: datetime) -> UUID:
    """The id of a meter: an HMAC-SHA-256, cut to 128 bits, of its length-prefixed keys under the tenant's secret.

    So the hot path finds a meter without a look-up, and an id gives nobody's user away.
    """
    keys = charge.user, charge.feature, charge.task, charge.measure.value, charge.period.value
    return _id_of(secret, tenant, keys, start)


@lru_cache(maxsize=16_384)
def _id_of(secret: bytes, tenant: UUID, parts: tuple[str | None, ...], start: datetime) -> UUID:
    message = bytearray(tenant.bytes)
    for part in parts:
        # 0 bytes for None, else the length plus one: no two lists of keys read alike
        encoded = b"" if part is None else part.encode()
        message += (0 if part is None else len(encoded) + 1).to_bytes(4, "big") + encoded
    message += int(start.timestamp()).to_bytes(8, "big")
    return UUID(bytes=hmac.digest(secret, message, sha256)[:16])


def bind(tenant: TenantFacts, charges: Iterable[Charge], at: datetime) -> tuple[BoundCharge, ...]:
    """The charges on their meters of the periods around `at`, in meter order. Each meter appears once."""
    calendar = calendar_of(tenant)
    bound = []
    for charge in charges:
        period = periods.period(charge.period, calendar, at)
        bound.append(BoundCharge(charge, meter_id(tenant.meter_secret, tenant.id, charge, period.start), period))
    bound.sort(key=lambda each: each.meter.int)
    assert len({each.meter for each in bound}) == len(bound), "a meter appears twice"  # noqa: S101 - an invariant
    return tuple(bound)


def window(bound: Iterable[BoundCharge], since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """[since, until) narrowed to the periods of all charges: outside it other meters would be right."""
    for each in bound:
        since = max(since, each.period.start)
        if each.period.end is not None:
            until = min(until, each.period.end)
    return since, until
