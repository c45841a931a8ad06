"""`manage.py replay`: a trace through a real web server, accounted for to the last token."""

import csv
import io
import os
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.models import Count, Q, Sum

from enforcement import traces
from enforcement.traces import Row
from metering_site.embedded import processes
from metering_site.embedded.supervisor import Program
from metering_site.embedded.web import Address
from metering_site.replay import asks, books, parties
from metering_site.replay.api import Api
from metering_site.replay.run import Replay
from metering_site.replay.tally import Tally
from plans import entitlements
from tenants.models import User
from tests import cast
from tests.enforcement.api import Api as Caller
from tests.usage.pages import browser, words
from usage import rollups
from usage.models import Denial, UsageEvent, UsageLog, UsageReservation

TRACE = settings.BASE_DIR.parent / "shared" / "data" / "azure_llm_code_2023.csv"
ROWS_OF_THE_TRACE = None if os.environ.get("FULL_TRACE") else 300

# One process, so that they share one web server.
pytestmark = pytest.mark.xdist_group("replay")


class Server:
    """The web server on the database of the tests."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = Address("127.0.0.1", probe.getsockname()[1])
        env = {**os.environ, "DATABASE_URL": _database_url(), "HTTPS": "false", "WEB_THREADS": "2"}
        self.program = Program(name="web", command=self.address.command(env), env=env, log=folder / "web.log")

    def start(self) -> None:
        self.program.start()
        self.address.wait_until_ready(self.program)

    def stop(self) -> None:
        self.program.ask_to_stop()
        processes.wait_until(lambda: not self.program.is_running, seconds=20)
        self.program.end()

    def has_committed(self, number: int) -> bool:
        return self.program.log.read_text().count("/commit") >= number

    def workers(self) -> list[int]:
        """Process ids of the workers that answer requests."""
        assert self.program.process is not None
        parent = self.program.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
        return [pid for pid, command in commands.items() if b"granian" in command]


def _database_url() -> str:
    found = connection.settings_dict
    return f"postgresql://{found['USER']}@/{found['NAME']}?host={found['HOST']}"


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("web"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def demo(committed: None) -> str:
    """The tenants of the demo world, and a key for any of them."""
    for name, plan in zip(parties.DEMO, ("PRO", "ENTERPRISE", "FREE"), strict=True):
        cast.make_tenant(name, plan, people=0)
    return cast.make_key()


def replay(server: Server, key: str, *words: object) -> str:
    said = io.StringIO()
    call_command("replay", *map(str, words), url=server.address.url, key=key, stdout=said, stderr=said)
    return said.getvalue()


def require_exact(rows: list[Row], said: str) -> None:
    """Reservations, log and denials account for every row, and the log for every token of the permitted ones."""
    granted = {int(key.split("-")[-1]) for key in UsageReservation.objects.values_list("idempotency_key", flat=True)}
    permitted = [row for row in rows if row.number in granted]
    assert 0 < len(permitted) < len(rows)
    logged = UsageLog.objects.filter(status="COMPLETED").aggregate(
        input=Sum("input_tokens"), output=Sum("output_tokens")
    )
    assert logged["input"] == sum(row.input_tokens for row in permitted)
    assert logged["output"] == sum(row.output_tokens for row in permitted)
    assert UsageLog.objects.count() == len(permitted)
    assert not UsageReservation.objects.filter(status="OPEN").exists()
    assert f"processed {len(rows):,}" in " ".join(said.split())
    assert "The ledger is right" in said
    assert "exactly the calls, tokens and cost" in said


def test_a_drawn_trace_is_logged_to_the_token_while_the_workers_are_killed(server: Server, demo: str) -> None:
    def kill_both() -> None:
        first, second = server.workers()
        processes.wait_until(lambda: server.has_committed(10), seconds=60)
        os.kill(first, signal.SIGKILL)
        processes.wait_until(lambda: server.has_committed(40), seconds=60)
        os.kill(second, signal.SIGKILL)

    killer = threading.Thread(target=kill_both)
    killer.start()
    said = replay(server, demo, "--synthetic", 150, "--tenants", 4, "--concurrency", 8)
    killer.join()
    require_exact(traces.synthetic(150, seed=1), said)
    denied = Denial.objects.aggregate(all=Sum("count"))["all"]
    assert denied >= 150 - UsageLog.objects.count()
    assert "1 more on ENTERPRISE" in said
    assert "sent again:" in said


@pytest.mark.skipif(not TRACE.exists(), reason="../shared/data/azure_llm_code_2023.csv is not there")
def test_the_azure_trace_is_logged_to_the_token(server: Server, demo: str, tmp_path: Path) -> None:
    part = tmp_path / "part.csv"
    part.write_text("\n".join(TRACE.read_text().splitlines()[: ROWS_OF_THE_TRACE and ROWS_OF_THE_TRACE + 1]))
    said = replay(server, demo, part, "--estimate", "max")
    require_exact(traces.read(part), said)
    assert "denied: DAILY_QUOTA_EXCEEDED" in said


def test_pages_reads_and_files_agree_with_the_log_of_a_replay(server: Server, demo: str) -> None:
    """Overview, Explore, the API's summary, both CSV files and `SELECT sum`, whatever the roll-ups have of it yet."""
    replay(server, demo, "--synthetic", 120)
    _require_agreement(demo)
    rollups.fill()
    _require_agreement(demo)
    replay(server, demo, "--synthetic", 30, "--seed", 2)
    _require_agreement(demo)


