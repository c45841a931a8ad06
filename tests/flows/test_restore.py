"""Backed up, ruined, restored to the instant before, with the commands of docs/operations.md."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from metering_site.embedded import processes
from metering_site.embedded.postgres import Postgres
from tests.flows import runbook
from tests.flows.callers import TASK, TENANT
from tests.flows.site import Site, site

# In the process of the browser tests, as all that needs most of a small machine.
pytestmark = pytest.mark.xdist_group("browser")

BOOKS = "SELECT count(*), sum(output_tokens), max(recorded_at)::text FROM usage_usagelog"


@pytest.fixture
def own() -> Iterator[Site]:
    with site() as made:
        yield made


def client_of(own: Site) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {own.key}"}
    return httpx2.Client(base_url=f"{own.start_web()}/api/v1", headers=headers, timeout=30)


def permit(client: httpx2.Client, key: str) -> str:
    body = {"tenant": TENANT, "task": TASK, "estimate": {"input_tokens": 50, "max_output_tokens": 50}}
    answer = client.post("/enforce", json=body, headers={"Idempotency-Key": key})
    found: str = answer.json()["reservation_id"]
    return found


def commit(client: httpx2.Client, reservation: str, output_tokens: int) -> None:
    body = {"usage": {"input_tokens": 50, "output_tokens": output_tokens}}
    assert client.post(f"/reservations/{reservation}/commit", json=body).status_code == 200


def give_to_the_server(own: Site, place: Path) -> None:
    """As root the server runs as somebody else, who owns its files."""
    owner = own.postgres.cluster.stat().st_uid
    for path in (place, *place.rglob("*")):
        os.chown(path, owner, -1)


def test_a_database_is_restored_to_an_instant_and_the_books_are_right(own: Site) -> None:
    archive, backup = own.folder / "wal", own.folder / "backup"
    archive.mkdir()
    give_to_the_server(own, archive)
    at = {"DATABASE_URL": own.postgres.url, "WAL": str(archive), "BACKUP": str(backup)}
    runbook.run("archive-wal", **at)
    own.postgres.stop()
    own.postgres.start()

    with client_of(own) as client:
        commit(client, permit(client, "before the backup"), 40)
        held = permit(client, "held over the backup")
        runbook.run("base-backup", **at)
        commit(client, permit(client, "after the backup"), 30)
        ((count, tokens, last),) = own.rows(BOOKS)
        ((good,),) = own.rows("SELECT clock_timestamp()::text")
        own.write("TRUNCATE usage_usagelog, usage_usagereservation, usage_usagemeter")
        commit_refused = client.post(f"/reservations/{held}/commit", json={"usage": {"input_tokens": 1}})
        assert commit_refused.status_code == 404
    runbook.run("close-wal", **at)
    own.stop()
    ruined = own.postgres
    ruined.stop()

    new = own.folder / "restored"
    new.mkdir(mode=0o711)
    runbook.run("restore", **at, PGDATA=str(new / "postgres"), UNTIL=good)
    own.postgres = Postgres(new)  # which gives the folder to the user it runs as
    own.postgres.start()
    assert processes.wait_until(lambda: own.rows("SELECT pg_is_in_recovery()") == [(False,)], seconds=60)

    assert own.rows(BOOKS) == [(count, tokens, last)]
    runbook.run("after-restore", **own.variables())
    own.audit()
    with client_of(own) as client:
        commit(client, held, 20)
        commit(client, permit(client, "after the restore"), 10)
    own.audit()
    assert own.rows("SELECT count(*) FROM usage_usagelog") == [(count + 2,)]
    shutil.rmtree(ruined.cluster)
