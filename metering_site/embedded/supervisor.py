"""Keeps programs and servers running: whatever ends by itself is started again, until all are stopped."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from metering_site.embedded import processes
from metering_site.embedded.postgres import Postgres
from metering_site.embedded.processes import CannotStart
from metering_site.embedded.valkey import Valkey

LOOK_EVERY_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
STABLE_AFTER_SECONDS = 60.0  # one that ran this long and ends is started again at once
SECONDS_TO_STOP = 15.0

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _die_with_the_supervisor() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True, kw_only=True)
class Program:
    """One of our own programs; its output goes to `log`."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, alone: what a killed one left of its children would still listen on its port.

        It ends with the supervisor, however that ends (on Linux).
        """
        self.end()
        self.process = processes.spawn(self.command, log=self.log, env=self.env, prepare=_die_with_the_supervisor)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once."""
        if self.process is not None and self.is_running:
            self.process.terminate()

    def end(self) -> None:
        """Kill what is left of it, its own children included."""
        if self.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of the dead
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(slots=True)
class _Watched:
    subject: Program | Postgres | Valkey
    name: str
    failures: int = 0
    started_at: float = field(default_factory=time.monotonic)
    due_at: float | None = None


class Supervisor:
    """Looks after `servers` (running already) and `programs`; `say` is told of every restart."""

    def __init__(
        self,
        *,
        servers: Sequence[Postgres | Valkey],
        programs: Sequence[Program],
        say: Callable[[str], None],
    ) -> None:
        self.programs = programs
        self._watched = [
            *(_Watched(server, type(server).__name__) for server in servers),
            *(_Watched(program, program.name) for program in programs),
        ]
        self._say = say

    def watch(self) -> NoReturn:
        """Restart what ends, for ever; an exception (KeyboardInterrupt, SystemExit) is the way out."""
        while True:
            for watched in self._watched:
                self._look_at(watched)
            time.sleep(LOOK_EVERY_SECONDS)

    def stop(self) -> None:
        """Ask all programs to end, and kill those that do not in time."""
        for program in self.programs:
            program.ask_to_stop()
        processes.wait_until(lambda: not any(program.is_running for program in self.programs), seconds=SECONDS_TO_STOP)
        for program in self.programs:
            program.end()

    def _look_at(self, watched: _Watched) -> None:
        if watched.subject.is_running:
            return
        now = time.monotonic()
        if watched.due_at is None:
            if now - watched.started_at > STABLE_AFTER_SECONDS:
                watched.failures = 0
            pause = min(LONGEST_PAUSE_SECONDS, 0.5 * (2**watched.failures - 1))
            watched.failures += 1
            watched.due_at = now + pause
            self._say(f"{watched.name} has ended; starting it again" + (f" in {pause:.1f} s" if pause else ""))
        if now >= watched.due_at:
            watched.due_at = None
            watched.started_at = now
            try:
                watched.subject.start()
            except CannotStart as problem:
                self._say(str(problem))
