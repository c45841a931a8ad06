"""The project as an app of its own: its checks, and the Celery app that tasks bind to in every process."""

from django.apps import AppConfig
from django.conf import settings


class MeteringSiteConfig(AppConfig):
    """Registers what has to be there in the web server, the worker and every command alike."""

    name = "metering_site"
    verbose_name = "Metering"

    def ready(self) -> None:
        """Import for the registration alone."""
        from metering_site import celery, checks  # noqa: F401, PLC0415

        if settings.SENTRY_DSN:
            from metering_site import reports  # noqa: PLC0415

            reports.begin(settings.SENTRY_DSN)
