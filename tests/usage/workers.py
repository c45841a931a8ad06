"""The program of `crew`: it sets Django up, forks its callers (which is quick) and lets them go together.

Each tells what it does in lines of JSON; the end of its input tells it to stop.
"""

import itertools
import json
import multiprocessing
import os
import random
import select
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")
    django.setup()

from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connection

from metering_site.embedded.processes import wait_until
from plans import catalogue
from tenants import database
from tests.usage.ledger_world import ALWAYS, Books, charge, end, released, totals
from usage import keeper, ledger, rollups
from usage.entries import Ending
from usage.ledger import LostRace

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One process, with its number, its task, and the program's input (forked, it has none of its own)."""

    number: int
    task: Mapping[str, Any]
    input: int

    def tell(self, **what: Any) -> None:
        """A line for the test; one write, which the lines of other processes do not break into."""
        line = json.dumps({"caller": self.number, **what}, default=str) + "\n"
        assert len(line) <= select.PIPE_BUF
        os.write(sys.stdout.fileno(), line.encode())

    def is_stopped(self) -> bool:
        return bool(select.select([self.input], [], [], 0)[0])

    def wait_until_stopped(self) -> None:
        os.read(self.input, 1)

    def books(self) -> Books:
        return Books(UUID(self.task["tenant"]), datetime.fromisoformat(self.task["at"]))


def contend(caller: Caller) -> None:
    """In each round one reservation, on a meter with room for `room` of all callers' together."""
    books = caller.books()
    for number in range(caller.task["rounds"]):
        units = charge("UNITS", 10, 10 * caller.task["room"] + 9, user=str(number))
        try:
            outcome = str(books.reserve([units]).outcome)
        except LostRace:
            outcome = "DENIED"
        caller.tell(round=number, outcome=outcome)


def repeat(caller: Caller) -> None:
    """The same keys as every other caller, each on a meter with room for one."""
    books = caller.books()
    for number in range(caller.task["rounds"]):
        answer = books.reserve([charge("UNITS", 1, 1, user=str(number))], key=str(number), body="same")
        caller.tell(key=number, outcome=answer.outcome, id=answer.id)


def hold(caller: Caller) -> None:
    """Reserve, tell of it, and do not commit."""
    books = caller.books()
    books.bind([charge("SLOTS", 1, period="OPEN")])
    caller.tell(pid=os.getpid(), step="begins")
    reservation = books.hold([charge("SLOTS", 1, 10, period="OPEN")], ttl_seconds=0)
    caller.tell(pid=os.getpid(), step="holds", id=reservation)
    caller.wait_until_stopped()


def keep(caller: Caller) -> None:
    """All that a keeper does, once."""
    keeper.once()


def prepare(caller: Caller) -> None:
    """An empty database becomes an installation with one tenant."""
    call_command("migrate", verbosity=0)
    catalogue.seed(catalogue.read())
    books = Books.new()
    caller.tell(**books.task())


def audit(caller: Caller) -> None:
    """End what is due, then the audit, which raises where it finds anything."""
    keeper.once()
    call_command("audit_ledger", "--json", stdout=sys.stderr)


def load(caller: Caller) -> None:
    """Operations of every kind, each made again until it is answered, and told once it is."""
    books = caller.books()
    rng = random.Random(caller.number)
    charges = [charge("UNITS", 30), charge("COST", 250, user=str(caller.number % 3))]
    fact = answered(lambda: books.fact(charges))
    for turn in itertools.count():
        if caller.is_stopped():
            return
        keys = [f"{caller.number}-{turn}-{place}" for place in range(3)]
        asks = [books.wanted(charges, key=key, ttl_seconds=rng.choice((0, 600))) for key in keys]
        first, second, _ = (each.id for each in answered(partial(ledger.reserve_batch, books.tenant, ALWAYS, asks)))
        assert first is not None
        assert second is not None
        caller.tell(did="reserve", id=first, status=None)
        caller.tell(did="reserve", id=second, status=None)

        said = totals(rng.randint(0, 20), rng.randint(0, 20))
        tokens = (said[0] or 0) + (said[3] or 0)
        answered(partial(books.settle, first, end(Ending.REPORT, said)))
        answer = answered(partial(books.settle, first, end(said=said)))
        assert answer.body is not None
        caller.tell(did="commit", id=first, status=answer.status, log=answer.body["log_id"], tokens=tokens)
        caller.tell(did="release", id=second, status=answered(partial(books.settle, second, released())).status)
        (event,) = answered(partial(books.record, books.event(end(said=said), event_id=keys[0], fact=fact)))
        caller.tell(did="record", id=None, log=event.id, tokens=tokens)
        answered(partial(ledger.expire, books.tenant, most=10))


def answered(call: Callable[[], T]) -> T:
    """The answer to a call that is made again while the database is away."""
    while True:
        try:
            return call()
        except (OperationalError, InterfaceError):
            connection.close()
            wait_until(_is_back, seconds=60)


def _is_back() -> bool:
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


def roll_up(caller: Caller) -> None:
    """Fill the roll-ups in small pages, and compute them anew, again and again."""
    caller.tell(pid=os.getpid(), backend=database.rows("SELECT pg_backend_pid()")[0][0])
    books = caller.books()
    while not caller.is_stopped():
        rollups.fill(page=5)
        rollups.rebuild(books.at - timedelta(days=5), books.at)


ROLES = {role.__name__: role for role in (contend, repeat, hold, keep, prepare, load, audit, roll_up)}


def _run(gate: Any, role: str, caller: Caller) -> None:
    gate.wait(60)
    ROLES[role](caller)


def main(role: str, callers: str, task: str) -> int:
    """0 where every caller ended well or was killed."""
    program_input = os.dup(sys.stdin.fileno())
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(int(callers))
    team = [Caller(number=number, task=json.loads(task), input=program_input) for number in range(int(callers))]
    at_work = [context.Process(target=_run, args=(gate, role, each)) for each in team]
    for each in at_work:
        each.start()
    for each in at_work:
        each.join()
    return int(any(each.exitcode not in (0, -9) for each in at_work))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
