"""A budget that is used up on a running system: what is noticed, and what reaches a receiver when."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from django.db import connections
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug import Request, Response

from alerts.models import Delivery, DeliveryState, QuotaAlert
from enforcement.traces import Row
from metering_site.embedded.processes import wait_until
from metering_site.replay import asks, parties
from metering_site.replay.api import Api
from metering_site.replay.run import Replay
from plans import entitlements
from tenants.models import Tenant
from tests import cast
from tests.alerts.telling import SECRET, channel
from tests.enforcement.rules import limit
from tests.running import Stack
from tests.usage.crew import database_url
from usage.models import UsageLog, UsageMeter

TASK, FEATURE = "LLM2_DRAFT", "PATENT_DRAFTING"
THRESHOLDS = (50, 80, 95, 100)
PATIENCE_SECONDS = 120.0
ESTIMATED_TOKENS_OUT = 8

Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that came in at an instant (seconds of the epoch), its signature verified."""

    message_id: str
    threshold: int
    at: float


class Receiver:
    """Takes webhooks at `url`. What is in `at_first` is done when a threshold comes for the first time, before it is
    answered, with the port of the sender.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("/hook")
        self.arrivals: list[Arrival] = []
        self.refused: list[str] = []
        self.at_first: dict[int, Callable[[int], object]] = {}
        server.expect_request("/hook").respond_with_handler(self._take)

    def of(self, threshold: int) -> list[Arrival]:
        """The messages of a threshold, the first first."""
        return [each for each in self.arrivals if each.threshold == threshold]

    def first(self, threshold: int) -> float:
        """When a threshold came for the first time."""
        return self.of(threshold)[0].at

    def _take(self, request: Request) -> Response:
        at = time.time()
        try:
            said = Webhook(SECRET).verify(request.data, dict(request.headers))
        except WebhookVerificationError as problem:
            self.refused.append(str(problem))
            return Response(status=400)
        if said["data"].get("kind") != "THRESHOLD":
            return Response()
        threshold = said["data"]["threshold"]
        self.arrivals.append(Arrival(request.headers["webhook-id"], threshold, at))
        if act := self.at_first.pop(threshold, None):
            act(int(request.environ["REMOTE_PORT"]))
        return Response()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on this machine."""
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        yield Receiver(server)


@contextmanager
def stack(folder: Path, redis_url: str) -> Iterator[Stack]:
    """The whole system on this process' database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"DATABASE_URL": database_url(), "REDIS_URL": redis_url, "ALERTS_ALLOW_PRIVATE_TARGETS": "true"}
    running = Stack(folder, port, variables)
    try:
        assert running.has_come_up(), running.said
        yield running
    finally:
        running.stop()


def kill_sender(running: Stack) -> bool:
    """SIGKILL to the worker of the messages, once there is one; whether there was."""
    return wait_until(lambda: running.kill("--queues=alerts") > 0, seconds=PATIENCE_SECONDS)


def kill_client(running: Stack, port: int) -> bool:
    """SIGKILL to the process that speaks from a port of this machine; whether there was one."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{line[9]}]" for line in lines if int(line[1].split(":")[1], 16) == port}
    for pid in running.descendants():
        if any(str(each.readlink()) in sockets for each in Path(f"/proc/{pid}/fd").iterdir()):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


@dataclass(slots=True, kw_only=True)
class Budget:
    """A tenant with a month's budget of half of what the rows of a trace cost, told of by a signed webhook.

    `at_share`: what is done once so much of it is used, in percent, while the replay goes on.
    """

    tenant: Tenant
    nano_usd: int
    replay: Replay
    at_share: Mapping[float, Act] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Nano-USD of it."""
        rows = UsageMeter.objects.filter(tenant=self.tenant, measure="COST", period="MONTH", feature=None, task=None)
        return sum(rows.filter(user_key=None).values_list("used", flat=True))

    def use_up(self) -> None:
        """Replay the rows; calls that were refused in the end are made all the same, until nothing is left of it."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=[done])
        watcher.start()
        try:
            self.replay.run(lambda: None)
            assert self.replay.problem is None, self.replay.problem
            assert not self.replay.tally.failed, self.replay.tally.failed
            self._overdraw()
        finally:
            done.set()
            watcher.join()

    def is_told(self) -> bool:
        """Whether every threshold was noticed, and nothing waits to be sent."""
        noticed = QuotaAlert.objects.for_tenant(self.tenant).filter(kind="THRESHOLD").count()
        waiting = Delivery.objects.for_tenant(self.tenant).exclude(state=DeliveryState.SENT)
        return noticed == len(THRESHOLDS) and not waiting.exists()

    def crossed(self) -> dict[int, float]:
        """When the booking that reached each threshold was recorded, just before it was committed (epoch seconds)."""
        rows = UsageLog.objects.filter(tenant=self.tenant).order_by("recorded_at")
        used, found = 0, dict[int, float]()
        for cost, at in rows.values_list("cost", "recorded_at"):
            used += cost or 0
            for threshold in THRESHOLDS:
                if 100 * used >= threshold * self.nano_usd:
                    found.setdefault(threshold, at.timestamp())
        return found

    def _watch(self, done: threading.Event) -> None:
        due = dict(self.at_share)
        try:
            while due and not done.is_set():
                share = 100 * self.used / self.nano_usd
                for reached in [each for each in sorted(due) if each <= share]:
                    due.pop(reached)()
                done.wait(0.02)
        finally:
            connections.close_all()

    def _overdraw(self) -> None:
        """As a service does that goes on where it is refused; what was used is never refused."""
        api = Api(self.replay.url, self.replay.key, self.replay.tally, threading.Event())
        model = self.replay.prices.model(self.replay.asks[0].model_class)
        for ask in self.replay.asks:
            if self.used >= self.nano_usd:
                break
            usage = ask.commit_body(model) | {"id": f"{ask.key}-refused", "source": "replay", "task": ask.task}
            at = datetime.now(UTC).isoformat()
            answer = api.post("event", "/usage/events", usage | {"occurred_at": at})
            assert answer.status == 200, answer.problem
        api.close()


def budget(url: str, rows: Sequence[Row], receiver: Receiver, at_share: Mapping[float, Act] | None = None) -> Budget:
    """A new tenant, of which nothing but the budget is scarce, and a replay that is to use it up by `url`."""
    run = uuid4().hex[:8]
    tenant = cast.make_tenant(f"TOLD_{run}".upper(), "ENTERPRISE", people=0).tenant
    now = datetime.now(UTC)
    for key in ("DAILY_QUOTA", "MONTHLY_QUOTA"):
        limit(tenant, key, None, feature_id=FEATURE)
    party = parties._party(tenant.ati_id, now)
    party = replace(party, tasks=((TASK, dict(party.tasks)[TASK]),))
    sent = asks.spread(rows, [party], bound=ESTIMATED_TOKENS_OUT, run=run)
    prices = parties.Prices(entitlements.catalogue(), now)
    cost = sum(prices.cost_nano_usd(party.tasks[0][1], row.input_tokens, row.output_tokens) for row in rows)
    limit(tenant, "MONTHLY_BUDGET", cost // 2)
    channel(tenant, receiver.url)
    replay = Replay(
        url=url, key=cast.make_key(), asks=sent, prices=prices, concurrency=8, speed=None, patience=10_000,
    )  # fmt: skip
    return Budget(tenant=tenant, nano_usd=cost // 2, replay=replay, at_share=at_share or {})
