"""What the ledger counts of itself for /metrics: how long its calls take, and how often the configuration had moved."""

from functools import cache

from prometheus_client import Counter, Histogram

_SQL_SECONDS = Histogram(
    "metering_sql_seconds",
    "Time of one ledger call, from the statement to its answer.",
    ["call"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 2.5),
)
_STALE = Counter("metering_stale_total", "Ledger calls that found the configuration moved: they were decided again.")


def called(call: str, seconds: float) -> None:
    """Count one answered call of a function of usage/sql/ledger.sql; `call` is its SQL."""
    _of(call).observe(seconds)


def found_stale() -> None:
    """Count an answer STALE."""
    _STALE.inc()


@cache  # a handful of constants
def _of(call: str) -> Histogram:
    name = call[call.index("ledger_") :].partition("(")[0]
    return _SQL_SECONDS.labels(name)
