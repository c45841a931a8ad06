"""Connections that give up on a server that has fallen silent or only reads, and the Django backend that makes them."""

import select
import time
from collections.abc import Callable, Generator
from typing import Any, Self, TypeVar, cast

import psycopg
from django.db.backends.postgresql import base, operations
from django.db.backends.utils import CursorWrapper
from psycopg.rows import TupleRow

from tenants.postgresql.pulse import pulse

T = TypeVar("T")
Wish = TypeVar("Wish")

# psycopg's own connect_timeout is two seconds at least, and a caller is answered within two.
CONNECT_SECONDS = 1.5
# How long a process that answers requests waits for what another session holds; past PostgreSQL's search for deadlocks.
LOCK_TIMEOUT = "-c lock_timeout=1500"


class Silent(psycopg.OperationalError):
    """The database says nothing: no answer to anybody, or none to a new connection."""


class ReadOnly(psycopg.OperationalError):
    """The server refuses to write, as a standby does: for whoever wants to write it is away."""


class Connection(psycopg.Connection[TupleRow]):
    """A connection of which each wait ends when the database falls silent; it is closed then.

    And where the server refuses to write: after a failover the next one may lead to the server that does.
    """

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> Generator[Any, Any, Self]:
        until = time.monotonic() + CONNECT_SECONDS
        return _unless(lambda: pulse.is_silent or time.monotonic() > until, super()._connect_gen(conninfo))

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - psycopg's own
        try:
            return super().wait(_unless(lambda: pulse.is_silent, gen), *args, **kwargs)
        except Silent:
            self.close()  # an answer may still be on its way
            raise
        except psycopg.errors.ReadOnlySqlTransaction as refusal:
            self.close()
            raise ReadOnly(str(refusal)) from refusal


def _unless(is_silent: Callable[[], bool], gen: Generator[Wish, Any, T]) -> Generator[Wish, Any, T]:
    """What psycopg waits for, until that turns out to be in vain. It looks in ten times a second meanwhile."""
    ready = None
    try:
        while True:
            if not ready and is_silent():
                raise Silent("the database does not answer")
            ready = yield gen.send(ready)
    except StopIteration as end:
        answer: T = end.value
        return answer


class DatabaseOperations(operations.DatabaseOperations):
    """Django's, whose record of queries has the text of those that were prepared."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:  # noqa: ANN401 - as in Django
        return super().last_executed_query(cursor, sql, params) or str(sql)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with these connections, whose health is asked for where it is in doubt and not in each request."""

    ops_class = DatabaseOperations

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        if pulse.is_felt:
            options = f"{LOCK_TIMEOUT} {conn_params.get('options', '')}".rstrip()  # the operator's own win
            conn_params = {**conn_params, "options": options}
        made = Connection.connect(**conn_params)
        made.prepare_threshold = 5  # psycopg's own; preparing is a round trip more. Django's cursors never prepare
        return made

    def close_if_health_check_failed(self) -> None:
        """A server sends nothing over an idle connection; what there is to read is mostly its end."""
        if self.connection is not None and not self.connection.closed:
            poll = select.poll()
            poll.register(self.connection.fileno(), select.POLLIN)
            if not poll.poll(0):
                return
        super().close_if_health_check_failed()

    def prepared_cursor(self) -> CursorWrapper:
        """As `cursor()`, whose statements the server keeps parsed and planned once they were made a few times."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            made = self._prepare_cursor(psycopg.Cursor(self.connection))  # type: ignore[attr-defined]  # Django's own
        return cast("CursorWrapper", made)
