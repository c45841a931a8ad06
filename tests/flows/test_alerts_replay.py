"""Alerts on a system as `make run` starts it: a trace uses a budget up while what sends them is killed."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from enforcement import traces
from metering_site.embedded.processes import wait_until
from metering_site.embedded.valkey import Valkey
from tests.flows import told
from tests.flows.told import THRESHOLDS, Receiver, budget
from tests.running import Stack
from usage import audit

TRACE = settings.BASE_DIR.parent / "shared" / "data" / "azure_llm_code_2023.csv"
ROWS_OF_THE_TRACE = None if os.environ.get("FULL_TRACE") else 300

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not TRACE.exists(), reason="../shared/data/azure_llm_code_2023.csv is not there"),
]


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="mtr") as folder:
        made = Valkey(Path(folder))
        made.start()
        yield made
        made.kill()


@pytest.fixture
def stack(committed: None, valkey: Valkey, tmp_path: Path) -> Iterator[Stack]:
    with told.stack(tmp_path / "data", valkey.url) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with told.receiver() as made:
        yield made


def require_each_once_and_in_order(receiver: Receiver) -> None:
    ids = {threshold: {each.message_id for each in receiver.of(threshold)} for threshold in THRESHOLDS}
    assert {threshold: len(found) for threshold, found in ids.items()} == dict.fromkeys(THRESHOLDS, 1)
    assert sorted(THRESHOLDS, key=receiver.first) == list(THRESHOLDS)
    assert receiver.refused == []


def test_thresholds_arrive_in_order_and_once_while_the_sender_is_killed_twice(stack: Stack, receiver: Receiver) -> None:
    """Once while a message is being sent, which comes again under its id, and once before 95 % are used."""
    killed: list[bool] = []

    def kill_sender() -> None:
        killed.append(told.kill_sender(stack))

    def kill_client(port: int) -> None:
        killed.append(told.kill_client(stack, port))

    receiver.at_first[80] = kill_client
    spent = budget(stack.url, traces.read(TRACE)[:ROWS_OF_THE_TRACE], receiver, {90: kill_sender})
    spent.use_up()
    assert wait_until(spent.is_told, seconds=told.PATIENCE_SECONDS)
    require_each_once_and_in_order(receiver)
    assert len(receiver.of(80)) > 1
    assert killed == [True, True]
    assert audit.audit(full=True).breaches == ()


def test_what_is_reached_while_valkey_is_away_arrives_once_it_is_back(
    stack: Stack, receiver: Receiver, valkey: Valkey
) -> None:
    """It is killed before 50 % are used and comes back before 95 %, and nothing of the traffic waits for it."""
    spent = budget(stack.url, traces.read(TRACE)[:ROWS_OF_THE_TRACE], receiver, {40: valkey.kill, 90: valkey.start})
    spent.use_up()
    assert wait_until(spent.is_told, seconds=told.PATIENCE_SECONDS)
    require_each_once_and_in_order(receiver)
    assert len(receiver.arrivals) == len(THRESHOLDS)
    assert audit.audit(full=True).breaches == ()
