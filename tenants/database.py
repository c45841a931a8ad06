"""Statements that may be made again when the connection under them turns out to be broken."""

from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from tenants.postgresql.base import Silent

T = TypeVar("T")


def repeatable(statement: Callable[[], T]) -> T:
    """What `statement` answers; on a connection found broken, once more on a new one, at once.

    For statements that may run twice: reads, and what the ledger makes idempotent. A connection that is only idle
    breaks with its server (a restart, a failover), and the request that meets it first need not fail for that.
    Where there was none to break, or the database is silent, trying again only makes the caller wait.
    """
    was_connected = connection.connection is not None
    try:
        return statement()
    except (OperationalError, InterfaceError) as error:
        if not was_connected or isinstance(error.__cause__, Silent):
            raise
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return statement()
