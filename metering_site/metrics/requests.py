"""Counts of the requests of this process, by the names of the URLconf: never by an address, which is without end."""

from functools import cache

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Gauge, Histogram

# The SLO of enforce is a bucket: 50 ms.
_SECONDS = Histogram(
    "metering_request_seconds",
    "Time of a request in this server.",
    ["endpoint"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
_REQUESTS = Counter("metering_requests_total", "Requests answered.", ["endpoint", "status"])
_BUSY = Gauge("metering_threads_busy", "Requests being answered right now.", multiprocess_mode="livesum")

_CONSOLE = "admin"


def begun() -> None:
    """Count a request that came in; `ended` must follow."""
    _BUSY.inc()


def ended(request: HttpRequest, response: HttpResponseBase | None, seconds: float) -> None:
    """Count its answer; None where there is none."""
    _BUSY.dec()
    match = request.resolver_match
    # The console has hundreds of addresses, and one kind of caller.
    endpoint = "none" if match is None else _CONSOLE if match.app_name == _CONSOLE else match.view_name or "unnamed"
    _seconds_of(endpoint).observe(seconds)
    _requests_of(endpoint, 500 if response is None else response.status_code).inc()


@cache
def _seconds_of(endpoint: str) -> Histogram:
    return _SECONDS.labels(endpoint)


@cache
def _requests_of(endpoint: str, status: int) -> Counter:
    return _REQUESTS.labels(endpoint, status)
