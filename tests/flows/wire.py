"""A TCP port in front of a PostgreSQL that listens on a socket file alone, and that fails as networks do."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Wire:
    """Passes everything on, until told otherwise."""

    def __init__(self, to: Path) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._passes = threading.Event()
        self._passes.set()
        self._is_down = False
        self._guard = threading.Lock()
        self._links: list[_Link] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._passes.clear()

    def pass_on(self) -> None:
        """Everything passes again, what was held back too."""
        self._is_down = False
        self._passes.set()

    def cut_answers(self, *, and_stay_down: bool = False) -> None:
        """Whatever the server answers next on a link of now is lost and the link breaks; `and_stay_down`: new ones
        break at once.
        """
        self._is_down = and_stay_down
        with self._guard:
            for link in self._links:
                link.loses_answers = True

    def close(self) -> None:
        """Break all links for good."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._passes.set()
        with self._guard:
            for link in self._links:
                link.close()

    def _accept(self) -> None:
        with self._listener, suppress(OSError):  # it was shut down
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                if self._is_down or server.connect_ex(str(self._to)):
                    client.close()
                    server.close()
                    continue
                link = _Link(client, server, self._passes.wait)
                with self._guard:
                    self._links.append(link)


class _Link:
    def __init__(self, client: socket.socket, server: socket.socket, wait: Callable[[], bool]) -> None:
        self.loses_answers = False
        self._ends = (client, server)
        self._wait = wait
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # the other direction closed both
            while data := source.recv(65_536):
                self._wait()
                if self.loses_answers and target is self._ends[0]:
                    break
                target.sendall(data)
        self.close()
