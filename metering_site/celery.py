"""The Celery app: tasks live in each app's tasks.py, `settings.CELERY_BEAT_SCHEDULE` says when they run."""

import os

from celery import Celery, signals
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")

app = Celery("metering", amqp="metering_site.broker:Amqp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def keep_logging_as_it_is(**_: object) -> None:
    """Having a receiver is what keeps Celery from replacing the LOGGING setting."""


@app.task
def clear_sessions() -> None:
    """Remove the sessions that have expired; they are never read again."""
    call_command("clearsessions")
