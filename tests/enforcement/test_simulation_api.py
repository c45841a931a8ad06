"""`POST /plans/simulate` and what becomes of it: asked for through the API, carried out by a worker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django.utils import timezone

from enforcement import tasks
from enforcement.models import Simulation
from enforcement.simulation import jobs, runs
from metering_site.embedded.processes import wait_until
from plans.publishing import revisions
from tenants.models import Scope
from tests import cast
from tests.cast import Company
from tests.enforcement.api import Api, fields_of
from tests.enforcement.described import assert_described
from tests.enforcement.past import operation
from tests.usage.crew import database_url

SMALL = {"PATENT_DRAFTING.daily_quota": 1_500}
PROJECT = Path(__file__).resolve().parents[2]


def two_calls(company: Company) -> None:
    """Two calls of 1,500 tokens an hour ago, in one day as a rule."""
    at = timezone.now().replace(hour=0, minute=5) - timedelta(days=1)
    for minutes in (0, 1):
        operation(company.tenant, at + timedelta(minutes=minutes))


def ask(api: Api, *, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency_Key": key}
    answer = api.post("/plans/simulate", body, **headers)
    assert answer.status_code == 202, answer.content
    found: dict[str, Any] = assert_described("simulate", answer)
    assert answer["Location"] == f"/api/v1/plans/simulations/{found['id']}"
    return found


def look(api: Api, simulation: str) -> dict[str, Any]:
    answer = api.get(f"/plans/simulations/{simulation}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = assert_described("simulation", answer)
    return found


def test_a_simulation_waits_is_done_and_tells_what_it_found(api: Api, acme: Company) -> None:
    two_calls(acme)
    asked = ask(api, plan="PRO", changes=SMALL, days=7)
    assert (asked["status"], asked["progress"], asked["result"]) == ("QUEUED", 0, None)
    assert (asked["plan"], asked["revision"], asked["changes"], asked["tenant"], asked["days"]) == (
        "PRO", 1, ["PATENT_DRAFTING.daily_quota=1500"], None, 7,
    )  # fmt: skip
    tasks.simulate(asked["id"])
    done = look(api, asked["id"])
    assert (done["status"], done["progress"], done["operations"], done["error"]) == ("DONE", 1, 2, None)
    result = done["result"]
    assert (result["tenants_simulated"], result["tenants_newly_refused"]) == (1, 1)
    assert result["total"]["newly_refused"]["by"][0]["code"] == "DAILY_QUOTA_EXCEEDED"
    assert result["total"]["newly_refused"]["requests"] == 1
    assert result["tenants"][0]["tenant"] == "ACME"
    assert not result["is_draft_simulated"]


def test_a_draft_tried_on_all_its_holders_counts_as_simulated(api: Api, acme: Company) -> None:
    draft = revisions.draft("PRO")
    tasks.simulate(ask(api, plan="PRO", revision="draft", tenant="ACME")["id"])
    draft.refresh_from_db()
    assert draft.simulated_at is None, "one tenant is not all"
    asked = ask(api, plan="PRO", revision="draft")
    assert asked["revision"] == draft.revision
    tasks.simulate(asked["id"])
    assert look(api, asked["id"])["result"]["is_draft_simulated"]
    draft.refresh_from_db()
    assert draft.simulated_at is not None


def test_the_same_key_and_body_are_one_simulation(api: Api, acme: Company) -> None:
    first = ask(api, key="k", plan="PRO", days=7)
    answer = api.post("/plans/simulate", {"plan": "PRO", "days": 7}, Idempotency_Key="k")
    assert (answer.status_code, answer["Idempotent-Replayed"]) == (202, "true")
    assert answer.json()["id"] == first["id"]
    in_body = api.post("/plans/simulate", {"plan": "PRO", "days": 7, "idempotency_key": "k"})
    assert in_body.json()["id"] == first["id"]
    other = api.post("/plans/simulate", {"plan": "PRO", "days": 8}, Idempotency_Key="k")
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert ask(api, plan="PRO", days=7)["id"] != first["id"], "without a key each is another"
    somebody = Api(cast.make_key(Scope.ADMIN))
    assert ask(somebody, key="k", plan="PRO", days=8)["id"] != first["id"], "a key's names are its own"


def test_a_key_of_one_tenant_tries_plans_on_its_own_alone(api: Api, acme: Company, rival: Company) -> None:
    own = Api(cast.make_key(Scope.ADMIN, tenant=acme.tenant))
    two_calls(acme)
    two_calls(rival)
    asked = ask(own, plan="PRO", changes=SMALL)
    assert asked["tenant"] == "ACME"
    tasks.simulate(asked["id"])
    assert look(own, asked["id"])["result"]["tenants_simulated"] == 1
    assert own.post("/plans/simulate", {"plan": "PRO", "tenant": "RIVAL"}).status_code == 404
    assert own.post("/plans/simulate", {"plan": "PRO", "tenant": "NOBODY"}).status_code == 404
    assert own.get(f"/plans/simulations/{ask(api, plan='PRO')['id']}").status_code == 404
    assert own.get(f"/plans/simulations/{ask(api, plan='PRO', tenant='RIVAL')['id']}").status_code == 404
    assert own.get(f"/plans/simulations/{uuid4()}").status_code == 404
    assert look(api, asked["id"])["id"] == asked["id"]


def test_a_token_beside_the_key_that_is_no_good_opens_nothing(acme: Company, rival: Company, svc: str) -> None:
    asked = ask(Api(svc), plan="PRO", tenant="ACME")
    for token, status in ((acme.owner.token, 200), (rival.owner.token, 404), ("ati_unknown", 401)):
        beside = Api(svc, **{"X-ATI-Token": token})
        assert beside.get(f"/plans/simulations/{asked['id']}").status_code == status
        assert beside.post("/plans/simulate", {"plan": "PRO"}).status_code == (202 if status != 401 else 401)


def test_it_needs_the_admin_scope(acme: Company) -> None:
    lacking = Api(cast.make_key(Scope.ENFORCE, Scope.READ, Scope.REPORT))
    for caller, status in ((lacking, 403), (Api(acme.owner.token), 403), (Api(None), 401)):
        assert caller.post("/plans/simulate", {"plan": "PRO"}).status_code == status
        assert caller.get(f"/plans/simulations/{uuid4()}").status_code == status
    assert not Simulation.objects.exists()


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ({}, "plan", "Name a plan or changes"),
        ({"plan": "GOLD"}, "plan", "There is no plan GOLD. Known: ENTERPRISE, FREE, PRO."),
        ({"plan": "PRO", "revision": 9}, "revision", "PRO has no such revision. Known: 1 (active)."),
        ({"plan": "PRO", "revision": "draft"}, "revision", "Known: 1 (active)."),
        ({"plan": "PRO", "revision": "newest"}, "revision", "draft"),
        ({"revision": 1, "changes": SMALL}, "revision", "name it in “plan”"),
        ({"plan": "PRO", "days": 0}, "days", "at least 1"),
        ({"plan": "PRO", "days": 91}, "days", "at most 90"),
        ({"plan": "PRO", "changes": {"DRAFTING.daily_quota": 1}}, "changes", "DRAFTING is no feature"),
        ({"plan": "PRO", "changes": {"MAX_TOKENS_OUT": -1}}, "changes", "at least 0"),
        ({"plan": "PRO", "changes": {"MAX_TOKENS_OUT": "much"}}, "changes", "much is no whole number"),
        ({"plan": "PRO", "everybody": True}, "everybody", "There is no such field"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_its_field(
    api: Api, acme: Company, body: dict[str, Any], field: str, told: str
) -> None:
    answer = api.post("/plans/simulate", body)
    assert answer.status_code == 422, answer.content
    assert fields_of(answer.json())[0].startswith(field)
    assert told in answer.json()["detail"]
    assert not Simulation.objects.exists()


# --- workers that are lost ------------------------------------------------------


def test_a_simulation_is_carried_out_once_however_often_it_is_told(api: Api, acme: Company) -> None:
    asked = ask(api, plan="PRO")
    tasks.simulate(asked["id"])
    done = Simulation.objects.get(pk=asked["id"])
    tasks.simulate(asked["id"])
    again = Simulation.objects.get(pk=asked["id"])
    assert (again.attempt, again.finished_at) == (1, done.finished_at)
    tasks.simulate(str(uuid4()))


def test_the_sweep_tells_again_of_what_waits_or_fell_silent(api: Api, acme: Company) -> None:
    waiting, working, silent = (ask(api, plan="PRO")["id"] for _ in range(3))
    now = timezone.now()
    began = {"status": "RUNNING", "started_at": now, "attempt": 1}
    Simulation.objects.filter(pk=working).update(heard_at=now, **began)
    Simulation.objects.filter(pk=silent).update(heard_at=now - jobs.SILENT_AFTER - timedelta(seconds=1), **began)
    assert jobs.sweep(now) == 2
    for each in (waiting, working, silent):
        tasks.simulate(each)
    assert {str(row.pk): (row.status, row.attempt) for row in Simulation.objects.all()} == {
        waiting: ("DONE", 1), working: ("RUNNING", 1), silent: ("DONE", 2),
    }  # fmt: skip
    assert jobs.sweep(now) == 0


def test_a_worker_that_was_taken_for_lost_stops_and_changes_nothing(
    api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(api, plan="PRO")
    run = runs.run

    def overtaken(*args: Any, **options: Any) -> runs.Report:
        monkeypatch.setattr(runs, "run", run)
        Simulation.objects.update(heard_at=timezone.now() - 2 * jobs.SILENT_AFTER)
        tasks.simulate(asked["id"])
        return run(*args, **options)

    monkeypatch.setattr(runs, "run", overtaken)
    tasks.simulate(asked["id"])
    row = Simulation.objects.get()
    assert (row.status, row.attempt) == ("DONE", 2)


def test_after_three_lost_workers_it_has_failed(api: Api, acme: Company) -> None:
    asked = ask(api, plan="PRO")
    Simulation.objects.update(status="RUNNING", attempt=3, heard_at=timezone.now() - 2 * jobs.SILENT_AFTER)
    tasks.simulate(asked["id"])
    failed = look(api, asked["id"])
    assert (failed["status"], failed["result"]) == ("FAILED", None)
    assert "lost 3 times" in failed["error"]


def test_a_plan_that_changed_so_that_its_edits_cannot_be_made_fails_in_words(api: Api, acme: Company) -> None:
    draft = revisions.draft("PRO")
    asked = ask(api, plan="PRO", revision="draft", changes={"PATENT_DRAFTING.daily_quota": 1})
    draft.accesses.filter(task__feature="PATENT_DRAFTING").delete()
    draft.features.filter(feature="PATENT_DRAFTING").delete()
    tasks.simulate(asked["id"])
    failed = look(api, asked["id"])
    assert failed["status"] == "FAILED"
    assert "PATENT_DRAFTING is not in the plan" in failed["error"]


def test_old_simulations_are_forgotten(api: Api, acme: Company) -> None:
    kept, old = (ask(api, plan="PRO")["id"] for _ in range(2))
    tasks.simulate(old)
    Simulation.objects.update(created_at=timezone.now() - jobs.KEPT_FOR - timedelta(days=1))
    tasks.sweep_simulations()
    assert [str(row.pk) for row in Simulation.objects.all()] == [kept], "what waits is not"


# --- with a real worker, and without Redis ----------------------------------------


@contextmanager
def worker() -> Iterator[None]:
    """A Celery worker on this test's database."""
    command = [sys.executable, "-m", "celery", "-A", "metering_site", "worker", "--pool=solo"]
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    environment = {**os.environ, "DATABASE_URL": database_url()}
    with subprocess.Popen([*command, *options], cwd=PROJECT, env=environment) as program:
        try:
            yield
        finally:
            program.terminate()


def _status(simulation: dict[str, Any]) -> str:
    return Simulation.objects.get(pk=simulation["id"]).status


def test_a_worker_does_it_and_without_redis_it_waits_for_the_sweep(
    committed: None, api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Redis away the request is answered all the same, and nothing is lost."""
    two_calls(acme)
    nowhere = Celery(broker="redis+socket:///nowhere/at-all.sock", set_as_current=False)
    with monkeypatch.context() as away:
        away.setattr(jobs, "current_app", nowhere)
        lost = ask(api, plan="PRO", changes=SMALL)
    with worker():
        told = ask(api, plan="PRO", changes=SMALL)
        assert wait_until(lambda: _status(told) == "DONE", seconds=60)
        assert _status(lost) == "QUEUED"
        tasks.sweep_simulations()
        assert wait_until(lambda: _status(lost) == "DONE", seconds=60)
    assert look(api, lost["id"])["result"]["total"]["newly_refused"]["requests"] == 1
