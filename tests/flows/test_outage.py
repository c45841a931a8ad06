"""The database goes away under load, in every way it can: callers are told soon, nothing is lost, all goes on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

import httpx2
import psycopg
import pytest

from metering_site.celery import clear_sessions
from metering_site.embedded import processes
from tests.flows.callers import SECONDS_FOR_AN_ANSWER, SECONDS_TO_COME_BACK, TASK, TENANT, Callers, callers
from tests.flows.site import Site, site

pytestmark = pytest.mark.xdist_group("outage")

# How often each caller is turned away before the database comes back.
REFUSALS = 5
ASK = {"tenant": TENANT, "task": TASK, "estimate": {"input_tokens": 50, "max_output_tokens": 50}}

Step = Callable[[Site], None]


@pytest.fixture(scope="module")
def own() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def on_socket(own: Site) -> Iterator[Site]:
    own.start()
    yield own
    own.stop()


@pytest.fixture
def over_tcp(own: Site) -> Iterator[Site]:
    own.start(over_tcp=True)
    yield own
    own.stop()


@contextmanager
def loaded(own: Site) -> Iterator[Callers]:
    """Under load from several services; in the end all that was answered is in the books, and nothing else."""
    before = booked(own)
    with callers(own.address.url, own.key) as at_work:
        at_work.wait_until_all_heard(200, since=monotonic(), seconds=30)
        yield at_work
    statuses = dict(own.rows("SELECT id::text, status FROM usage_usagereservation"))
    for caller in at_work.all:
        assert {each: statuses[each] for each in caller.granted} == caller.granted
    assert booked(own) - before == sum(caller.tokens for caller in at_work.all)
    own.audit()


def booked(own: Site) -> int:
    ((tokens,),) = own.rows("SELECT COALESCE(sum(input_tokens), 0) FROM usage_usagelog")
    return int(tokens)


def outage(own: Site, at_work: Callers, away: Step, back: Step) -> None:
    """All are turned away, each time within their patience, and soon all are served again."""
    since = monotonic()
    away(own)
    at_work.wait_until_all_heard(503, since=since, seconds=REFUSALS * SECONDS_FOR_AN_ANSWER, times=REFUSALS)
    back(own)
    at_work.wait_until_all_heard(200, since=monotonic(), seconds=SECONDS_TO_COME_BACK, times=3)


def test_a_database_stopped_killed_or_frozen_is_told_in_time_and_nothing_is_lost(on_socket: Site) -> None:
    """Defects 11 (an exception in the check became "allowed") and 38 (usage lost at a stop)."""
    with loaded(on_socket) as at_work:
        outage(on_socket, at_work, lambda own: own.postgres.stop(), lambda own: own.postgres.start())
        outage(on_socket, at_work, lambda own: own.postgres.kill(), lambda own: own.postgres.start())
        outage(on_socket, at_work, Site.freeze, Site.thaw)


def test_a_frozen_server_and_a_network_that_swallows_everything_are_told_over_tcp_too(over_tcp: Site) -> None:
    with loaded(over_tcp) as at_work:
        outage(over_tcp, at_work, Site.freeze, Site.thaw)
        outage(over_tcp, at_work, lambda own: own.wire.swallow(), lambda own: own.wire.pass_on())
        outage(over_tcp, at_work, lambda own: own.postgres.kill(), lambda own: own.postgres.start())


def test_a_server_out_of_connections_is_told_and_served_from_again(on_socket: Site) -> None:
    with loaded(on_socket) as at_work, ExitStack() as taken:
        outage(on_socket, at_work, lambda own: take_all_connections(own, taken), lambda _: taken.close())


def take_all_connections(own: Site, taken: ExitStack) -> None:
    """Those of the API too."""
    first = taken.enter_context(psycopg.connect(own.postgres.url, autocommit=True))
    are_left = True
    while are_left:
        try:
            taken.enter_context(psycopg.connect(own.postgres.url))
        except psycopg.OperationalError:
            ended = first.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'metering%'"
            )
            are_left = bool(ended.fetchall())


def test_a_commit_whose_answer_is_lost_gets_its_first_answer_when_sent_again(over_tcp: Site) -> None:
    """Defect 18 (a failure of the commit lost the paid answer)."""
    with client_of(over_tcp) as client:
        paths = [f"/api/v1/reservations/{granted(client)}/commit" for _ in range(2)]
        before = booked(over_tcp)
        over_tcp.wire.cut_answers()
        retried_inside = client.post(paths[0], json={"usage": {"input_tokens": 7, "output_tokens": 0}})
        assert (retried_inside.status_code, retried_inside.json()["status"]) == (200, "COMMITTED")

        over_tcp.wire.cut_answers(and_stay_down=True)
        lost = client.post(paths[1], json={"usage": {"input_tokens": 7, "output_tokens": 0}})
        assert lost.status_code == 503
        over_tcp.wire.pass_on()
        again = client.post(paths[1], json={"usage": {"input_tokens": 7, "output_tokens": 0}})
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert again.json()["status"] == "COMMITTED"
        assert booked(over_tcp) - before == 14


def test_usage_made_while_the_database_was_away_arrives_by_events_in_its_own_period(on_socket: Site) -> None:
    """Defect 12: what failed open ran unmetered."""
    with client_of(on_socket) as client:
        on_socket.postgres.stop()
        turned_away = client.post("/api/v1/enforce", json=ASK, headers={"Idempotency-Key": "open"})
        assert turned_away.status_code == 503
        made_at = datetime.now(UTC) - timedelta(days=1)
        event = {"id": "open", "tenant": TENANT, "task": TASK, "usage": {"input_tokens": 11, "output_tokens": 0}}
        late = event | {"occurred_at": made_at.isoformat()}
        assert client.post("/api/v1/usage/events", json=late).status_code == 503
        on_socket.postgres.start()
        assert client.post("/api/v1/usage/events", json=late).json()["status"] == "BOOKED"
        assert client.post("/api/v1/usage/events", json=late).json()["status"] == "DUPLICATE"
    charged = on_socket.rows(
        "SELECT m.used FROM usage_usagemeter AS m"
        " WHERE m.measure = 'UNITS' AND m.period = 'DAY'"
        f" AND m.period_start = date_trunc('day', '{made_at:%Y-%m-%d %H:%M}'::timestamp) AT TIME ZONE 'UTC'"
    )
    assert charged == [(11,)]
    on_socket.audit()


def test_the_keeper_and_a_worker_go_on_by_themselves(on_socket: Site) -> None:
    keeper = on_socket.start_program("keeper", sys.executable, "manage.py", "keep")
    on_socket.start_program("worker", *(sys.executable, "-m", "celery", "-A", "metering_site"), "worker", "-c", "1")
    clear_an_old_session(on_socket)
    on_socket.postgres.kill()
    assert processes.wait_until(lambda: "database away" in keeper.log.read_text(), seconds=30)
    on_socket.postgres.start()
    with client_of(on_socket) as client:
        left_open = granted(client, ttl_seconds=1)
    assert processes.wait_until(lambda: status_of(on_socket, left_open) == "EXPIRED", seconds=10)
    clear_an_old_session(on_socket)


def clear_an_old_session(own: Site) -> None:
    """By the worker."""
    own.write("INSERT INTO django_session VALUES ('old', '', now() - interval '1 day')")
    clear_sessions.delay()
    assert processes.wait_until(lambda: not own.rows("SELECT * FROM django_session"), seconds=30)


def status_of(own: Site, reservation: str) -> str:
    ((status,),) = own.rows(f"SELECT status FROM usage_usagereservation WHERE id = '{reservation}'")
    return str(status)


def client_of(own: Site) -> httpx2.Client:
    return httpx2.Client(
        base_url=own.address.url, headers={"Authorization": f"Bearer {own.key}"}, timeout=SECONDS_FOR_AN_ANSWER
    )


def granted(client: httpx2.Client, **fields: object) -> str:
    """A reservation."""
    key = {"Idempotency-Key": f"granted-{datetime.now(UTC)}"}
    return str(client.post("/api/v1/enforce", json=ASK | fields, headers=key).json()["reservation_id"])
