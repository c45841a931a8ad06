"""Every command of docs/operations.md, on an installation of its own; those of the restore are in test_restore.py."""

import re
import sys
from collections.abc import Iterator

import httpx2
import pytest

from tests.flows import runbook
from tests.flows.callers import TASK, TENANT
from tests.flows.site import Site, site
from tests.metering_site.scraped import TOKEN

pytestmark = pytest.mark.xdist_group("browser")

RESTORING = {"archive-wal", "base-backup", "close-wal", "restore", "after-restore"}
# What a block has to say at least; of the others only that each of their commands succeeds.
TELLS = {
    "first-look": "metering_source_up",
    "is-it-there": "read-only: f",
    "hot-tenants": TENANT,
    "failures": "overloaded",
    "refusals": "INPUT_TOO_LARGE",
    "restless": TENANT,
    "largest": "last_archived_wal",
    "rollback-plan": "PRO",
    "whom-to-tell": "@",
    "worker": "1 node online",
}


@pytest.fixture(scope="module")
def own() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def at(own: Site) -> Iterator[dict[str, str]]:
    """The environment of the commands, at a site where something happened."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METRICS_TOKEN", TOKEN)
        url = own.start_web()
        celery = (sys.executable, "-m", "celery", "-A", "metering_site")
        own.start_program("worker", *celery, "worker", "--concurrency=1")
        make_history(url, own.key)
        variables = own.variables()
        yield variables | {"METERING_URL": url, "LOGS": str(own.folder / "logs"), "PROVIDER": "OPENAI"}


def ask(client: httpx2.Client, key: str, **fields: object) -> dict[str, object]:
    body = {"tenant": TENANT, "task": TASK, "estimate": {"input_tokens": 50, "max_output_tokens": 50}} | fields
    found: dict[str, object] = client.post("/enforce", json=body, headers={"Idempotency-Key": key}).json()
    return found


def make_history(url: str, key: str) -> None:
    with httpx2.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        permit = ask(client, "one")
        failed = {"status": "failed", "api_code": "OPENAI", "error": "overloaded", "usage": {"input_tokens": 50}}
        assert client.post(f"/reservations/{permit['reservation_id']}/commit", json=failed).status_code == 200
        assert not ask(client, "two", estimate={"input_tokens": 10**9, "max_output_tokens": 50})["allowed"]


def names() -> list[str]:
    found = re.findall(r"<!-- run: (\S+) -->", runbook.PAGE.read_text())
    assert len(found) == len(set(found))
    assert set(found) > RESTORING
    return [name for name in found if name not in RESTORING and name not in {"rollback-plan", "retire"}]


@pytest.mark.parametrize("name", names())
def test_a_command_of_the_runbooks_works(at: dict[str, str], name: str) -> None:
    assert TELLS.get(name, "") in runbook.run(name, **at)


def test_a_plan_is_rolled_back(own: Site, at: dict[str, str]) -> None:
    own.manage("plan", "draft", "PRO", "--set", "PATENT_DRAFTING.daily_quota=400000")
    own.manage("plan", "publish", "PRO", "--yes", "--unsimulated")
    held = "SELECT revision FROM plans_plan WHERE code = 'PRO' AND status = 'ACTIVE'"
    assert own.rows(held) == [(2,)]
    runbook.run("rollback-plan", **at)
    assert own.rows(held) == [(1,)]


def test_no_permit_counts_on_a_retired_provider_and_what_it_began_is_priced(own: Site, at: dict[str, str]) -> None:
    served = "SELECT model_class_id, model_id FROM plans_llmmodel WHERE is_active AND provider_id = 'OPENAI'"
    models = dict(own.rows(served))
    assert models
    url, headers = f"{at['METERING_URL']}/api/v1", {"Authorization": f"Bearer {own.key}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=30) as client:
        model_class, model = next(iter(sorted(models.items())))
        fields = {"model_class": model_class}
        permit = ask(client, "before", **fields)
        assert permit["allowed"], permit
        told = runbook.run("retire", **at)
        assert own.rows(served) == []
        orphaned = model_class in told.partition("classes without a model:")[2]
        after = ask(client, "after", **fields)
        assert after["allowed"] is not orphaned
        assert after["code"] == ("MODEL_CLASS_UNAVAILABLE" if orphaned else "OK")
        body = {"model": model, "api_code": "OPENAI", "usage": {"input_tokens": 50, "output_tokens": 10}}
        booked = client.post(f"/reservations/{permit['reservation_id']}/commit", json=body).json()
        assert float(booked["cost"]) > 0
    own.audit()
