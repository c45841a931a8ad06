"""What Celery does for alerts: nothing that anybody waits for."""

from datetime import UTC, datetime

from celery import shared_task

from alerts import deliveries, detectors, owners, pruning, reports, sweeping
from alerts.events import reading


@shared_task
def send() -> None:
    """Send every message that is due; each second and once something was noticed, and safe to run twice."""
    deliveries.send_due()


@shared_task
def sweep() -> None:
    """Notice what nobody noticed, resolve what is over, tell events of the product, make the reports that are due;
    each minute, and safe to run twice.
    """
    owners.have_told()
    sweeping.sweep()
    detectors.detect(detectors.MINUTELY)
    reading.read()
    reports.make_due(datetime.now(UTC))


@shared_task
def look_closely() -> None:
    """What takes longer to see: spikes, outlooks, the audit; each quarter of an hour, and safe to run twice.

    Afterwards what is too old is removed.
    """
    detectors.detect(detectors.QUARTERLY)
    pruning.prune(datetime.now(UTC))
