"""`make run` as its user sees it: one command up, anything killed comes back, one signal and nothing is left."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metering_site.embedded import folders, prepare, processes
from tests.running import SECONDS, Stack


@pytest.fixture
def stack(open_folder: Path) -> Iterator[Stack]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = Stack(open_folder / "data", port)
    yield running
    running.stop()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the tree of processes from /proc")
def test_it_comes_up_survives_kills_stops_without_a_trace_and_starts_again(stack: Stack) -> None:
    assert stack.has_come_up(), stack.said
    dev, dev_env = prepare.read_env_file(stack.data_dir / "dev.env"), stack.data_dir / "dev.env"
    assert dev["METERING_URL"] == f"http://127.0.0.1:{stack.port}"
    for told in (dev["METERING_URL"], dev["METERING_ADMIN_PASSWORD"], dev["METERING_TENANT_EMAIL"], str(dev_env)):
        assert told in stack.said
    for private in (dev_env, stack.data_dir / "stack.env"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600

    twin = subprocess.run(stack.command, env=stack.variables, capture_output=True, text=True, check=False)
    assert twin.returncode == 1
    assert f"in use by process {stack.process.pid}" in twin.stderr

    before = stack.descendants()
    for program in ("postgres -D", "valkey-server", "granian", "celery", "manage.py keep"):
        assert any(program in command for command in before.values()), program
        stack.kill(program)
    assert processes.wait_until(lambda: stack.said.count("starting it again") >= 7, seconds=SECONDS)
    assert processes.wait_until(stack.is_ready, seconds=SECONDS)

    during = stack.descendants()
    assert stack.stop() == 0
    assert not [pid for pid in {**before, **during} if processes.is_alive(pid)]

    again = Stack(stack.data_dir, stack.port)
    try:
        assert again.has_come_up(), again.said
        assert "Migrating" not in again.said
        assert prepare.read_env_file(dev_env) == dev
    finally:
        assert again.stop() == 0


def test_a_taken_port_is_said_with_the_way_out(open_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack = Stack(open_folder / "data", port)
        assert stack.process.wait(timeout=SECONDS) == 1
    assert f"Port {port} is taken" in stack.said
    assert f"PORT={port + 1} make run" in stack.said


@pytest.mark.parametrize("port", ["http", "0", "65536"])
def test_a_port_that_is_none_is_refused(open_folder: Path, port: str) -> None:
    command = [sys.executable, "-m", "metering_site.embedded", "run", "--data", str(open_folder / "data")]
    done = subprocess.run(command, env={**os.environ, "PORT": port}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not a port" in done.stderr


def test_a_database_that_does_not_answer_is_said_with_the_end_of_the_log(open_folder: Path) -> None:
    command = [sys.executable, "-m", "metering_site.embedded", "run", "--data", str(open_folder)]
    away = {"DATABASE_URL": "postgresql://metering@/metering?host=/nowhere", "REDIS_URL": "unix:///nowhere.sock"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away["PORT"] = str(probe.getsockname()[1])
    done = subprocess.run(command, env={**os.environ, **away}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Using your servers" in done.stdout
    assert "`manage.py migrate --no-input` failed" in done.stderr
    assert "/nowhere" in done.stderr


def test_exec_runs_a_command_between_start_and_stop_and_passes_its_exit_code_on(open_folder: Path) -> None:
    variables = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    question = "import os, psycopg, sys; psycopg.connect(os.environ['DATABASE_URL']); sys.exit(7)"
    run = [sys.executable, "-m", "metering_site.embedded", "exec", "--data", str(open_folder), "--"]
    done = subprocess.run([*run, sys.executable, "-c", question], env=variables, check=False, cwd=folders.PROJECT)
    assert done.returncode == 7
    assert not list(processes.working_in(open_folder / "postgres", "postgres"))
