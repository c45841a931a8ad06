"""Callers of the ledger as processes of their own, seen from the test: see `workers` for what they do."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

SECONDS_FOR_ALL = 120


@dataclass(frozen=True, slots=True)
class Crew:
    """The callers at work."""

    program: subprocess.Popen[str]

    def lines(self) -> Iterator[dict[str, Any]]:
        """What they tell, until the last has ended."""
        assert self.program.stdout is not None
        for line in self.program.stdout:
            yield json.loads(line)

    def stop(self) -> None:
        """Tell all of them to come to an end."""
        assert self.program.stdin is not None
        self.program.stdin.close()


@contextmanager
def crew(role: str, callers: int, *, environment: Mapping[str, str] | None = None, **task: Any) -> Iterator[Crew]:
    """Callers of one role, with the task as arguments, on this test's database unless the environment names another.

    None may fail, though the test may kill them; none is left afterwards.
    """
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.usage.workers", role, str(callers), json.dumps(task, default=str)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "DATABASE_URL": database_url(), **(environment or {})},
    )  # fmt: skip
    timer = threading.Timer(SECONDS_FOR_ALL, _kill, [program])
    timer.start()
    try:
        with program:
            found = Crew(program)
            yield found
            found.stop()
        assert program.returncode == 0, f"{role}: code {program.returncode}"
    finally:
        timer.cancel()
        _kill(program)


def _kill(program: subprocess.Popen[str]) -> None:
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def told_by(
    role: str, callers: int, *, environment: Mapping[str, str] | None = None, **task: Any
) -> list[dict[str, Any]]:
    """All that the callers of a role told, once they have ended."""
    with crew(role, callers, environment=environment, **task) as at_work:
        return list(at_work.lines())


def database_url() -> str:
    """The URL of this test's own database, for another process."""
    found = connection.settings_dict
    user = ":".join(quote(found[name], safe="") for name in ("USER", "PASSWORD") if found[name])
    place = f"{found['HOST']}:{found['PORT']}" if found["PORT"] else ""
    socket = "" if place else f"?host={quote(found['HOST'], safe='/')}"
    return f"postgresql://{user}@{place}/{found['NAME']}{socket}"
