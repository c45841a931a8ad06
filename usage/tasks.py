"""What Celery does for the ledger: nothing that anybody waits for."""

from celery import shared_task

from usage import estimates


@shared_task
def estimate_holds() -> None:
    """Compute anew what calls really use; daily, and safe to run twice."""
    estimates.compute()
