"""Services that use the API without a break, sending each call again until it is answered, and keep what they heard."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx2

from metering_site.embedded import processes

TENANT, TASK = "GLOBEX", "LLM2_DRAFT"
# An answer is owed within 2 seconds, a return within 3; the rest is for a machine that has more to do.
SECONDS_FOR_AN_ANSWER = 4.0
SECONDS_TO_COME_BACK = 6.0
_GIVES_UP_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer: to what, its status, after how many seconds, and when it was asked for."""

    kind: str
    status: int
    seconds: float
    at: float


@dataclass(slots=True)
class Caller:
    """One service, in a thread of its own."""

    name: str
    url: str
    key: str
    stop: threading.Event
    leave: threading.Event
    heard: list[Heard] = field(default_factory=list)
    granted: dict[str, str] = field(default_factory=dict)  # reservation -> status it must have
    tokens: int = 0
    problem: BaseException | None = None

    def work(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            with httpx2.Client(base_url=self.url, headers=headers, timeout=SECONDS_FOR_AN_ANSWER) as client:
                turn = 0
                while not self.stop.is_set():
                    self._turn(client, f"{self.name}-{turn}", 1 + turn % 20)
                    turn += 1
        except BaseException as problem:  # the test raises it
            self.problem = problem

    def _turn(self, client: httpx2.Client, name: str, tokens: int) -> None:
        """Everything a service does with the API, once."""

        def post(kind: str, path: str, body: object, **headers: str) -> Any:
            return self._answered(client, kind, lambda: client.post(f"/api/v1{path}", json=body, headers=headers))

        ask = {"tenant": TENANT, "task": TASK, "estimate": {"input_tokens": 50, "max_output_tokens": 50}}
        usage = {"input_tokens": tokens, "output_tokens": 0}
        one = post("enforce", "/enforce", ask, **{"Idempotency-Key": name})["reservation_id"]
        self.granted[one] = "OPEN"
        asks = [ask | {"idempotency_key": f"{name}-{place}"} for place in range(2)]
        batch = post("batch", "/enforce/batch", {"items": asks})["results"]
        two, three = (item["body"]["reservation_id"] for item in batch)
        self.granted |= {two: "OPEN", three: "OPEN"}

        post("commit", f"/reservations/{one}/commit", {"usage": usage})
        self._booked(tokens, one)
        items = [{"reservation_id": each, "usage": usage} for each in (two, three)]
        results = post("commit-batch", "/reservations/commit-batch", {"items": items})["results"]
        assert [item["status"] for item in results] == [200, 200], results
        self._booked(2 * tokens, two, three)
        event = {"id": name, "tenant": TENANT, "task": TASK, "usage": usage}
        post("event", "/usage/events", event | {"occurred_at": datetime.now(UTC).isoformat()})
        self._booked(tokens)

        self._look_around(client)

    def _look_around(self, client: httpx2.Client) -> None:
        """What is asked without waiting for better times."""
        ask = {"tenant": TENANT, "task": TASK}
        self._hear("check", lambda: client.post("/api/v1/check", json=ask), (200, 503))
        self._hear("read", lambda: client.get(f"/api/v1/usage/meters?tenant={TENANT}"), (200, 503))
        self._hear("readyz", lambda: client.get("/readyz"), (200, 503))
        self._hear("healthz", lambda: client.get("/healthz"), (200,))

    def _booked(self, tokens: int, *reservations: str) -> None:
        self.tokens += tokens
        self.granted |= dict.fromkeys(reservations, "COMMITTED")

    def _answered(self, client: httpx2.Client, kind: str, send: Callable[[], httpx2.Response]) -> Any:
        """The answer to a call that is sent until it has one."""
        gives_up_at = monotonic() + _GIVES_UP_AFTER
        while monotonic() < gives_up_at and not self.leave.is_set():
            response = self._hear(kind, send, (200, 503))
            if response.status_code == 200:
                return response.json()
            assert response.headers["Retry-After"].isdigit()
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["code"] == "UNAVAILABLE"
            self._look_around(client)
        raise TimeoutError(f"{kind}: no answer but 503")

    def _hear(self, kind: str, send: Callable[[], httpx2.Response], may_be: tuple[int, ...]) -> httpx2.Response:
        at = monotonic()
        response = send()
        self.heard.append(Heard(kind, response.status_code, monotonic() - at, at))
        assert response.status_code in may_be, (kind, response.status_code, response.text)
        return response


class Callers:
    """Several at once."""

    def __init__(self, url: str, key: str, number: int) -> None:
        self._stop, self._leave = threading.Event(), threading.Event()
        names = [f"{uuid4()}-{each}" for each in range(number)]
        self.all = [Caller(name, url, key, self._stop, self._leave) for name in names]
        self._threads = [threading.Thread(target=caller.work, daemon=True) for caller in self.all]
        for thread in self._threads:
            thread.start()

    def wait_until_all_heard(self, status: int, *, since: float, seconds: float, times: int = 1) -> None:
        """Return once each was answered so, so often, after the instant `since`."""

        def have_heard() -> bool:
            self._raise_problems()
            return all(_has_heard(caller, status, since, times) for caller in self.all)

        assert processes.wait_until(have_heard, seconds=seconds), f"not everybody heard {status} within {seconds} s"

    def leave(self) -> None:
        """Let none wait for an answer any more."""
        self._leave.set()
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def end(self) -> None:
        """Let each finish what it is at. Raises what went wrong for one of them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._raise_problems()

    def _raise_problems(self) -> None:
        for caller in self.all:
            if caller.problem is not None:
                raise caller.problem


def _has_heard(caller: Caller, status: int, since: float, times: int) -> bool:
    found = 0
    for heard in reversed(caller.heard):
        if heard.at < since:
            return False
        found += heard.status == status and heard.kind not in ("healthz", "readyz")
        if found >= times:
            return True
    return False


@contextmanager
def callers(url: str, key: str, number: int = 6) -> Iterator[Callers]:
    """Callers at work, of whom none is left afterwards and none may fail."""
    at_work = Callers(url, key, number)
    try:
        yield at_work
    except BaseException:
        at_work.leave()
        raise
    at_work.end()
