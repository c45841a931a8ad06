"""What Celery does here: the simulations that were asked for."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from enforcement.simulation import jobs


@shared_task
def simulate(simulation: str) -> None:
    """Carry out one simulation; safe to run twice."""
    jobs.carry_out(UUID(simulation))


@shared_task
def sweep_simulations() -> None:
    """Have those done that wait, or whose worker was lost."""
    jobs.sweep(timezone.now())
