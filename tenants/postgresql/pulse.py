"""Whether the database answers at all, asked on a connection of its own.

A server that is stopped refuses at once. One that is frozen, or behind a network that swallows packets, says nothing,
and whoever waits cannot tell it from one that is busy with a long statement. So a thread asks the shortest question
there is, four times a second: as long as that is answered a statement may take its time, and when it is not, nobody
waits. Only processes that answer requests ask; without `start` the database never counts as silent.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
from django.db import connection

T = TypeVar("T")

EVERY_SECONDS = 0.25
SILENT_AFTER_SECONDS = 1.0


class Pulse:
    """What is known of one database, by all threads of this process."""

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self.is_felt = False  # in this process, which then answers requests

    @property
    def is_silent(self) -> bool:
        """Whether a question has been left without any answer for too long."""
        asked_at = self._asked_at
        return asked_at is not None and time.monotonic() - asked_at > SILENT_AFTER_SECONDS

    def ask(self, question: Callable[[], T]) -> T:
        """What `question` answers. Where it ends without one (a timeout), the silence before it goes on."""
        began_at = time.monotonic()
        if self._asked_at is None:
            self._asked_at = began_at
        try:
            answer = question()
        except psycopg.Error:
            if time.monotonic() - began_at < SILENT_AFTER_SECONDS:
                self._asked_at = None  # refused is an answer
            raise
        self._asked_at = None
        return answer

    def keep_asking(self, parameters: Mapping[str, Any]) -> None:
        """Ask for ever, on a new connection where one breaks."""
        while True:
            try:
                with self.ask(lambda: psycopg.connect(**parameters, autocommit=True)) as asked:
                    while True:
                        self.ask(lambda: asked.execute("SELECT 1"))
                        time.sleep(EVERY_SECONDS)
            except psycopg.Error:
                time.sleep(EVERY_SECONDS)


pulse = Pulse()


def start() -> None:
    """Begin to ask, once in a process and after any fork."""
    parameters = connection.get_connection_params()
    pulse.is_felt = True
    threading.Thread(target=pulse.keep_asking, args=[parameters], name="pulse", daemon=True).start()
