"""How Celery lives through an outage of Redis: it comes back within a second, and no task under way ends its worker."""

from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as NotConnected

_EVERY_SECOND = {"interval_start": 1, "interval_step": 0, "interval_max": 1}


class _Channel(kombu_redis.Channel):
    """Kombu's own, of a connection that was given up, fails where a task still wants to say that it is done: with an
    AttributeError, at which Celery ends the worker. A broken connection is what Celery expects.
    """

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: ANN401 - kombu's
        if self.connection.client is None:
            raise NotConnected("This connection to Redis was given up.")
        return super()._connparams(asynchronous)  # type: ignore[no-untyped-call]  # kombu's


class _Transport(kombu_redis.Transport):
    Channel = _Channel


class QuickConnection(Connection):
    """Kombu's own waits 2 s more after each try, up to 30 s, and no setting of Celery's changes that."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - kombu's
        return super().ensure_connection(*args, **(_EVERY_SECOND | options))  # type: ignore[no-untyped-call]  # kombu's

    def get_transport_cls(self) -> Any:  # noqa: ANN401 - kombu's
        found = super().get_transport_cls()  # type: ignore[no-untyped-call]  # kombu's
        return _Transport if found is kombu_redis.Transport else found


class Amqp(AMQP):  # type: ignore[misc]  # celery comes without types
    Connection = QuickConnection
