"""An installation of one test alone: its own PostgreSQL, which may fail in every way, and web servers on it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from metering_site.embedded import folders, prepare, processes
from metering_site.embedded.postgres import Postgres
from metering_site.embedded.supervisor import Program
from metering_site.embedded.web import Address
from tests.flows.wire import Wire

# In one process: each start of Django costs seconds.
_PREPARE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "metering_site.settings"
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("seed")
call_command("demo", "--env-file", sys.argv[1])
"""


class Site:
    """Once `prepare` has made the demo world, web servers can be started on the socket, or over TCP through `wire`."""

    key: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder)
        self.wire = Wire(folders.socket_folder(folder) / folders.POSTGRES_SOCKET)
        self._programs: list[Program] = []

    def prepare(self) -> None:
        """Start PostgreSQL and make the demo world; `key` is its service key."""
        self.postgres.start()
        self._run("-c", _PREPARE, str(self.folder / "dev.env"))
        self.key = prepare.read_env_file(self.folder / "dev.env")["METERING_KEY"]

    def variables(self, *, over_tcp: bool = False) -> dict[str, str]:
        """For a program that is to use this installation."""
        by_wire = f"postgresql://metering@127.0.0.1:{self.wire.port}/metering"
        database = {"DATABASE_URL": by_wire if over_tcp else self.postgres.url}
        return {**os.environ, "HTTPS": "false", **database}

    def start_web(self, *, over_tcp: bool = False) -> str:
        """Start a web server as `make run` does; its address."""
        address = Address("127.0.0.1", _free_port())
        variables = self.variables(over_tcp=over_tcp)
        web = self.start_program(f"web-{address.port}", *address.command(variables), over_tcp=over_tcp)
        address.wait_until_ready(web)
        return address.url

    def bring_back(self) -> None:
        """However a test left the database."""
        self.thaw()
        self.wire.pass_on()
        if not self.postgres.is_running:
            self.postgres.start()

    def start_program(self, name: str, *command: str, over_tcp: bool = False) -> Program:
        """Start another program on it."""
        log = self.folder / "logs" / f"{name}.log"
        program = Program(name=name, command=command, env=self.variables(over_tcp=over_tcp), log=log)
        program.start()
        self._programs.append(program)
        return program

    def stop(self) -> None:
        """End its programs."""
        for program in self._programs:
            program.ask_to_stop()
        for program in self._programs:
            processes.wait_until(lambda program=program: not program.is_running, seconds=20)  # type: ignore[misc]  # of this turn
            program.end()
        self._programs.clear()

    def freeze(self) -> None:
        """Every process of PostgreSQL stands still, those too that are made meanwhile; its sockets stay open."""
        while moving := [pid for pid in self._servers() if not _is_stopped(pid)]:
            _signal(moving, signal.SIGSTOP)

    def thaw(self) -> None:
        """They go on."""
        _signal(self._servers(), signal.SIGCONT)

    def _servers(self) -> Iterator[int]:
        return processes.working_in(self.postgres.cluster, "postgres")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What its database holds."""
        with psycopg.connect(self.postgres.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def write(self, statement: str) -> None:
        """Change it by hand."""
        with psycopg.connect(self.postgres.url) as connection:
            connection.execute(statement.encode())

    def configure(self, setting: str) -> None:
        """Change a setting of the server under everybody's feet, as `name = value`."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")

    def audit(self) -> str:
        """What `audit_ledger` says. Raises CalledProcessError where it finds a breach."""
        return self.manage("audit_ledger", "--full")

    def manage(self, *words: str) -> str:
        """What a command says. Raises CalledProcessError where it fails."""
        return self._run("manage.py", *words)

    def _run(self, *words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, env=self.variables(), cwd=folders.PROJECT, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout


@contextmanager
def site() -> Iterator[Site]:
    """A site, of which nothing is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mtr"))
    folder.chmod(0o711)
    made = Site(folder)
    try:
        made.prepare()
        yield made
    finally:
        made.thaw()
        made.stop()
        made.wire.close()
        made.postgres.kill()
        shutil.rmtree(folder)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(pid, number)


def _is_stopped(pid: int) -> bool:
    """By its state in /proc, the word after the name in brackets (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
