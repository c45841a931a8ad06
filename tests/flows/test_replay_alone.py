"""`manage.py replay` without its server: bad traces and options, what is due when, and how long it waits."""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import monotonic
from typing import ClassVar
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from enforcement import traces
from enforcement.traces import Row
from metering_site.replay import asks, parties
from metering_site.replay.agenda import Agenda
from metering_site.replay.api import Api
from metering_site.replay.run import Replay
from metering_site.replay.tally import Tally
from plans import entitlements
from tests import cast

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
GOOD = "2023-11-16 18:17:03.9799600,4808,10"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no column TIMESTAMP, ContextTokens, GeneratedTokens. It has: nothing"),
        ("TIMESTAMP,ContextTokens,Output\n" + GOOD, "no column GeneratedTokens"),
        (HEADER, "no rows under its header"),
        (f"{HEADER}\n{GOOD}\n2023-11-16 18:17:04,many,1", r"row 2 \(line 3\), column ContextTokens: 'many' is not a"),
        (f"{HEADER}\n2023-11-16 18:17:04,1,-1", r"row 1 \(line 2\), column GeneratedTokens: '-1' is not a whole"),
        (f"{HEADER}\n2023-11-16 18:17:04,1,1000000001", "from 0 to 1,000,000,000"),
        (f"{HEADER}\n2023-11-16 18:17:04,1", "column GeneratedTokens: '' is not a whole number"),
        (
            f"{HEADER}\n{GOOD}\n2023-11-16 18:17:04+14:00,1,1",
            r"row 2 \(line 3\), column TIMESTAMP: it is before the row",
        ),
        (f"{HEADER}\n{GOOD}\n9999-12-31 23:59:59,1,1", r"row 2 \(line 3\), column TIMESTAMP: .* 3,660 days after"),
        (f"{HEADER}\nyesterday,1,1", r"row 1 \(line 2\), column TIMESTAMP: 'yesterday' is not a date and time"),
    ],
)
def test_a_bad_trace_is_refused_with_file_row_and_column(tmp_path: Path, text: str, told: str) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(text)
    with pytest.raises(CommandError, match=told) as refused:
        call_command("replay", str(trace))
    assert str(trace) in str(refused.value)


