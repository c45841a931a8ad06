"""SQL statements: what they answer, made again where the connection under them is broken, kept short."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from tenants.postgresql.base import Silent

T = TypeVar("T")

LONGEST_STATEMENT = "2s"


def rows(query: str, about: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """What a statement answers."""
    with connection.cursor() as cursor:
        cursor.execute(query, about)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def prepared_rows(query: str, about: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement answers that the server parses and plans once for each connection."""
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]  # tenants.postgresql's
        cursor.execute(query, about)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


@contextmanager
def short_statements() -> Iterator[None]:
    """A transaction in which no statement takes over LONGEST_STATEMENT: OperationalError then.

    A longer one keeps a snapshot, and a snapshot stops the pruning of HOT updates on every meter.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{LONGEST_STATEMENT}'")
        yield
        cursor.execute("SET LOCAL statement_timeout = DEFAULT")


def repeatable(statement: Callable[[], T]) -> T:
    """What `statement` answers; on a connection found broken, once more on a new one, at once.

    For statements that may run twice: reads, and what the ledger makes idempotent. A connection that is only idle
    breaks with its server (a restart, a failover), and the request that meets it first need not fail for that.
    Where there was none to break, or the database is silent, trying again only makes the caller wait.
    """
    before = connection.connection
    try:
        return statement()
    except (OperationalError, InterfaceError) as error:
        if before is None or isinstance(error.__cause__, Silent) or connection.in_atomic_block:
            raise
        if connection.connection is before:  # the end of a transaction makes a new one by itself
            if connection.is_usable():
                raise
            connection.close()
        return statement()
