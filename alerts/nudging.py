"""Having what was noticed told soon, and nobody wait for that: neither for Redis, nor where it is away."""

import os
import threading

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction

TASK = "alerts.tasks.send"
_SECONDS = 0.1

log = structlog.get_logger()


class _Nudger:
    """A thread of this process that asks a worker to send what is due.

    It asks once for all that was noticed while it was asking. Where it cannot, the worker comes by itself: within a
    second.
    """

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self._starting = threading.Lock()
        self._process: int | None = None

    def start(self) -> None:
        """A thread does not come along into a forked process."""
        with self._starting:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._run, name="alerts-nudger", daemon=True).start()

    def _run(self) -> None:
        options = {"socket_connect_timeout": _SECONDS, "socket_timeout": _SECONDS, "retry_on_timeout": False}
        transport = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, **options}
        while self.wanted.wait():
            self.wanted.clear()
            try:
                with current_app.connection_for_write(transport_options=transport) as broker:
                    current_app.send_task(TASK, connection=broker, retry=False, expires=1)
            except Exception as error:  # whatever a broker that is away raises
                log.debug("not nudged", error=str(error))


_nudger = _Nudger()


def nudge() -> None:
    """Have a worker send what is due, once the transaction around this call is committed. Returns at once."""
    transaction.on_commit(_wake)


def _wake() -> None:
    _nudger.start()
    _nudger.wanted.set()
