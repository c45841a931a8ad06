"""What Celery does for alerts: nothing that anybody waits for."""

from celery import shared_task

from alerts import deliveries, detectors, sweeping


@shared_task
def send() -> None:
    """Send every message that is due; each second and once something was noticed, and safe to run twice."""
    deliveries.send_due()


@shared_task
def sweep() -> None:
    """Notice what nobody noticed, and resolve what is over; each minute, and safe to run twice."""
    sweeping.sweep()
    detectors.detect(detectors.MINUTELY)


@shared_task
def look_closely() -> None:
    """What takes longer to see: spikes, outlooks, the audit; each quarter of an hour, and safe to run twice."""
    detectors.detect(detectors.QUARTERLY)
