"""The site over HTTP for a browser, on the test's own database and with its real static files."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.core.wsgi import get_wsgi_application
from django.db import connections

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the library
        """Our own request log has the line already."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers in HTTP/1.0, a thread and a connection each, so that nothing is left once it is closed."""

    def __init__(self) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            connections.close_all()

    def hang_up(self) -> None:
        """End the connections that a browser opened in advance and sent nothing on."""
        for request in list(self._open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RD)


def _whole(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The site, whose answer is closed even if the browser hangs up before it has all of it."""
    answer: Any = _site()(environ, start_response)
    try:
        return list(answer)
    finally:
        answer.close()


@cache
def _site() -> "WSGIApplication":
    return get_wsgi_application()


@contextmanager
def served() -> Iterator[str]:
    """The address under which the site answers meanwhile; every request is finished afterwards."""
    with _Server() as server:
        server.set_app(_whole)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.hang_up()
