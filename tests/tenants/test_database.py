"""A database that breaks, and one that falls silent, as one process sees them."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext

from tenants.database import prepared_rows, repeatable
from tenants.postgresql import base, pulse
from tenants.postgresql.base import Connection, Silent
from tenants.postgresql.pulse import Pulse
from tests.usage.crew import database_url

LONG = "SELECT pg_sleep(60)"


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Makes the database silent for this process."""
    yield lambda: monkeypatch.setattr(pulse.pulse, "_asked_at", 0.0)
    monkeypatch.undo()
    connection.close()
    value(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
        f"WHERE datname = current_database() AND query = '{LONG}'"
    )


def value(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def time_out() -> str:
    raise psycopg.errors.ConnectionTimeout


def be_refused() -> str:
    raise psycopg.OperationalError("the database system is starting up")


def counted(statement: Callable[[int], object]) -> tuple[Callable[[], object], list[int]]:
    """A statement that is told how often it was made before."""
    calls: list[int] = []

    def made() -> object:
        calls.append(len(calls))
        return statement(calls[-1])

    return made, calls


def test_a_statement_whose_connection_breaks_is_made_once_more(committed: None) -> None:
    value("SELECT 1")
    end = "SELECT pg_terminate_backend(pg_backend_pid())"
    made, calls = counted(lambda before: value("SELECT 1" if before else end))
    assert repeatable(made) == 1
    assert calls == [0, 1]


def test_nothing_is_made_twice_where_there_was_no_connection_to_break(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    made, calls = counted(lambda _: value("SELECT 1"))
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nowhere")
        with pytest.raises(OperationalError, match="/nowhere"):
            repeatable(made)
    assert calls == [0]


def test_nothing_is_asked_of_a_silent_database(committed: None, silence: Callable[[], None]) -> None:
    value("SELECT 1")
    silence()
    made, calls = counted(lambda _: value("SELECT 1"))
    for _ in range(2):  # on the connection there was, and on a new one
        with pytest.raises(OperationalError) as caught:
            repeatable(made)
        assert isinstance(caught.value.__cause__, Silent)
        connection.close()
    assert calls == [0, 1]


def test_a_statement_at_work_ends_when_silence_falls(committed: None, silence: Callable[[], None]) -> None:
    value("SELECT 1")
    fall = threading.Timer(0.2, silence)
    fall.start()
    try:
        with pytest.raises(OperationalError, match="does not answer"):
            value(LONG)
    finally:
        fall.join()


def test_a_server_that_takes_a_connection_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(Silent):
        Connection.connect(host="127.0.0.1", port=mute.getsockname()[1], dbname="any", user="any")


def test_a_connection_to_a_server_that_only_reads_is_given_up(committed: None) -> None:
    """After a failover by name it would lead to the former server for ever."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        with pytest.raises(OperationalError, match="read-only"):
            cursor.execute("CREATE TABLE nothing ()")
    connection.close_if_unusable_or_obsolete()  # as at the start of each request and task
    assert value("SHOW transaction_read_only") == "off"


def test_only_a_process_that_answers_requests_gives_up_waiting_for_a_lock(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_felt, timeout in ((True, "1500ms"), (False, "0")):
        monkeypatch.setattr(pulse.pulse, "is_felt", is_felt)
        connection.close()
        assert value("SHOW lock_timeout") == timeout
    monkeypatch.setattr(pulse.pulse, "is_felt", True)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "options", "-c lock_timeout=700")
    connection.close()
    assert value("SHOW lock_timeout") == "700ms"
    connection.close()


def test_what_has_no_answer_for_too_long_is_silence_until_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    heart = Pulse()
    for ends_it in (lambda: "an answer", be_refused):
        monkeypatch.setattr(pulse, "SILENT_AFTER_SECONDS", 0.0)
        with suppress(psycopg.OperationalError):
            heart.ask(time_out)
        assert heart.is_silent
        monkeypatch.setattr(pulse, "SILENT_AFTER_SECONDS", 60.0)
        with suppress(psycopg.OperationalError):
            heart.ask(ends_it)
        monkeypatch.setattr(pulse, "SILENT_AFTER_SECONDS", 0.0)
        assert not heart.is_silent


def test_a_connection_that_broke_while_idle_is_replaced_before_its_next_use(committed: None) -> None:
    mine = value("SELECT pg_backend_pid()")
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [mine])
    connection.close_if_unusable_or_obsolete()  # as at the start of each request and task
    assert value("SELECT pg_backend_pid()") != mine


def test_a_healthy_connection_costs_no_question(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = value("SELECT pg_backend_pid()")
    monkeypatch.setattr(connections["default"], "is_usable", lambda: False)
    connection.close_if_unusable_or_obsolete()
    assert value("SELECT pg_backend_pid()") == mine


def test_the_server_keeps_a_prepared_statement_for_the_connection_and_a_new_connection_has_its_own(
    committed: None,
) -> None:
    question = "SELECT %s::integer + 1"
    kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::integer + 1'"
    assert [prepared_rows(question, [number]) for number in range(7)] == [[(number + 1,)] for number in range(7)]
    assert value(kept) == 1
    connection.close()
    assert value(kept) == 0
    assert prepared_rows(question, [3]) == [(4,)]
    assert value(kept) == 0, "a few times without a round trip more"


def test_a_prepared_statement_is_counted_among_the_queries(committed: None) -> None:
    with CaptureQueriesContext(connection) as made:
        for number in range(7):
            prepared_rows("SELECT %s::integer", [number])
    assert ["::integer" in each["sql"] for each in made] == [True] * 7
