"""`python -m bench.metrics`: what counting for /metrics costs a request, with and without it by turns in one process.

Requests pass the whole WSGI application, and the ledger in its own database (`embedded exec` starts one); only the web
server's socket is left out, which would make the share smaller. Counts go to the files that several processes share.
"""

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from metering_site.metrics import folder

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")
os.environ["LOG_LEVEL"] = "ERROR"
folder.begin(Path(tempfile.mkdtemp()))

from django.core.wsgi import get_wsgi_application  # noqa: E402 - counting begins before anything that counts

application = get_wsgi_application()

from bench.world import FEATURE, _tenant  # noqa: E402
from enforcement import metrics as of_decisions  # noqa: E402
from metering_site.metrics import requests as of_requests  # noqa: E402
from plans.models import Plan, PlanStatus  # noqa: E402
from tenants import tokens  # noqa: E402
from tenants.models import Scope, Tenant  # noqa: E402
from usage import metrics as of_ledger  # noqa: E402

_COUNTING = (
    (of_requests, "begun"), (of_requests, "ended"), (of_decisions, "decided"), (of_decisions, "booked"),
    (of_ledger, "called"), (of_ledger, "found_stale"),
)  # fmt: skip
TENANT = "BENCH_METRICS"


@contextmanager
def without() -> Iterator[None]:
    """Inside, nothing is counted."""
    kept = [(module, name, getattr(module, name)) for module, name in _COUNTING]
    for module, name in _COUNTING:
        setattr(module, name, lambda *_: None)
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def post(path: str, body: object, key: str) -> dict[str, Any]:
    """One request, as a web server hands it on."""
    raw = json.dumps(body).encode()
    told: list[str] = []
    answer = application(
        {
            "REQUEST_METHOD": "POST", "PATH_INFO": f"/api/v1{path}", "QUERY_STRING": "", "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(raw)), "HTTP_HOST": "localhost",
            "HTTP_AUTHORIZATION": f"Bearer {key}", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(raw),
            "wsgi.errors": sys.stderr, "wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        },
        lambda status, headers, error=None: told.append(status) or bytes,  # type: ignore[func-returns-value]  # nobody writes by it
    )  # fmt: skip
    found: dict[str, Any] = json.loads(b"".join(answer))
    if not told[0].startswith("200"):
        raise SystemExit(f"{path} answered {told[0]}: {found}")
    return found


Took = tuple[float, float]
"""Seconds of the clock, and of the processor: the latter does not wait for the database or for other programs."""


def cycle(key: str, name: str) -> Took:
    """What a cycle of enforce and commit takes."""
    ask = {
        "tenant": TENANT, "feature": FEATURE, "estimate": {"input_tokens": 100, "max_output_tokens": 100},
        "idempotency_key": name,
    }  # fmt: skip
    used = {"usage": {"input_tokens": 100, "output_tokens": 50}}
    begun, busy = time.perf_counter(), time.thread_time()
    permit = post("/enforce", ask, key)
    post(f"/reservations/{permit['reservation_id']}/commit", used, key)
    return time.perf_counter() - begun, time.thread_time() - busy


def by_turns(key: str, pairs: int) -> tuple[list[Took], list[Took]]:
    """Cycles with and without counting, in pairs, so that both meet the same machine; which is first changes."""
    with_: list[Took] = []
    without_: list[Took] = []
    run = f"{time.time():.0f}"
    for number in range(pairs):
        for is_counting in (True, False) if number % 2 else (False, True):
            with nullcontext() if is_counting else without():
                took = cycle(key, f"{run}-{number}-{is_counting}")
            (with_ if is_counting else without_).append(took)
    return with_, without_


def main() -> int:
    """Make a tenant, measure, tell."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=5_000)
    asked = arguments.parse_args()
    if not Tenant.objects.filter(ati_id=TENANT).exists():
        _tenant(TENANT, Plan.objects.get(code="ENTERPRISE", status=PlanStatus.ACTIVE))
    key = tokens.issue_key("bench", [Scope.ENFORCE], calls_per_second=1_000_000).text
    by_turns(key, asked.pairs // 20)
    with_, without_ = by_turns(key, asked.pairs)
    for place, name in enumerate(("clock", "processor")):
        one, other = ([took[place] * 1000 for took in half] for half in (with_, without_))
        parts = []
        for word, share in (("median", 50), ("quickest tenth", 10)):
            a, b = (statistics.quantiles(half, n=100)[share - 1] for half in (one, other))
            parts.append(f"{word} {a:.3f} ms with, {b:.3f} ms without: {a / b:.3f}")
        print(f"{name:9}  {'; '.join(parts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