def _require_agreement(key: str) -> None:
    for name in parties.DEMO:
        logged = UsageLog.objects.filter(tenant__ati_id=name).aggregate(
            operations=Count("id", filter=Q(status__in=["COMPLETED", "FAILED"])), tokens_in=Sum("input_tokens"),
            tokens_out=Sum("output_tokens"), cost=Sum("cost"), units=Sum("units"),
        )  # fmt: skip
        assert logged["operations"] > 0
        refused = Denial.objects.filter(tenant__ati_id=name).aggregate(all=Sum("count"))["all"] or 0
        told = {
            "summary": _of_summary(key, name),
            "log file": _of_log_file(key, name),
            "explore file": _of_explore_file(name),
        }
        expected = {what: logged[what] for what in ("operations", "tokens_in", "tokens_out", "cost")}
        assert told == dict.fromkeys(told, expected)
        assert int(_summary(key, name)["denials"]) == refused
        client = browser(User.objects.get(tenant__ati_id=name))
        tokens = logged["tokens_in"] + logged["tokens_out"]
        assert f"Total {tokens:,} 100.0 %" in words(client, f"/t/{name}/explore/", {"range": "period"})
        page = client.get(f"/t/{name}/")
        cards = {card.title: card.main.standing for card in page.context["cards"]}
        assert cards.pop("Spend").counted == logged["cost"]
        cards.pop("Calls at once")
        assert sum(standing.counted for standing in cards.values()) == logged["units"]


def _summary(key: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = Caller(key).get("/usage/summary", tenant=name, group_by="task").json()["totals"]
    return found


def _of_summary(key: str, name: str) -> dict[str, int]:
    found = _summary(key, name)
    return {
        "operations": found["operations"], "tokens_in": found["input_tokens"], "tokens_out": found["output_tokens"],
        "cost": _nano_usd(found["cost"]),
    }  # fmt: skip


def _of_log_file(key: str, name: str) -> dict[str, int]:
    text = b"".join(iter(Caller(key).get("/usage/logs", tenant=name, format="csv"))).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    return {
        "operations": len([row for row in rows if row["status"] in ("COMPLETED", "FAILED")]),
        "tokens_in": sum(int(row["input_tokens"]) for row in rows),
        "tokens_out": sum(int(row["output_tokens"]) for row in rows),
        "cost": sum(_nano_usd(row["cost"]) for row in rows),
    }


def _of_explore_file(name: str) -> dict[str, int]:
    client, found = browser(User.objects.get(tenant__ati_id=name)), {}
    for measure in ("operations", "tokens_in", "tokens_out", "cost"):
        asked = {"range": "period", "measure": measure, "group_by": "task", "format": "csv"}
        text = b"".join(iter(client.get(f"/t/{name}/explore/", asked))).decode()
        figures = [row[measure] for row in csv.DictReader(io.StringIO(text))]
        found[measure] = sum(_nano_usd(each) if measure == "cost" else int(each) for each in figures)
    return found


def _nano_usd(text: str) -> int:
    return int(Decimal(text).scaleb(9))


def test_a_full_tenant_is_asked_again_until_patience_ends_and_counted_as_denied(server: Server, demo: str) -> None:
    ask = {"tenant": "INITECH", "task": "LLM2_DRAFT", "estimate": {"input_tokens": 1, "max_output_tokens": 1}}
    held = Api(server.address.url, demo, Tally(), threading.Event())
    try:
        assert held.post("enforce", "/enforce", ask, key="the-only-slot").body["allowed"]
    finally:
        held.close()
    said = " ".join(replay(server, demo, "--synthetic", 6, "--patience", 1).split())
    assert "permitted 4" in said
    assert "denied: CONCURRENCY_LIMIT 2" in said
    assert "asked again after CONCURRENCY_LIMIT or RATE_LIMITED: 2" in said


def test_usage_of_a_reservation_that_takes_no_commit_is_booked_as_an_event_once(server: Server, demo: str) -> None:
    """Defect 16: refused late usage is lost usage."""
    now = datetime.now(UTC)
    senders = parties.find(1, now)
    (ask,) = asks.spread([Row(1, 0.0, 1_000, 50)], senders, bound=100, run="late")
    sent = Replay(
        url=server.address.url, key=demo, asks=[ask], prices=parties.Prices(entitlements.catalogue(), now),
        concurrency=1, speed=None, patience=0,
    )  # fmt: skip
    api = Api(server.address.url, demo, sent.tally, threading.Event())
    try:
        permit = api.post("enforce", "/enforce", ask.enforce_body(), key=ask.key)
        assert api.post("release", f"/reservations/{permit.body['reservation_id']}/release", {}).status == 200
        sent.book(api, ask, permit)
        sent.book(api, ask, permit)
    finally:
        api.close()
    assert sent.tally.events == 2
    assert not sent.tally.failed
    assert UsageEvent.objects.count() == 1
    logged = books.logged("late", senders, now)
    assert (logged.calls, logged.input_tokens, logged.output_tokens) == (1, 1_000, 50)
    assert 2 * logged.cost_nano_usd == sent.tally.permitted.cost_nano_usd > 0


def test_ctrl_c_finishes_what_is_under_way_and_says_so(server: Server, demo: str) -> None:
    now = datetime.now(UTC)
    senders = parties.find(6, now)
    sent = Replay(
        url=server.address.url, key=demo, asks=asks.spread(traces.synthetic(5_000, 1), senders, bound=100, run="cut"),
        prices=parties.Prices(entitlements.catalogue(), now), concurrency=4, speed=None, patience=0,
    )  # fmt: skip

    def press_ctrl_c() -> None:
        if sent.tally.permitted.calls > 5 and sent.problem is None:
            raise KeyboardInterrupt

    sent.run(press_ctrl_c)
    assert sent.problem == "it was interrupted"
    assert 5 < sent.tally.rows < 5_000
    assert books.logged("cut", senders, now) == sent.tally.permitted
    assert not UsageReservation.objects.filter(status="OPEN").exists()
