"""The HTTP side of a replay: one connection a worker, and every request sent again until it is answered."""

import random
import threading
from collections.abc import Mapping
from time import monotonic, perf_counter
from typing import Any

import httpx2
import orjson

from metering_site.replay.tally import Tally

# The server is away, or has too much to do: the same key and body again gets the same answer.
RETRIED = frozenset({429, 502, 503, 504})
FAULT = 500  # may pass with the process that had it; one that comes again and again is an answer
MOST_FAULTS = 5
GIVE_UP_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 3.0
TIMEOUT_SECONDS = 30.0


class Unanswered(Exception):
    """The server has not answered for so long that there is no point in going on."""


class Stopped(Exception):
    """The replay was asked to stop while this request waited for the server to come back."""


class Answer:
    """A status and its JSON body."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            body = None
        self.body: Mapping[str, Any] = body if isinstance(body, dict) else {"results": body}

    @property
    def problem(self) -> str:
        """What to count an unexpected answer under, e.g. "404 NOT_FOUND: There is no such tenant here."."""
        return f"{self.status} {self.body.get('code', '')}: {self.body.get('detail', '')}".rstrip(": ")


class Api:
    """The endpoints below <url>/api/v1 for one thread."""

    def __init__(self, url: str, key: str, tally: Tally, stop: threading.Event) -> None:
        self._client = httpx2.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=TIMEOUT_SECONDS,
        )
        self._url = url
        self._tally = tally
        self._stop = stop

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def try_once(self, path: str, body: Mapping[str, Any]) -> Answer:
        """The answer to one request. Raises Unanswered where there is none."""
        try:
            return Answer(self._client.post(path, content=orjson.dumps(body)))
        except (httpx2.TransportError, httpx2.InvalidURL) as problem:
            raise Unanswered(f"{self._url} does not answer ({problem}). `make run` starts the system.") from None

    def post(self, kind: str, path: str, body: Mapping[str, Any], *, key: str | None = None) -> Answer:
        """The answer to a request that may be repeated; its time counts as `kind`. Raises Unanswered, Stopped."""
        content = orjson.dumps(body)
        headers = {} if key is None else {"Idempotency-Key": key}
        gives_up_at = None
        pause = FIRST_PAUSE_SECONDS
        faults = 0
        while True:
            started = perf_counter()
            why, at_least = self._attempt(path, content, headers)
            if isinstance(why, Answer):
                faults += why.status == FAULT
                if why.status != FAULT or faults == MOST_FAULTS:
                    self._tally.answer(kind, perf_counter() - started)
                    return why
                why = f"HTTP {FAULT}"
            gives_up_at = gives_up_at or monotonic() + GIVE_UP_SECONDS
            if monotonic() > gives_up_at:
                raise Unanswered(f"{self._url} did not answer for {GIVE_UP_SECONDS:.0f} s, the last try: {why}")
            self._tally.retry(why)
            if self._stop.wait(at_least + random.uniform(0, pause)):  # noqa: S311 - jitter
                raise Stopped
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)

    def _attempt(self, path: str, content: bytes, headers: Mapping[str, str]) -> tuple[Answer | str, float]:
        """The answer, or why there is none with the seconds the server wants to be left alone."""
        try:
            response = self._client.post(path, content=content, headers=headers)
        except httpx2.TransportError as problem:
            return type(problem).__name__, 0.0
        if response.status_code in RETRIED:
            asked = response.headers.get("Retry-After", "")
            return f"HTTP {response.status_code}", float(asked) if asked.isdigit() else 0.0
        return Answer(response), 0.0
