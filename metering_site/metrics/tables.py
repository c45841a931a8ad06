"""Figures that are read when Prometheus asks: each source by one bounded query on an index, kept for some seconds.

Every web server tells the same of them, so rules take the maximum. A source that cannot be read is missing, and told.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django_redis import get_redis_connection
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from redis.exceptions import RedisError

from metering_site.metrics import queries
from tenants.database import rows, short_statements
from usage import rollups
from usage.queries import first_id_at

KEPT_SECONDS = 5.0
_LATELY = timedelta(minutes=15)

log = structlog.get_logger()


class Tables:
    """A collector of prometheus-client; one of them is shared by the threads of a process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._kept: list[Metric] = []
        self._kept_until = 0.0

    def collect(self) -> Iterable[Metric]:
        """All figures, those at hand where they are fresh: whoever asks often costs the database nothing."""
        with self._guard:
            if time.monotonic() >= self._kept_until:
                self._kept = list(_figures())
                self._kept_until = time.monotonic() + KEPT_SECONDS
            return self._kept

    def describe(self) -> Iterable[Metric]:
        """Nothing: or registering would ask the database."""
        return ()


def gauge(name: str, help_: str, values: Mapping[tuple[str, ...], float], labels: tuple[str, ...] = ()) -> Metric:
    """One figure, by the values of its labels."""
    metric = GaugeMetricFamily(f"metering_{name}", help_, labels=labels)
    for of, value in values.items():
        metric.add_metric(of, value)
    return metric


def _figures() -> Iterator[Metric]:
    is_up: dict[tuple[str, ...], float] = {}
    is_away = False
    for name, read in (_OF_THE_DATABASE | _OTHERS).items():
        # One wait for a database that does not answer, not one for each source: Prometheus gives up after ten seconds.
        if is_away and name in _OF_THE_DATABASE:
            is_up[name,] = 0
            continue
        found: list[Metric] = []
        try:
            found = list(read())
            is_up[name,] = 1
        except (DatabaseError, InterfaceError, RedisError, OSError) as error:
            log.warning("figure missing", source=name, error=type(error).__name__)
            is_up[name,] = 0
            if name in _OF_THE_DATABASE and not connection.is_usable():
                connection.close()
                is_away = True
        yield from found
    yield gauge("source_up", "Whether the figures of a source could be read.", is_up, ("source",))


def _rows(query: str, about: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with short_statements():
        return rows(query, about)


def _by_labels(found: Iterable[tuple[Any, ...]]) -> dict[tuple[str, ...], float]:
    """Rows whose last column is the value."""
    return {tuple(labels): value for *labels, value in found}


def _reservations() -> Iterator[Metric]:
    ((open_, overdue, expired),) = _rows(queries.RESERVATIONS, {"most": queries.MOST, "since": _now() - _LATELY})
    yield gauge("reservations_open", f"Open reservations, up to {queries.MOST:,}.", {(): open_})
    yield gauge("reservations_overdue_seconds", "How long the oldest should have expired.", {(): overdue})
    yield gauge("reservations_expired_15m", "Reservations that expired in the last 15 minutes.", {(): expired})


def _rollups() -> Iterator[Metric]:
    state = rollups.state()
    lag = inf if state.as_of is None else max(0.0, (state.at - state.as_of).total_seconds())
    yield gauge("rollup_lag_seconds", "How old what the roll-ups hold is; +Inf: nobody filled them yet.", {(): lag})


def _alerts() -> Iterator[Metric]:
    found = _by_labels(_rows(queries.ALERTS))
    yield gauge("alerts_open", "Alerts that hold.", found, ("kind", "severity"))


def _deliveries() -> Iterator[Metric]:
    about = {"first": first_id_at(_now() - timedelta(hours=1))}
    found = _by_labels(_rows(queries.DELIVERIES, about))
    yield gauge("deliveries_1h", "Messages of the last hour.", found, ("channel", "state"))
    ((late,),) = _rows(queries.LATE_DELIVERY)
    yield gauge("delivery_late_seconds", "How long the oldest message that is due has waited.", {(): late})


def _database() -> Iterator[Metric]:
    found = _by_labels(_rows(queries.CONNECTIONS))
    yield gauge("database_connections", "Connections to our database.", found, ("application", "state"))
    ((most, used, size, longest),) = _rows(queries.SERVER)
    yield gauge("database_connections_used", "Connections to the server, whoever's.", {(): used})
    yield gauge("database_connections_max", "Connections that it allows.", {(): most})
    yield gauge("database_bytes", "Size of our database on its disk.", {(): size})
    yield gauge("database_longest_transaction_seconds", "Age of our oldest open transaction.", {(): longest})


def _partitions() -> Iterator[Metric]:
    ((ahead, stray),) = _rows(queries.PARTITIONS)
    yield gauge("partition_ahead", "1: the log's partition of the next month is there.", {(): ahead})
    yield gauge("log_stray_rows", "Rows of the log outside their month's partition, up to 1,000.", {(): stray})


def _server() -> Iterator[Metric]:
    yield gauge("threads", "Requests that this server can answer at once.", {(): settings.API_THREADS})


def _queues() -> Iterator[Metric]:
    redis = get_redis_connection("default")
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
    waiting: dict[tuple[str, ...], float] = {(queue,): redis.llen(prefix + queue) for queue in current_app.amqp.queues}
    yield gauge("queue_tasks", "Tasks that wait for a worker.", waiting, ("queue",))
    yield gauge("queue_taken_tasks", "Tasks that a worker has and has not ended.", {(): redis.hlen(f"{prefix}unacked")})


_Sources = dict[str, Callable[[], Iterator[Metric]]]
_OF_THE_DATABASE: _Sources = {
    "reservations": _reservations,
    "rollups": _rollups,
    "alerts": _alerts,
    "deliveries": _deliveries,
    "database": _database,
    "partitions": _partitions,
}
_OTHERS: _Sources = {"server": _server, "redis": _queues}


def _now() -> datetime:
    return datetime.now(UTC)
