"""The ledger's tables; import models from here. `usage.ledger` alone writes meters, reservations and log."""

from usage.models.archive import LogArchive
from usage.models.base import UsageQuerySet
from usage.models.denial import Denial
from usage.models.erasure import Erasure
from usage.models.estimate import HoldEstimate
from usage.models.event import UsageEvent
from usage.models.log import Certainty, LogStatus, UsageLog
from usage.models.meter import UsageMeter
from usage.models.reservation import ReservationStatus, UsageReservation
from usage.models.rollup import (
    DayRollup,
    DenialRollup,
    RollupState,
    TenantDayRollup,
    TenantRollup,
    UsageRollup,
    UserDayRollup,
)

__all__ = [
    "Certainty", "DayRollup", "Denial", "DenialRollup", "Erasure", "HoldEstimate", "LogArchive", "LogStatus",
    "ReservationStatus", "RollupState", "TenantDayRollup", "TenantRollup", "UsageEvent", "UsageLog", "UsageMeter",
    "UsageQuerySet", "UsageReservation", "UsageRollup", "UserDayRollup",
]  # fmt: skip
