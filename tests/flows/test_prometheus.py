"""Prometheus itself scrapes a web server with the rules of ops/, and what is forced on that server fires."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from metering_site.embedded import folders, processes
from metering_site.embedded.supervisor import Program
from tests.flows.callers import TASK, TENANT
from tests.flows.site import Site, site
from tests.metering_site.scraped import TOKEN

pytestmark = pytest.mark.xdist_group("browser")

OPS = folders.PROJECT / "ops"
ASK = {"tenant": TENANT, "task": TASK, "estimate": {"input_tokens": 50, "max_output_tokens": 50}}
# As in ops/prometheus.yml, but for the rhythm: a test waits for no quarter of a minute.
CONFIGURATION = """
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}/slo.yml, {rules}/metering.yml]
scrape_configs:
  - job_name: metering
    metrics_path: /metrics
    authorization: {{credentials: {token}}}
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    """A server of a test's own."""

    def __init__(self, program: str, folder: Path, target: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        folder.mkdir()
        config = folder / "prometheus.yml"
        config.write_text(CONFIGURATION.format(rules=OPS / "rules", token=TOKEN, target=target))
        command = [
            program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self.address}", "--log.level=warn",
        ]  # fmt: skip
        self.program = Program(name="prometheus", command=command, env={**os.environ}, log=folder / "prometheus.log")
        self.program.start()
        self.client = httpx2.Client(base_url=f"http://{self.address}", timeout=10)
        assert processes.wait_until(self._is_ready, seconds=30), processes.tail(self.program.log)

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/-/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def get(self, path: str, **query: str) -> Any:
        answer = self.client.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def value(self, expression: str) -> float | None:
        """Of an expression with one sample; None where it has none."""
        found = self.get("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> dict[str, dict[str, str]]:
        """The alerts that fire, with their annotations."""
        return {
            each["labels"]["alertname"]: each["annotations"]
            for each in self.get("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def wait_for(self, alert: str) -> dict[str, str]:
        assert processes.wait_until(lambda: alert in self.firing(), seconds=60), (alert, self.get("alerts"))
        return self.firing()[alert]

    def stop(self) -> None:
        self.client.close()
        self.program.end()


@pytest.fixture(scope="module")
def own() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def url(own: Site) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METRICS_TOKEN", TOKEN)
        patch.setenv("METRICS_DIR", str(own.folder / "metrics"))
        yield own.start_web()


@pytest.fixture(scope="module")
def prometheus(own: Site, url: str) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None and os.environ.get("CI"):
        pytest.fail("prometheus is missing: .ci/run installs Debian's package of that name")
    if program is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus, and rules are tried here too")
    made = Prometheus(program, own.folder / "prometheus", url.removeprefix("http://"))
    yield made
    made.stop()


@pytest.fixture
def client(own: Site, url: str) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {own.key}"}
    with httpx2.Client(base_url=f"{url}/api/v1", headers=headers, timeout=30) as made:
        yield made


def enforce(client: httpx2.Client, key: str) -> httpx2.Response:
    return client.post("/enforce", json=ASK, headers={"Idempotency-Key": key})


def test_every_rule_is_read_and_what_all_processes_counted_is_scraped_together(
    prometheus: Prometheus, client: httpx2.Client
) -> None:
    for number in range(20):  # over connections that either process takes
        with httpx2.Client(base_url=client.base_url, headers=client.headers) as other:
            assert enforce(other, f"counted-{number}").status_code == 200
    counted = 'metering_decisions_total{code="OK",mode="ENFORCE"}'
    assert processes.wait_until(lambda: prometheus.value(counted) == 20, seconds=30), prometheus.value(counted)
    assert prometheus.value('metering_sql_seconds_count{call="ledger_reserve"}') == 20
    assert prometheus.value('up{job="metering"}') == 1
    groups = prometheus.get("rules")["groups"]
    assert {group["name"] for group in groups} == {"metering", "metering-slo"}
    assert processes.wait_until(
        lambda: all(rule["health"] == "ok" for group in prometheus.get("rules")["groups"] for rule in group["rules"]),
        seconds=30,
    ), [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]
    assert "LedgerBreach" not in prometheus.firing()


def test_no_count_falls_when_a_web_process_is_killed(own: Site, prometheus: Prometheus, client: httpx2.Client) -> None:
    assert enforce(client, "before").status_code == 200
    counted = "sum(metering_decisions_total)"
    before = prometheus.value(counted) or 0
    folder = next((own.folder / "metrics").iterdir())
    victims = {path.stem.rpartition("_")[2] for path in folder.glob("counter_*.db")} - {"dead"}
    os.kill(int(victims.pop()), 9)

    def goes_on() -> bool:
        try:
            return enforce(client, f"after-{os.urandom(4).hex()}").status_code == 200
        except httpx2.TransportError:
            return False

    assert processes.wait_until(goes_on, seconds=30)
    assert processes.wait_until((folder / "counter_dead.db").exists, seconds=30)
    assert processes.wait_until(lambda: (prometheus.value(counted) or 0) > before, seconds=30)
    assert prometheus.value(f"resets({counted.removeprefix('sum(')[:-1]}{{code='OK'}}[5m])") == 0


def test_a_ledger_that_does_not_add_up_wakes_somebody(own: Site, prometheus: Prometheus, url: str) -> None:
    own.write(
        "INSERT INTO alerts_quotaalert (id, kind, severity, subject, threshold, episode, numbers, created_at) VALUES"
        " (gen_random_uuid(), 'AUDIT_BREACH', 'CRITICAL', 'invariant=I2', 1, 'today', '{}', now())"
    )
    told = prometheus.wait_for("LedgerBreach")
    assert told["runbook_url"] == "docs/operations.md#the-ledger-does-not-add-up"


def test_calls_that_fail_burn_the_budget_of_availability(
    own: Site, prometheus: Prometheus, client: httpx2.Client
) -> None:
    assert "AvailabilityBurnsFast" not in prometheus.firing()
    own.postgres.stop()
    try:
        # One after another: a counter that begins at ten has not risen.
        def fires() -> bool:
            assert enforce(client, "failing").status_code == 503
            return "AvailabilityBurnsFast" in prometheus.firing()

        assert processes.wait_until(fires, seconds=60), prometheus.get("alerts")
        told = prometheus.firing()["AvailabilityBurnsFast"]
    finally:
        own.bring_back()
    assert told["runbook_url"] == "docs/operations.md#requests-fail"
    assert processes.wait_until(lambda: enforce(client, "back").status_code == 200, seconds=30)
