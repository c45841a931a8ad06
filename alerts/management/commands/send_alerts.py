"""`manage.py send_alerts`: what the worker does each second, for a machine whose Redis is away."""

from typing import Any

from django.core.management.base import BaseCommand

from alerts import deliveries
from tenants.words import counted


class Command(BaseCommand):
    """Sends every message that is due now."""

    help = "Send every alert that is due now, beside the workers that do so each second."

    def handle(self, *_: Any, **options: Any) -> None:  # noqa: ANN401 - BaseCommand's
        self.stdout.write(f"{counted(deliveries.send_due(), 'message')} tried.")
