"""Rules and dashboard: valid by Prometheus' own tool, about figures that exist, with a runbook for each."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from pytest_django import Settings

from tests.cast import Company
from tests.enforcement.api import Api
from tests.metering_site.scraped import TOKEN

ROOT = Path(__file__).resolve().parent.parent
OPS = ROOT / "ops"
RULE_FILES = ("slo.yml", "metering.yml")
# Of other exporters, or of Prometheus itself.
FOREIGN = {"up", "ALERTS", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
# Variables of Grafana, by a value that each may have.
VARIABLES = {"$__rate_interval": "1m"}


@pytest.fixture(scope="session")
def promtool() -> str:
    """The tool; on a machine without it these tests are skipped, but never in CI."""
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI"):
        pytest.fail("promtool is missing: .ci/run installs Debian's package prometheus")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus, and the rules are checked here too")
    return found


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> Iterator[dict[str, Any]]:
    for name in RULE_FILES:
        for group in yaml.safe_load((OPS / "rules" / name).read_text())["groups"]:
            yield from group["rules"]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((OPS / "grafana" / "metering.json").read_text())["panels"]
    return found


def expressions_of_panels() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def names_in(expression: str) -> set[str]:
    """The series that an expression reads."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:metering[a-z0-9_:]*|node_[a-z_]+|up|ALERTS)\b", bare))


def test_rules_and_their_tests_pass(promtool: str) -> None:
    run(promtool, "check", "rules", *RULE_FILES, cwd=OPS / "rules")
    assert "SUCCESS" in run(promtool, "test", "rules", "tests.yml", cwd=OPS / "rules")


def test_the_configuration_is_valid(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(OPS, tmp_path / "ops")
    (tmp_path / "ops" / "metrics-token").write_text("a-token-for-prometheus-alone")
    run(promtool, "check", "config", "prometheus.yml", cwd=tmp_path / "ops")


def test_every_panel_asks_what_prometheus_understands(promtool: str, tmp_path: Path) -> None:
    group = {"name": "panels", "rules": [{"record": "a:b", "expr": each} for each in expressions_of_panels()]}
    for number, rule in enumerate(group["rules"]):
        rule["record"] = f"panel:{number}"  # type: ignore[index]  # a dict, as made above
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [group]}))
    run(promtool, "check", "rules", "panels.yml", cwd=tmp_path)


def test_every_series_that_is_asked_for_is_one_we_tell(
    api: Api, acme: Company, client: Client, settings: Settings
) -> None:
    settings.METRICS_TOKEN = TOKEN
    told = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", told, re.MULTILINE))
    known = set(types)
    for name, kind in types.items():
        known |= {f"{name}_{part}" for part in ("bucket", "count", "sum")} if kind == "histogram" else set()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {name for each in [rule["expr"] for rule in rules()] + expressions_of_panels() for name in names_in(each)}
    assert asked - known - recorded - FOREIGN == set()
    assert {name for name in known if name.startswith("metering_")} & asked


def test_every_alert_says_how_urgent_it_is_and_leads_to_its_runbook() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    anchors = {_anchor(title): title for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) > 20
    for alert in alerts:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["summary"].endswith(".") or "%" in alert["annotations"]["summary"]
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page == "docs/operations.md"
        assert anchor in anchors, alert["alert"]
        section = text.partition(f" {anchors[anchor]}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
        for part in ("**What it means.**", "**Look here.**", "**Do this.**"):
            assert part in section, f"{alert['alert']}: {part} is missing"


def _anchor(title: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def test_the_dashboard_shows_decisions_latency_saturation_money_and_alerts() -> None:
    rows = [panel["title"] for panel in panels() if panel["type"] == "row"]
    assert rows == ["The promises", "Decisions", "Latency", "Saturation", "Money", "Alerts"]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in panels():
        assert panel["type"] == "row" or panel["targets"]
