"""The cache on Redis or Valkey, of which nothing may hang: while the server is away it is empty and answers at once."""

import time
from collections.abc import MutableMapping
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import redis
import structlog
from django_redis.cache import RedisCache
from redis.backoff import NoBackoff
from redis.retry import Retry

SECONDS_LEFT_ALONE = 5.0

log = structlog.get_logger()


class Client(redis.Redis):
    """Leaves a server that did not answer alone for a while, so that one call waits for it and not every one."""

    away_until: ClassVar[MutableMapping[object, float]] = WeakKeyDictionary()
    """By the pool of connections to a server, which the clients of all threads share."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(**options)
        self.set_retry(Retry(NoBackoff(), 0))

    def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - any command's
        if time.monotonic() < self.away_until.get(self.connection_pool, 0.0):
            raise redis.ConnectionError("Redis was away a moment ago.")
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        except (redis.ConnectionError, redis.TimeoutError) as problem:
            self.away_until[self.connection_pool] = time.monotonic() + SECONDS_LEFT_ALONE
            log.warning("redis away", error=type(problem).__name__)
            raise


class Cache(RedisCache):  # type: ignore[misc]  # it comes without types
    """Grants every lock while Redis is away; allauth's throttles, which take one each, then let everybody through."""

    def add(self, *args: Any, **options: Any) -> bool:  # noqa: ANN401 - django-redis's
        added = super().add(*args, **options)
        return True if added is None else bool(added)
