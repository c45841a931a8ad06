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

# In the process of the browser tests: both need most of a small machine, so never beside each other.
pytestmark = pytest.mark.xdist_group("browser")

# How often each caller is turned away before the database comes back.
REFUSALS = 5
ASK = {"tenant": TENANT, "task": TASK, "estimate": {"input_tokens": 50, "max_output_tokens": 50}}

NOBODY = "00000000-0000-7000-8000-000000000000"

Step = Callable[[Site], None]


@pytest.fixture(scope="module")
def own() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def on_socket(own: Site) -> str:
    return own.start_web()


@pytest.fixture(scope="module")
def over_tcp(own: Site) -> str:
    return own.start_web(over_tcp=True)


@pytest.fixture(autouse=True)
def _at_hand(own: Site) -> None:
    own.bring_back()


@contextmanager
def loaded(own: Site, url: str) -> Iterator[Callers]:
    """Under load from several services; in the end all that was answered is in the books, and nothing else."""
    before = booked(own)
    with callers(url, own.key) as at_work:
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


def outage(own: Site, url: str, at_work: Callers, away: Step, back: Step) -> None:
    """All are turned away, each time within their patience, and soon all are served again."""
    since = monotonic()
    away(own)
    at_work.wait_until_all_heard(503, since=since, seconds=REFUSALS * SECONDS_FOR_AN_ANSWER, times=REFUSALS)
    require_turned_away_everywhere(own, url)
    back(own)
    at_work.wait_until_all_heard(200, since=monotonic(), seconds=SECONDS_TO_COME_BACK, times=3)


def require_turned_away_everywhere(own: Site, url: str) -> None:
    """Whatever a service can ask; only that the process is there can still be told."""
    reservation = f"/reservations/{NOBODY}"
    usage = {"usage": {"input_tokens": 1, "output_tokens": 1}}
    posts = {
        "/enforce": ASK | {"idempotency_key": "away"},
        "/enforce/batch": {"items": [ASK | {"idempotency_key": "away"}]},
        "/check": ASK,
        f"{reservation}/commit": usage,
        f"{reservation}/report": usage,
        f"{reservation}/release": {},
        f"{reservation}/extend": {"ttl_seconds": 60},
        "/reservations/commit-batch": {"items": [usage | {"reservation_id": NOBODY}]},
        "/usage/events": {"id": "away", "tenant": TENANT, "task": TASK, **usage},
    }
    reads = ["/entitlements", reservation, f"/decisions/{NOBODY}", "/denials"]
    reads += [f"/usage/{what}" for what in ("meters", "logs", "summary")]
    with client_of(own, url) as client:
        answers = [client.post(f"/api/v1{path}", json=body) for path, body in posts.items()]
        answers += [client.get(f"/api/v1{path}?tenant={TENANT}") for path in reads]
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE"), answer.url
            assert answer.headers["Retry-After"] == "1"
        page = client.get("/admin/", headers={"Cookie": f"sessionid={NOBODY}"})
        assert (page.status_code, page.headers["Retry-After"]) == (503, "1")
        assert "The database does not answer" in page.text
        assert client.get("/healthz").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "unavailable")


def test_a_database_stopped_killed_or_frozen_is_told_in_time_and_nothing_is_lost(own: Site, on_socket: str) -> None:
    """Defects 11 (an exception in the check became "allowed") and 38 (usage lost at a stop)."""
    with loaded(own, on_socket) as at_work:
        outage(own, on_socket, at_work, lambda own: own.postgres.stop(), lambda own: own.postgres.start())
        outage(own, on_socket, at_work, lambda own: own.postgres.kill(), lambda own: own.postgres.start())
        outage(own, on_socket, at_work, Site.freeze, Site.thaw)


def test_a_frozen_server_and_a_network_that_swallows_everything_are_told_over_tcp_too(own: Site, over_tcp: str) -> None:
    with loaded(own, over_tcp) as at_work:
        outage(own, over_tcp, at_work, Site.freeze, Site.thaw)
        outage(own, over_tcp, at_work, lambda own: own.wire.swallow(), lambda own: own.wire.pass_on())
        outage(own, over_tcp, at_work, lambda own: own.postgres.kill(), lambda own: own.postgres.start())


def test_a_server_out_of_connections_is_told_and_served_from_again(own: Site, on_socket: str) -> None:
    with loaded(own, on_socket) as at_work, ExitStack() as taken:
        outage(own, on_socket, at_work, lambda own: take_all_connections(own, taken), lambda _: taken.close())


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


