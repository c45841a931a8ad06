"""A call in a thread of its own that has to wait for a lock of the test's open transaction."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from django.db import connection, connections

T = TypeVar("T")


def begin(call: Callable[[], T]) -> Future[T]:
    """Start a call in a thread with a connection of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        finally:
            connections.close_all()

    threading.Thread(target=run, daemon=True).start()
    return future


def wait_for(*calls: Future[T]) -> None:
    """Return once each of the calls waits for this session; fail where one ended without."""
    while len(_waiting()) < len(calls):
        for each in calls:
            assert not each.done(), f"it did not have to wait: {each}"


def wait_for_session() -> int:
    """Return once a session, of whatever process, waits for this one; its backend's id."""
    while not (found := _waiting()):
        pass
    return found[0]


def waiting() -> int:
    """How many sessions, of whatever process, wait for this one."""
    return len(_waiting())


def wait_for_end(backend: int) -> None:
    """Return once a backend has ended its work and gone, as it does after its client was killed."""
    while _column("SELECT pid FROM pg_stat_activity WHERE pid = %s", backend):
        pass


def _waiting() -> list[int]:
    return _column("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")


def _column(query: str, *parameters: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [row[0] for row in cursor.fetchall()]
