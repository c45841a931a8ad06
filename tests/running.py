"""`make run` as its user starts it: a process of its own, with all that it starts."""

import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from metering_site.embedded import processes

SECONDS = 60.0


class Stack:
    """A run of the whole system on a scratch folder and a free port; its output is in `said`.

    On servers of its own, unless `variables` name others.
    """

    def __init__(self, data_dir: Path, port: int, variables: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = port
        self.log = data_dir.parent / "said.log"
        self.log.write_text("")
        own = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        self.variables = {**own, "PORT": str(port), **(variables or {})}
        self.process = processes.spawn(self.command, log=self.log, env=self.variables)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "metering_site.embedded", "run", "--data", str(self.data_dir)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.log.read_text()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return b'"redis": "ok"' in answer.read()
        except (urllib.error.URLError, OSError):
            return False

    def has_come_up(self) -> bool:
        processes.wait_until(lambda: "Ctrl-C stops" in self.said or self.process.poll() is not None, seconds=SECONDS)
        return processes.wait_until(self.is_ready, seconds=SECONDS)

    def descendants(self) -> dict[int, str]:
        """Process id -> command line of all that it started, directly or not."""
        found, parents = {}, [self.process.pid]
        while parents:
            for task in Path(f"/proc/{parents.pop()}/task").glob("*/children"):
                for pid in map(int, task.read_text().split()):
                    found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    parents.append(pid)
        return found

    def kill(self, program: str) -> int:
        """SIGKILL to each process whose command line has this in it; how many there were."""
        found = [pid for pid, command in self.descendants().items() if program in command]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return len(found)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=SECONDS)
