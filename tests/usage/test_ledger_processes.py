"""The ledger called by processes of their own: contention, one key, and callers that are killed."""

import os
import signal
import socket
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from django.db import transaction

from tests.usage.blocked import wait_for_end, wait_for_session
from tests.usage.crew import crew, told_by
from tests.usage.ledger_world import Books, State, charge
from tests.usage.test_ledger_contention import ROUNDS
from usage import ledger
from usage.models import UsageReservation

pytestmark = pytest.mark.usefixtures("committed")

SLOT = charge("SLOTS", 1, 10, period="OPEN")


def test_32_processes_on_a_meter_with_room_for_n_get_n_grants(books: Books) -> None:
    """Defect 3, and at the first instant of a period, when no meter has a row."""
    rounds, room = 12 * ROUNDS, 5
    told = told_by("contend", 32, rounds=rounds, room=room, **books.task())
    for number in range(rounds):
        outcomes = Counter(each["outcome"] for each in told if each["round"] == number)
        assert outcomes == {"GRANTED": room, "DENIED": 32 - room}
        assert books.meter(charge("UNITS", 1, user=str(number))) == State(reserved=10 * room)


def test_the_same_keys_from_16_processes_are_one_reservation_each(books: Books) -> None:
    """Defect 17: the key is known to every process, and nobody is told that there is no room."""
    rounds = 150 * ROUNDS
    told = told_by("repeat", 16, rounds=rounds, **books.task())
    for key in range(rounds):
        answers = [each for each in told if each["key"] == key]
        assert Counter(each["outcome"] for each in answers) == {"GRANTED": 1, "REPLAY": 15}
        assert len({each["id"] for each in answers}) == 1
    assert UsageReservation.objects.for_tenant(books.tenant).count() == rounds


def test_callers_killed_between_reserve_and_commit_lose_their_holds_to_the_sweep(books: Books) -> None:
    """Defects 10 and 37 (a lost hold that refuses for ever): nothing is left of them but what the log says."""
    with crew("hold", 4, **books.task()) as callers:
        holding = []
        for line in callers.lines():
            if line["step"] == "holds":
                os.kill(line["pid"], signal.SIGKILL)
                holding.append(line["id"])
            if len(holding) == 4:
                break
    assert books.meter(SLOT) == State(reserved=4)
    assert ledger.expire(books.tenant) == 4
    assert books.meter(SLOT) == State()
    assert {str(row.reservation_id) for row in books.log() if row.status == "EXPIRED"} == set(holding)


def test_a_caller_killed_while_its_call_waits_leaves_a_whole_hold_that_expires(books: Books) -> None:
    """PostgreSQL finishes the call of a client that has gone; its answer reaches nobody."""
    with crew("hold", 1, **books.task()) as callers, transaction.atomic():
        books.hold([SLOT], ttl_seconds=0)
        begun = next(callers.lines())
        backend = wait_for_session()
        os.kill(begun["pid"], signal.SIGKILL)
    wait_for_end(backend)
    assert ledger.expire(books.tenant) == 2
    assert books.meter(SLOT) == State()
    assert {row.status for row in UsageReservation.objects.for_tenant(books.tenant)} == {"EXPIRED"}


def test_with_redis_away_expired_holds_are_released_and_nobody_even_asks_for_it(books: Books) -> None:
    """I11: neither the ledger nor the keeper makes a connection to Redis, so it does not matter how long it is away.

    The address leads to a socket of the test, on which a connection would be seen.
    """
    for _ in range(3):
        books.hold([SLOT], ttl_seconds=0)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as redis:
        path = Path(folder) / "redis.sock"
        redis.bind(str(path))
        redis.listen()
        redis.setblocking(False)
        told_by("keep", 1, environment={"REDIS_URL": f"unix://{path}"}, **books.task())
        with pytest.raises(BlockingIOError):
            redis.accept()
    assert books.meter(SLOT) == State()
    assert [row.status for row in books.log()] == ["EXPIRED"] * 3