def test_a_trace_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere.csv: No such file"):
        call_command("replay", str(tmp_path / "nowhere.csv"))
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff")
    with pytest.raises(CommandError, match="not a CSV file in UTF-8"):
        call_command("replay", str(tmp_path / "picture.csv"))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--tenants=0", "0 is not from 1 to 1,000"),
        ("--concurrency=many", "invalid number value: 'many'"),
        ("--speed=-1", "neither max nor a number above 0"),
        ("--speed=fast", "invalid speed value: 'fast'"),
        ("--estimate=p50", "'p50' is neither p95 nor max nor fixed:N"),
    ],
)
def test_an_option_out_of_range_is_refused(option: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("replay", "--synthetic", "3", option)


def test_what_has_to_be_there_first_is_said(acme: cast.Company, svc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERING_KEY", raising=False)
    of_one_tenant = cast.make_key(tenant=acme.tenant)
    unknown = f"mk_{16 * '0'}_{43 * 'x'}"
    for key, told in (
        ("nonsense", "not a service key"),
        (unknown, "does not know this key"),
        (of_one_tenant, "or not as one for any tenant"),
        (svc, "There is no tenant GLOBEX, INITECH"),
    ):
        with pytest.raises(CommandError, match=told):
            call_command("replay", "--synthetic", "3", url="http://127.0.0.1:1", key=key)
    with pytest.raises(CommandError, match="does not answer"):
        call_command("replay", "--synthetic", "3", "--tenants", "1", url="http://127.0.0.1:1", key=svc)


def ask_at(number: int, after_seconds: float) -> asks.Ask:
    nobody = parties.Party(tenant=UUID(int=0), ati_id="ACME", plan="PRO", tasks=(("LLM2_DRAFT", "PRO_L"),))
    (ask,) = asks.spread([Row(number, after_seconds, 1, 1)], [nobody], bound=1, run="x")
    return ask


def test_a_call_that_waited_goes_before_those_that_are_fresh() -> None:
    first, second = ask_at(1, 0.0), ask_at(2, 0.0)
    agenda = Agenda([first, second], speed=None)
    assert agenda.take() is first
    agenda.done(first, again_after_seconds=0)
    assert agenda.take() is first
    assert agenda.take() is second
    agenda.done(first)
    agenda.done(second)
    assert agenda.take() is None


def test_a_call_is_due_at_its_own_time_divided_by_the_speed() -> None:
    now, in_an_hour = ask_at(1, 0.0), ask_at(2, 3_600.0)
    fast = Agenda([now, in_an_hour], speed=1_000_000)
    assert [fast.take(), fast.take()] == [now, in_an_hour]
    slow = Agenda([now, in_an_hour], speed=1)
    assert slow.take() is now
    threading.Timer(0.1, slow.stop).start()
    assert slow.take() is None


def test_drawn_rows_are_the_same_for_the_same_seed_and_within_their_bounds() -> None:
    rows = traces.synthetic(2_000, seed=7)
    assert rows == traces.synthetic(2_000, seed=7) != traces.synthetic(2_000, seed=8)
    assert [row.number for row in rows] == list(range(1, 2_001))
    assert all(1 <= row.input_tokens <= 7_437 and 1 <= row.output_tokens <= 1_899 for row in rows)
    # The trace they are fitted to has medians of 1,469 and 13.
    assert 900 < traces.percentile([row.input_tokens for row in rows], 50) < 1_300
    assert 14 <= traces.percentile([row.output_tokens for row in rows], 50) <= 18


@pytest.mark.parametrize(("estimate", "bound"), [("p95", 95), ("max", 100), ("fixed:7", 7)])
def test_an_estimate_bounds_the_output_asked_for(estimate: str, bound: int) -> None:
    assert asks.bound_of(estimate, [Row(number, 0.0, 1, number) for number in range(1, 101)]) == bound


class Moody(BaseHTTPRequestHandler):
    """Answers as `moods` say, in turn, and keeps what it was sent."""

    moods: ClassVar[list[tuple[int, str]]] = []
    sent: ClassVar[list[tuple[str | None, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.sent.append((self.headers["Idempotency-Key"], body))
        status, retry_after = self.moods.pop(0)
        self.send_response(status)
        self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_busy_server_is_asked_again_with_the_same_key_and_body() -> None:
    Moody.sent.clear()
    Moody.moods[:] = [(503, "0"), (429, "1"), (502, ""), (200, "")]
    with HTTPServer(("127.0.0.1", 0), Moody) as busy:
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        tally = Tally()
        api = Api(f"http://127.0.0.1:{busy.server_port}", "mk", tally, threading.Event())
        began_at = monotonic()
        answer = api.post("enforce", "/enforce", {"task": "LLM2_DRAFT"}, key="once")
        api.close()
        busy.shutdown()
    assert answer.status == 200
    assert monotonic() - began_at >= 1
    assert set(Moody.sent) == {("once", b'{"task":"LLM2_DRAFT"}')}
    assert tally.retried == {"HTTP 503": 1, "HTTP 429": 1, "HTTP 502": 1}
    assert tally.answers == 1


def test_a_fault_that_stays_is_an_answer() -> None:
    Moody.moods[:] = [(500, "")] * 5
    with HTTPServer(("127.0.0.1", 0), Moody) as broken:
        threading.Thread(target=broken.serve_forever, daemon=True).start()
        tally = Tally()
        api = Api(f"http://127.0.0.1:{broken.server_port}", "mk", tally, threading.Event())
        answer = api.post("commit", "/commit", {})
        api.close()
        broken.shutdown()
    assert answer.problem == "500"
    assert tally.retried == {"HTTP 500": 4}


def test_a_server_that_stays_away_ends_the_replay_early(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering_site.replay.api.GIVE_UP_SECONDS", 0.2)
    prices = parties.Prices(entitlements.catalogue(), datetime.now(UTC))
    sent = Replay(
        url="http://127.0.0.1:1", key="mk", asks=[ask_at(number, 0.0) for number in range(20)], prices=prices,
        concurrency=2, speed=None, patience=0,
    )  # fmt: skip
    sent.run(lambda: None)
    assert sent.problem is not None
    assert "did not answer" in sent.problem
    assert sent.tally.retried["ConnectError"] > 0
    assert sent.tally.rows == 0
