"""The keeper: holds are released in time, and nothing but a signal stops it."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from structlog.testing import capture_logs

from metering_site.embedded import folders, processes
from tests.cast import Company
from tests.database import run
from tests.parallel import at_once
from tests.usage.ledger_world import ALWAYS, Books, everything
from usage import keeper, ledger
from usage.audit import audit
from usage.models import LogStatus, UsageLog, UsageReservation

CHARGES = everything("TOKENS", limits={"UNITS": 10**9, "COST": 10**9, "SLOTS": 10_000})
SECONDS = 30.0


def hold(company: Company, count: int) -> list[UUID]:
    books = Books.of(company.tenant.id)
    answers = ledger.reserve_batch(books.tenant, ALWAYS, [books.wanted(CHARGES) for _ in range(count)])
    return [answer.id for answer in answers if answer.id is not None]


def let_pass(reservations: list[UUID]) -> None:
    """Their deadline is over."""
    run("UPDATE usage_usagereservation SET expires_at = now() - interval '1 second' WHERE id = ANY(%s)", reservations)


def statuses() -> Counter[str]:
    return Counter(UsageReservation.objects.values_list("status", flat=True))


def is_there(partition: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [partition])
        found: bool = cursor.fetchone()[0]
    return found


def last_partition() -> str:
    """Of the last of the three months ahead."""
    month = datetime.now(UTC).month + 2
    return f"usage_usagelog_{datetime.now(UTC).year + month // 12}_{month % 12 + 1:02}"


# --- the sweep


def test_what_is_due_expires_and_what_is_not_stays(acme: Company, rival: Company) -> None:
    let_pass([*hold(acme, 3)[:2], *hold(rival, 1)])
    with capture_logs() as said:
        keeper.once()
    assert statuses() == {"EXPIRED": 3, "OPEN": 1}
    assert audit().is_clean
    assert [line for line in said if line["event"] == "expired"] == [
        {"event": "expired", "log_level": "info", "reservations": 3}
    ]


def test_more_than_one_slice_of_a_tenant_expires_in_one_sweep(acme: Company) -> None:
    let_pass(hold(acme, 450))
    keeper.once()
    assert statuses() == {"EXPIRED": 450}


def test_two_keepers_at_once_end_each_reservation_once(committed: None, acme: Company, rival: Company) -> None:
    """I11 with any number of keepers: no double work, no deadlock."""
    let_pass([*hold(acme, 900), *hold(rival, 300)])
    at_once(*[keeper.once] * 4)
    keeper.once()
    assert statuses() == {"EXPIRED": 1200}
    assert UsageLog.objects.filter(status=LogStatus.EXPIRED).count() == 1200
    assert audit().is_clean


def test_a_tenant_whose_sweep_fails_does_not_hold_up_the_others(committed: None, acme: Company, rival: Company) -> None:
    let_pass([*hold(acme, 1), *hold(rival, 1)])
    # A meter that lost its hold: to end the hold would take it below 0, which the database refuses.
    run("UPDATE usage_usagemeter SET reserved = 0 WHERE tenant_id = %s AND measure = 'UNITS'", acme.tenant.id)
    wait = Rounds(3)
    with capture_logs() as said:
        keeper.keep(wait)
    assert statuses() == {"OPEN": 1, "EXPIRED": 1}
    failed = [line for line in said if line["event"] == "failed"]
    assert [line["duty"] for line in failed] == [f"expire {acme.tenant.id}"]
    assert "usage_usagemeter_not_negative" in failed[0]["error"]


# --- partitions


def test_it_makes_the_partitions_of_three_months_ahead(db: None) -> None:
    run(f"DROP TABLE {last_partition()}")
    with capture_logs() as said:
        keeper.once()
        keeper.once()
    assert is_there(last_partition())
    assert [line["event"] for line in said] == ["partition made"]


def test_two_keepers_make_a_partition_at_once(committed: None) -> None:
    for _ in range(5):
        run(f"DROP TABLE {last_partition()}")
        with capture_logs() as said:
            at_once(keeper.once, keeper.once)
        assert is_there(last_partition())
        assert not [line for line in said if line["log_level"] == "error"]


def put_into_the_log(at: str) -> None:
    """A row whose id is of that day."""
    run(
        "INSERT INTO usage_usagelog SELECT (jsonb_populate_record(l, jsonb_build_object('id', ledger_uuid7(%s)))).*"
        " FROM usage_usagelog l",
        at,
    )


def test_rows_in_the_default_partition_are_complained_about(acme: Company) -> None:
    let_pass(hold(acme, 1))
    keeper.once()
    put_into_the_log("2001-01-01")
    run(f"DROP TABLE {last_partition()}")
    with capture_logs() as said:
        keeper.once()
    complaint = next(line for line in said if line["log_level"] == "error")
    assert complaint["event"] == "default partition of the log has rows"
    assert complaint["rows"] == 1
    assert is_there(last_partition())


def test_a_partition_whose_rows_came_too_early_is_said_and_tried_again(acme: Company) -> None:
    let_pass(hold(acme, 1))
    keeper.once()
    year, month = last_partition().split("_")[-2:]
    run(f"DROP TABLE {last_partition()}")
    put_into_the_log(f"{year}-{month}-02")
    with capture_logs() as said:
        keeper.once()
    assert [line["duty"] for line in said if line["event"] == "failed"] == [f"partition {year}-{month}"]
    run("TRUNCATE usage_usagelog_default")
    keeper.once()
    assert is_there(last_partition())


# --- the database goes away, and the program


class Rounds:
    """A wait that is told to stop after so many rounds, and calls what was planned for each of them."""

    def __init__(self, rounds: int, **planned: Callable[[], None]) -> None:
        self.left = rounds
        self.planned = planned
        self.waited: list[float] = []

    def __call__(self, seconds: float) -> bool:
        if seconds:
            self.waited.append(seconds)
            self.left -= 1
            self.planned.get(f"after_{len(self.waited)}", lambda: None)()
        return self.left <= 0


def point_at(host: str) -> None:
    connection.close()
    connection.settings_dict["HOST"] = host


@contextmanager
def host_kept() -> Iterator[str]:
    host = connection.settings_dict["HOST"]
    try:
        yield host
    finally:
        point_at(host)


def test_it_goes_on_when_the_database_is_back(committed: None, acme: Company) -> None:
    due = hold(acme, 1)

    def back() -> None:
        point_at(host)
        let_pass(due)

    with host_kept() as host, capture_logs() as said:
        wait = Rounds(9, after_1=partial(point_at, "/nowhere"), after_8=back)
        keeper.keep(wait)
    assert [line["event"] for line in said] == [
        "keeper started", "database away", "expired", "database back", "keeper stopped",
    ]  # fmt: skip
    assert wait.waited[1:8] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert statuses() == {"EXPIRED": 1}


def test_it_gets_over_a_connection_that_was_cut(committed: None, acme: Company) -> None:
    due = hold(acme, 1)

    def cut() -> None:
        pid = connection.connection.info.backend_pid
        at_once(lambda: run("SELECT pg_terminate_backend(%s)", pid))

    with capture_logs() as said:
        keeper.keep(Rounds(3, after_1=cut, after_2=lambda: let_pass(due)))
    assert [line["event"] for line in said] == ["keeper started", "expired", "keeper stopped"]


def test_once_says_that_the_database_is_away(committed: None) -> None:
    with host_kept():
        point_at("/nowhere")
        with pytest.raises(CommandError, match="The database is away"):
            call_command("keep", "--once")


def test_the_interval_leaves_room_for_the_ten_seconds(db: None) -> None:
    for wrong in ("0", "6", "soon"):
        with pytest.raises(CommandError, match="--interval"):
            call_command("keep", f"--interval={wrong}")


@contextmanager
def running(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py keep` as a program, on the database of this test, with no Redis to be found."""
    settings = connection.settings_dict
    url = f"postgresql://{settings['USER']}@/{settings['NAME']}?host={settings['HOST']}"
    variables = {**os.environ, "DATABASE_URL": url, "REDIS_URL": "unix:///nowhere/valkey.sock"}
    command = [sys.executable, str(folders.PROJECT / "manage.py"), "keep", "--interval=0.1"]
    process = processes.spawn(command, log=log, env=variables)
    try:
        yield process
    finally:
        processes.end(process, signal.SIGKILL, seconds=SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_sweeps_without_redis_and_stops_at_a_signal(
    committed: None, acme: Company, tmp_path: Path, number: signal.Signals
) -> None:
    due = hold(acme, 5)
    log = tmp_path / "keeper.log"
    with running(log) as process:
        assert processes.wait_until(lambda: log.exists() and "keeper started" in log.read_text(), seconds=SECONDS)
        let_pass(due)
        assert processes.wait_until(lambda: statuses() == {"EXPIRED": 5}, seconds=10)
        process.send_signal(number)
        assert process.wait(timeout=SECONDS) == 0
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[0] == "keeper started"
    assert events[-1] == "keeper stopped"
    assert audit().is_clean
