"""How Celery comes back to Redis: within a second of its return, however long it was away."""

from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection

_EVERY_SECOND = {"interval_start": 1, "interval_step": 0, "interval_max": 1}


class QuickConnection(Connection):
    """Kombu's own waits 2 s more after each try, up to 30 s, and no setting of Celery's changes that."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - kombu's
        return super().ensure_connection(*args, **(_EVERY_SECOND | options))  # type: ignore[no-untyped-call]  # kombu's


class Amqp(AMQP):  # type: ignore[misc]  # celery comes without types
    Connection = QuickConnection
