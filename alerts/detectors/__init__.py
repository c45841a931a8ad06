"""What is noticed beside thresholds: each detector says all that holds now of its kinds, and told is what is new."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DatabaseError, connection

from alerts import standing
from alerts.detectors import calls, catalogue, expiry, health, outlook, prices, spikes
from alerts.models import AlertKind
from alerts.noticing import Noticed
from tenants import versions

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Detector:
    """What finds all alerts of its kinds that hold at an instant."""

    kinds: tuple[AlertKind, ...]
    find: Callable[[datetime], Iterable[Noticed]]


MINUTELY = (
    Detector((AlertKind.SATURATED,), calls.saturated),
    Detector((AlertKind.REFUSALS,), spikes.refusals),
    Detector((AlertKind.HOLDS_EXPIRED,), calls.holds_expired),
    Detector((AlertKind.EXPIRING,), expiry.expiring),
    Detector((AlertKind.UNPRICED,), catalogue.unpriced),
    Detector((AlertKind.LAG,), health.late),
)
QUARTERLY = (
    Detector((AlertKind.USAGE_SPIKE, AlertKind.SPEND_ANOMALY), spikes.usage),
    Detector((AlertKind.UNUSUAL_PRICE,), prices.unusual),
    Detector((AlertKind.RUN_OUT,), outlook.running_out),
    Detector((AlertKind.AUDIT_BREACH,), health.breaches),
)


def detect(detectors: Sequence[Detector]) -> int:
    """Have each look once; how many alerts were new. One that fails is logged, and the others look all the same."""
    new = 0
    for detector in detectors:
        now = versions.refresh(versions.CATALOGUE)
        try:
            was_open = standing.open_of(detector.kinds)
            new += standing.keep(was_open, list(detector.find(now)), now, is_lasting=True)
        except DatabaseError as error:
            if not connection.is_usable():
                raise
            log.error("detector failed", kinds=detector.kinds, error=str(error))
    return new
