"""What Celery does for the ledger: nothing that anybody waits for."""

from celery import shared_task

from usage import estimates, rollups


@shared_task
def estimate_holds() -> None:
    """Compute anew what calls really use; daily, and safe to run twice."""
    estimates.compute()


@shared_task
def fill_rollups() -> None:
    """Add to the roll-ups what was booked and refused since; every few seconds, and safe to run twice."""
    rollups.fill()
    rollups.go_on_rebuilding()
