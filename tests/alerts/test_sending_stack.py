"""Sending by a real worker and beat on a real Valkey, each of which is killed and comes back."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from celery import current_app
from django.db import connection, transaction
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from alerts.models import Delivery, DeliveryState
from metering_site.embedded.processes import tail, wait_until
from metering_site.embedded.valkey import Valkey
from tests.alerts.telling import alert, channel
from tests.cast import Company
from tests.usage import blocked
from tests.usage.crew import database_url

# In the process of the browser tests: both need most of a small machine, so never beside each other.
pytestmark = pytest.mark.xdist_group("browser")

PATIENCE_SECONDS = 120
WORKER = ("worker", "--pool=threads", "--concurrency=2", "--without-gossip", "--without-mingle")
BEAT = ("beat", "--pidfile=")
PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def program(folder: Path, valkey: Valkey, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of Celery's programs on the test's database, with all of its processes killed at the end.

    The end of its log is there to be read where the test fails.
    """
    path = folder / f"{arguments[0]}.log"
    with path.open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "metering_site", *arguments],
            cwd=PROJECT, stdout=log, stderr=log, start_new_session=True,
            env={
                **os.environ, "DATABASE_URL": database_url(), "REDIS_URL": valkey.url,
                "ALERTS_ALLOW_PRIVATE_TARGETS": "true",
            },
        )  # fmt: skip
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        sys.stdout.write(f"{path.name}:\n{tail(path, 40)}\n")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as a socket needs."""
    with tempfile.TemporaryDirectory(prefix="mtr") as made:
        yield Path(made)


@pytest.fixture
def valkey(folder: Path) -> Iterator[Valkey]:
    made = Valkey(folder)
    made.start()
    yield made
    made.kill()


def ask_for(task: str, valkey: Valkey) -> None:
    url = valkey.url.replace("unix://", "redis+socket://")
    with current_app.connection_for_write(url) as broker:
        current_app.send_task(task, connection=broker)


def all_sent() -> bool:
    return not Delivery.objects.exclude(state=DeliveryState.SENT).exists()


def test_a_task_that_outlives_valkey_ends_no_worker(
    committed: None, acme: Company, sink: HTTPServer, folder: Path, valkey: Valkey
) -> None:
    """It can not tell Valkey that it is done; the message is sent all the same, and the worker takes the next one."""
    asked, may_end = threading.Event(), threading.Event()

    def stall(_: Request) -> Response:
        asked.set()
        may_end.wait(PATIENCE_SECONDS)
        return Response("ok")

    sink.expect_request("/hook").respond_with_handler(stall)
    channel(acme.tenant, sink.url_for("/hook"))
    with ExitStack() as programs:
        programs.callback(may_end.set)
        programs.enter_context(program(folder, valkey, *BEAT, f"--schedule={folder / 'schedule'}"))
        worker = programs.enter_context(program(folder, valkey, *WORKER))
        alert(acme.tenant, 50)
        assert asked.wait(PATIENCE_SECONDS), "the worker sends"
        valkey.kill()
        may_end.set()
        assert wait_until(all_sent, seconds=PATIENCE_SECONDS)
        valkey.start()
        alert(acme.tenant, 80)
        assert wait_until(all_sent, seconds=PATIENCE_SECONDS)
        assert worker.poll() is None
    assert len(sink.log) == 2


def test_a_task_that_takes_long_keeps_no_message_waiting(
    committed: None, acme: Company, sink: HTTPServer, folder: Path, valkey: Valkey
) -> None:
    """While every process of the other worker is at one, and more of them queue."""
    sink.expect_request("/hook").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/hook"))
    with ExitStack() as programs:
        programs.enter_context(program(folder, valkey, *BEAT, f"--schedule={folder / 'schedule'}"))
        programs.enter_context(program(folder, valkey, *WORKER))
        programs.enter_context(program(folder, valkey, *WORKER, "--queues=alerts", "--hostname=alerts@%h"))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE usage_usagemeter")  # at which a sweep stops
            for _ in range(4):
                ask_for("alerts.tasks.sweep", valkey)
            assert wait_until(lambda: blocked.waiting() >= 2, seconds=PATIENCE_SECONDS)
            blocked.begin(lambda: alert(acme.tenant, 50)).result(PATIENCE_SECONDS)
            assert wait_until(lambda: Delivery.objects.exists() and all_sent(), seconds=PATIENCE_SECONDS)
            assert blocked.waiting() >= 2


def test_a_killed_worker_and_a_killed_valkey_lose_nothing(
    committed: None, acme: Company, sink: HTTPServer, folder: Path, valkey: Valkey
) -> None:
    """What was being sent comes again under its id; what waited while Valkey was away goes out once it is back."""
    asked, may_end = threading.Event(), threading.Event()
    ids: list[str] = []

    def stall_at_first(request: Request) -> Response:
        ids.append(request.headers["webhook-id"])
        if not asked.is_set():
            asked.set()
            may_end.wait(PATIENCE_SECONDS)
        return Response("ok")

    sink.expect_request("/hook").respond_with_handler(stall_at_first)
    channel(acme.tenant, sink.url_for("/hook"))
    with ExitStack() as programs:
        programs.callback(may_end.set)
        programs.enter_context(program(folder, valkey, *BEAT, f"--schedule={folder / 'schedule'}"))
        alert(acme.tenant, 50)
        with program(folder, valkey, *WORKER):
            assert asked.wait(PATIENCE_SECONDS), "the worker sends"
        assert not all_sent()
        programs.enter_context(program(folder, valkey, *WORKER))
        assert wait_until(all_sent, seconds=PATIENCE_SECONDS)
        assert len(ids) == 2
        assert len(set(ids)) == 1

        valkey.kill()
        for threshold in (80, 95):
            alert(acme.tenant, threshold)
        assert Delivery.objects.filter(state=DeliveryState.PENDING).count() == 2
        assert not wait_until(all_sent, seconds=12), "nobody tells the worker"
        valkey.start()
        assert wait_until(all_sent, seconds=PATIENCE_SECONDS)
    assert len(set(ids)) == 3
    assert len(ids) == 4