def test_a_database_that_only_reads_is_told_and_served_from_again(own: Site, on_socket: str) -> None:
    """As a standby does, and a server whose disk is full."""
    with loaded(own, on_socket) as at_work, client_of(own, on_socket) as client:
        own.configure("default_transaction_read_only = on")
        at_work.wait_until_all_heard(503, since=monotonic(), seconds=REFUSALS * SECONDS_FOR_AN_ANSWER, times=REFUSALS)
        refused = client.post("/api/v1/enforce", json=ASK, headers={"Idempotency-Key": "read-only"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "takes no writes" in refused.json()["detail"]
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "read-only")
        own.configure("default_transaction_read_only = off")
        at_work.wait_until_all_heard(200, since=monotonic(), seconds=SECONDS_TO_COME_BACK, times=3)


def test_what_another_session_holds_for_long_is_not_waited_for(own: Site, on_socket: str) -> None:
    with loaded(own, on_socket) as at_work, client_of(own, on_socket) as client:
        with psycopg.connect(own.postgres.url) as other:
            other.execute("LOCK TABLE usage_usagemeter IN SHARE ROW EXCLUSIVE MODE")
            at_work.wait_until_all_heard(503, since=monotonic(), seconds=REFUSALS * SECONDS_FOR_AN_ANSWER)
            refused = client.post("/api/v1/enforce", json=ASK, headers={"Idempotency-Key": "locked"})
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert "Something else is at work" in refused.json()["detail"]
        at_work.wait_until_all_heard(200, since=monotonic(), seconds=SECONDS_TO_COME_BACK, times=3)


def test_a_commit_whose_answer_is_lost_gets_its_first_answer_when_sent_again(own: Site, over_tcp: str) -> None:
    """Defect 18 (a failure of the commit lost the paid answer)."""
    with client_of(own, over_tcp) as client:
        paths = [f"/api/v1/reservations/{granted(client)}/commit" for _ in range(2)]
        before = booked(own)
        own.wire.cut_answers()
        retried_inside = client.post(paths[0], json={"usage": {"input_tokens": 7, "output_tokens": 0}})
        assert (retried_inside.status_code, retried_inside.json()["status"]) == (200, "COMMITTED")

        own.wire.cut_answers(and_stay_down=True)
        lost = client.post(paths[1], json={"usage": {"input_tokens": 7, "output_tokens": 0}})
        assert lost.status_code == 503
        own.wire.pass_on()
        again = client.post(paths[1], json={"usage": {"input_tokens": 7, "output_tokens": 0}})
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert again.json()["status"] == "COMMITTED"
        assert booked(own) - before == 14


def test_usage_made_while_the_database_was_away_arrives_by_events_in_its_own_period(own: Site, on_socket: str) -> None:
    """Defect 12: what failed open ran unmetered."""
    with client_of(own, on_socket) as client:
        own.postgres.stop()
        turned_away = client.post("/api/v1/enforce", json=ASK, headers={"Idempotency-Key": "open"})
        assert turned_away.status_code == 503
        made_at = datetime.now(UTC) - timedelta(days=1)
        event = {"id": "open", "tenant": TENANT, "task": TASK, "usage": {"input_tokens": 11, "output_tokens": 0}}
        late = event | {"occurred_at": made_at.isoformat()}
        assert client.post("/api/v1/usage/events", json=late).status_code == 503
        own.postgres.start()
        assert client.post("/api/v1/usage/events", json=late).json()["status"] == "BOOKED"
        assert client.post("/api/v1/usage/events", json=late).json()["status"] == "DUPLICATE"
    charged = own.rows(
        "SELECT m.used FROM usage_usagemeter AS m"
        " WHERE m.measure = 'UNITS' AND m.period = 'DAY'"
        f" AND m.period_start = date_trunc('day', '{made_at:%Y-%m-%d %H:%M}'::timestamp) AT TIME ZONE 'UTC'"
    )
    assert charged == [(11,)]
    own.audit()


def test_the_keeper_and_a_worker_go_on_by_themselves(own: Site, on_socket: str) -> None:
    keeper = own.start_program("keeper", sys.executable, "manage.py", "keep")
    own.start_program("worker", *(sys.executable, "-m", "celery", "-A", "metering_site"), "worker", "-c", "1")
    clear_an_old_session(own)
    own.postgres.kill()
    assert processes.wait_until(lambda: "database away" in keeper.log.read_text(), seconds=30)
    own.postgres.start()
    with client_of(own, on_socket) as client:
        left_open = granted(client, ttl_seconds=1)
    assert processes.wait_until(lambda: status_of(own, left_open) == "EXPIRED", seconds=10)
    clear_an_old_session(own)


def clear_an_old_session(own: Site) -> None:
    """By the worker."""
    own.write("INSERT INTO django_session VALUES ('old', '', now() - interval '1 day')")
    clear_sessions.delay()
    assert processes.wait_until(lambda: not own.rows("SELECT * FROM django_session"), seconds=30)


def status_of(own: Site, reservation: str) -> str:
    ((status,),) = own.rows(f"SELECT status FROM usage_usagereservation WHERE id = '{reservation}'")
    return str(status)


def client_of(own: Site, url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {own.key}"}, timeout=SECONDS_FOR_AN_ANSWER)


def granted(client: httpx2.Client, **fields: object) -> str:
    """A reservation."""
    key = {"Idempotency-Key": f"granted-{datetime.now(UTC)}"}
    return str(client.post("/api/v1/enforce", json=ASK | fields, headers=key).json()["reservation_id"])
