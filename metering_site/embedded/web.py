"""The web server of the stack: where it listens, how it is started, when it answers."""

import errno
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from metering_site.embedded import processes
from metering_site.embedded.processes import CannotStart
from metering_site.embedded.supervisor import Program

SECONDS_TO_ANSWER = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port of the web server."""

    host: str
    port: int

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Address":
        """From HOST (127.0.0.1) and PORT (8000). Raises CannotStart."""
        port = variables.get("PORT") or "8000"
        if not port.isdigit() or not 0 < int(port) < 65_536:
            raise CannotStart(f"PORT={port} is not a port: choose a number from 1 to 65535.")
        return cls(variables.get("HOST") or "127.0.0.1", int(port))

    @property
    def url(self) -> str:
        """The address for a client on this machine."""
        everywhere = self.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        return f"http://{'127.0.0.1' if everywhere else self.host}:{self.port}"

    def command(self, variables: Mapping[str, str]) -> list[str]:
        """The web server's command line, sized by WEB_WORKERS (2) and WEB_THREADS (3)."""
        return [
            *(sys.executable, "-m", "granian", "--interface", "wsgi"),
            *("--host", self.host, "--port", str(self.port)),
            *("--workers", variables.get("WEB_WORKERS") or "2"),
            *("--blocking-threads", variables.get("WEB_THREADS") or "3"),
            # The longest there is: with its thread goes a database connection and what the thread has cached.
            *("--blocking-threads-idle-timeout", "600"),
            *("--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "10"),
            "metering_site.wsgi:application",
        ]

    def wait_until_free(self) -> None:
        """Return once nobody listens there; a web server whose supervisor was killed is just about to end."""
        if not processes.wait_until(self._is_free, seconds=3, every=0.1):
            raise CannotStart(
                f"Port {self.port} is taken by another program. Stop that one, or choose another: "
                f"PORT={self.port + 1} make run"
            )

    def wait_until_ready(self, program: Program) -> None:
        """Return once /readyz says yes. Raises CannotStart with the end of the log if it never does."""
        processes.wait_until(lambda: self._is_ready() or not program.is_running, seconds=SECONDS_TO_ANSWER, every=0.1)
        if not self._is_ready():
            log = processes.tail(program.log)
            raise CannotStart(f"{self.url}/readyz does not answer 200. The end of {program.log}:\n{log}")

    def _is_free(self) -> bool:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as problem:
                if problem.errno == errno.EADDRINUSE:
                    return False
                raise CannotStart(
                    f"Cannot listen on {self.host}:{self.port} ({os.strerror(problem.errno or 0)}). "
                    "Choose another HOST or PORT."
                ) from None
        return True

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310 - http, ours
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
