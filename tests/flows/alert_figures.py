"""How soon what a booking reaches is told, with the sender killed and with Valkey away: `python -m` this module.

A trace is replayed against a budget that runs out half way, on the whole system as `make run` starts it, with a
receiver that verifies signatures. Delays are from the instant at which the ledger recorded the booking, just before it
was committed, to the request at the receiver; with Valkey away from its return, where that is later.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")
django.setup()

from enforcement import traces  # noqa: E402 - what follows needs the lines above
from enforcement.traces import Row  # noqa: E402
from metering_site.embedded.processes import wait_until  # noqa: E402
from metering_site.embedded.valkey import Valkey  # noqa: E402
from tests.flows import told  # noqa: E402
from tests.flows.told import THRESHOLDS, Act, Receiver, budget  # noqa: E402
from tests.running import Stack  # noqa: E402
from usage import audit  # noqa: E402

Delays = Mapping[int, float]


def with_the_sender_killed(running: Stack, receiver: Receiver, rows: Sequence[Row]) -> Delays:
    """Twice: the process that sends that 80 % are used, while it does, and the worker of the messages at 94 %."""
    receiver.at_first[80] = lambda port: told.kill_client(running, port)
    crossed = _used_up(running, receiver, rows, {94: lambda: told.kill_sender(running)})
    return {threshold: receiver.first(threshold) - at for threshold, at in crossed.items()}


def with_valkey_away(running: Stack, receiver: Receiver, rows: Sequence[Row], valkey: Valkey) -> Delays:
    """From 40 to 60 % of the budget, and from 90 % until it is used up."""
    back: list[float] = []

    def bring_back() -> None:
        valkey.start()
        back.append(time.time())

    acts = {40: valkey.kill, 60: bring_back, 90: valkey.kill, 99.9: bring_back}
    crossed = _used_up(running, receiver, rows, acts)
    since = {50: back[0], 80: 0.0, 95: back[1], 100: back[1]}
    return {threshold: receiver.first(threshold) - max(at, since[threshold]) for threshold, at in crossed.items()}


def _used_up(running: Stack, receiver: Receiver, rows: Sequence[Row], acts: Mapping[float, Act]) -> Delays:
    receiver.arrivals.clear()
    spent = budget(running.url, rows, receiver, acts)
    spent.use_up()
    assert wait_until(spent.is_told, seconds=told.PATIENCE_SECONDS), "a message is missing"
    for threshold in THRESHOLDS:
        assert len({each.message_id for each in receiver.of(threshold)}) == 1, f"{threshold} came under several ids"
    assert sorted(THRESHOLDS, key=receiver.first) == list(THRESHOLDS), "they came in another order"
    assert not receiver.refused, receiver.refused
    again = len(receiver.arrivals) - len(THRESHOLDS)
    _say(f"    {spent.replay.seconds:5.0f} s of calls, {again} came again under their ids")
    return spent.crossed()


def _figures(name: str, runs: int, run: Callable[[], Delays]) -> None:
    _say(f"{name}, {runs} runs:")
    found = [run() for _ in range(runs)]
    for threshold in THRESHOLDS:
        seconds = sorted(each[threshold] for each in found)
        _say(f"  {threshold:>3} %: median {median(seconds):5.2f} s, {seconds[0]:5.2f} to {seconds[-1]:5.2f} s")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """The figures of both ways to be disturbed, and an audit of the ledger at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path, metavar="TRACE.csv")
    parser.add_argument("--rows", type=int, help="of the trace, the first (all)")
    parser.add_argument("--runs", type=int, default=5, help="of each (5)")
    asked = parser.parse_args()
    rows = traces.read(asked.trace)[: asked.rows]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # the receiver's
    with tempfile.TemporaryDirectory(prefix="mtr") as folder, told.receiver() as receiver:
        valkey = Valkey(Path(folder))
        valkey.start()
        try:
            with told.stack(Path(folder) / "data", valkey.url) as running:
                _say(f"{len(rows):,} rows.")
                _figures("Sender killed", asked.runs, lambda: with_the_sender_killed(running, receiver, rows))
                _figures("Valkey away", asked.runs, lambda: with_valkey_away(running, receiver, rows, valkey))
        finally:
            valkey.kill()
    breaches = audit.audit(full=True).breaches
    _say(f"The audit of the ledger finds {len(breaches)} breaches.")
    sys.exit(bool(breaches))


if __name__ == "__main__":
    main()
