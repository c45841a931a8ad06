"""`manage.py rollout_report`: what observed gates would have refused, beside what enforced ones did."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from enforcement import rollout
from plans.models import Feature, Overage, PlanFeature
from tenants.models import Tenant
from tests.cast import Company, plan
from tests.enforcement.api import Api
from tests.enforcement.rules import limit, roll_out
from usage import ledger
from usage.models import UsageReservation

NOW = datetime.now(UTC)
LAST_YEAR = NOW - timedelta(days=365)
PRIOR_ART, DRAFTING = "PRIOR_ART_SEARCH", "PATENT_DRAFTING"


def reported(**options: Any) -> dict[str, Any]:
    """The report as a program reads it."""
    out = StringIO()
    call_command("rollout_report", json=True, stdout=out, **options)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def told(**options: Any) -> str:
    """The report as an operator reads it, its lines unwrapped."""
    out = StringIO()
    call_command("rollout_report", stdout=out, **options)
    return " ".join(out.getvalue().split())


def rows(found: dict[str, Any], kind: str) -> list[tuple[Any, ...]]:
    return [(row["tenant"], row["gate"], row["code"], row["requests"]) for row in found[kind]]


def finish(api: Api, tenant: str, task: str, ending: str = "commit", **fields: Any) -> dict[str, Any]:
    """A call that is permitted, made and ended."""
    permit = api.enforce(tenant, task, **fields)
    assert permit["allowed"], permit
    body = {"usage": {"input_tokens": 1, "output_tokens": 1}, "model": "gpt-4o"} if ending == "commit" else {}
    assert api.post(f"/reservations/{permit['reservation_id']}/{ending}", body).status_code == 200
    return permit


@pytest.fixture
def observed(acme: Company) -> None:
    """ACME's daily quota of prior-art searches is 2, and only observed."""
    limit(acme.tenant, "DAILY_QUOTA", 2, feature_id=PRIOR_ART)
    roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR, acme.tenant)


def test_what_an_observed_gate_let_through_is_counted_by_tenant_and_code(
    api: Api, acme: Company, rival: Company, observed: None
) -> None:
    for _ in range(5):
        finish(api, "ACME", "PATENT_OPEN")
        finish(api, "RIVAL", "PATENT_OPEN")
    found = reported()
    assert rows(found, "observed") == [("ACME", "DAILY_QUOTA", "DAILY_QUOTA_EXCEEDED", 3)]
    (row,) = found["observed"]
    assert (row["share"], row["open"], found["overage"], found["refused"]) == (0.6, 0, [], [])
    assert row["first"] < row["last"]
    assert float(row["cost"]) > 0


def test_open_reservations_count_too_and_once_they_end_they_count_once(api: Api, acme: Company, observed: None) -> None:
    permits = [api.enforce("ACME", "PATENT_OPEN") for _ in range(3)]
    assert [(row["requests"], row["open"]) for row in reported()["observed"]] == [(1, 1)]
    api.post(f"/reservations/{permits[2]['reservation_id']}/release")
    assert [(row["requests"], row["open"]) for row in reported()["observed"]] == [(1, 0)]


def test_what_was_reported_on_the_way_is_part_of_the_cost(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=DRAFTING)
    permit = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1000, tokens_out=1000)
    used = {"usage": {"input_tokens": 1000, "output_tokens": 500}, "model": "gpt-4o"}
    api.post(f"/reservations/{permit['reservation_id']}/report", used)
    answer = api.post(f"/reservations/{permit['reservation_id']}/commit", used).json()
    assert [row["cost"] for row in reported()["observed"]] == [answer["cost"]]


def test_a_late_commit_adds_its_cost_and_no_request(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=DRAFTING)
    permit = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1000, tokens_out=1000)
    UsageReservation.objects.update(expires_at=NOW - timedelta(days=1))
    assert ledger.expire(acme.tenant.id) == 1
    (expired,) = reported()["observed"]
    assert (expired["requests"], expired["cost"]) == (1, "0.00")
    used = {"input_tokens": 1000, "output_tokens": 500}
    answer = api.commit(permit["reservation_id"], usage=used, model="gpt-4o").json()
    assert answer["late"]
    (late,) = reported()["observed"]
    assert (late["requests"], late["cost"], late["share"]) == (1, answer["cost"], 1.0)


def test_a_request_that_several_gates_would_have_refused_counts_at_each_once(api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    for key in ("DAILY_QUOTA", "MONTHLY_QUOTA"):
        limit(acme.tenant, key, 0, feature_id=DRAFTING)
        limit(acme.tenant, key, 0, task_id="LLM2_DRAFT")
    finish(api, "ACME", "LLM2_DRAFT", tokens_in=40_000, model_class="ADVANCED")
    finish(api, "ACME", "EMBED", tokens_in=1)
    found = reported()
    assert sorted(rows(found, "observed")) == [
        ("ACME", "CAPS", "INPUT_TOO_LARGE", 1),
        ("ACME", "DAILY_QUOTA", "DAILY_QUOTA_EXCEEDED", 1),
        ("ACME", "FEATURE", "FEATURE_UNAVAILABLE", 1),
        ("ACME", "MODEL_ACCESS", "MODEL_CLASS_UNAVAILABLE", 1),
        ("ACME", "MONTHLY_QUOTA", "MONTHLY_QUOTA_EXCEEDED", 1),
    ]
    assert rows(reported(gate="caps"), "observed") == [("ACME", "CAPS", "INPUT_TOO_LARGE", 1)]


def test_a_share_is_of_all_requests_whichever_gate_is_asked_about(api: Api, acme: Company, observed: None) -> None:
    limit(acme.tenant, "MAX_TOKENS_IN", 10)
    for _ in range(4):
        finish(api, "ACME", "PATENT_OPEN")
    for _ in range(4):
        assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=11)["code"] == "INPUT_TOO_LARGE"
    for gate in (None, "DAILY_QUOTA"):
        assert [row["share"] for row in reported(gate=gate)["observed"]] == [0.25]


def test_what_overage_lets_pass_is_shown_apart(api: Api, acme: Company) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        PlanFeature.objects.filter(plan=plan("PRO"), feature=PRIOR_ART).update(daily_quota=0, overage=Overage.ALLOW)
        cursor.execute("SET LOCAL session_replication_role = origin")
    finish(api, "ACME", "PATENT_OPEN")
    roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR)
    finish(api, "ACME", "PATENT_OPEN")
    found = reported()
    assert (rows(found, "observed"), rows(found, "overage")) == (
        [], [("ACME", "DAILY_QUOTA", "DAILY_QUOTA_EXCEEDED", 2)],
    )  # fmt: skip


def test_what_enforced_gates_refuse_is_beside_it(api: Api, acme: Company, observed: None) -> None:
    limit(acme.tenant, "MONTHLY_QUOTA", 3, feature_id=PRIOR_ART)
    for _ in range(3):
        finish(api, "ACME", "PATENT_OPEN")
    for _ in range(4):
        assert not api.enforce("ACME", "PATENT_OPEN")["allowed"]
    found = reported()
    assert rows(found, "observed") == [("ACME", "DAILY_QUOTA", "DAILY_QUOTA_EXCEEDED", 1)]
    assert rows(found, "refused") == [("ACME", "MONTHLY_QUOTA", "MONTHLY_QUOTA_EXCEEDED", 4)]
    assert found["refused"][0]["share"] == pytest.approx(4 / 7)


def test_one_tenant_is_reported_alone(api: Api, acme: Company, rival: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    for company in (acme, rival):
        limit(company.tenant, "DAILY_QUOTA", 0, feature_id=PRIOR_ART)
        finish(api, company.tenant.ati_id, "PATENT_OPEN")
    assert len(reported()["observed"]) == 2
    assert [row["tenant"] for row in reported(tenant="RIVAL")["observed"]] == ["RIVAL"]


def test_it_says_who_is_not_enforced_since_when_and_why(api: Api, acme: Company, rival: Company) -> None:
    roll_out("BUDGET", "OBSERVE", LAST_YEAR)
    roll_out("BUDGET", "ENFORCE", LAST_YEAR, acme.tenant)
    roll_out("RATES", "OBSERVE", NOW + timedelta(days=1))
    Tenant.objects.filter(pk=rival.tenant.pk).update(enforcement_mode="OBSERVE")
    Feature.objects.filter(code="RERANK").update(enforcement_mode="OFF")
    assert [(each["gate"], each["whom"], each["mode"]) for each in reported()["watched"]] == [
        ("BUDGET", "everybody", "OBSERVE"), ("ALL", "RIVAL", "OBSERVE"), ("ALL", "RERANK", "OFF"),
    ]  # fmt: skip
    text = told()
    assert f"{LAST_YEAR:%Y-%m-%d %H:%M}" in text
    assert "a test" in text


def test_with_nothing_to_say_it_says_how_to_begin(acme: Company) -> None:
    text = told()
    assert "Every gate binds for everybody." in text
    assert "To watch a gate before it binds, observe it: on the console under “Roll-out”" in text


def test_what_it_does_not_know_is_named(acme: Company) -> None:
    with pytest.raises(CommandError, match=r"There is no gate MONEY\. Known: IDENTITY, TENANT, .*BUDGET\."):
        reported(gate="money")
    with pytest.raises(CommandError, match="There is no tenant NOBODY"):
        reported(tenant="NOBODY")


def test_it_reads_page_by_page_and_each_request_once(
    api: Api, acme: Company, observed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        finish(api, "ACME", "PATENT_OPEN")
    limit(acme.tenant, "MONTHLY_QUOTA", 7, feature_id=PRIOR_ART)
    for user in ("a", "b", "c"):
        api.enforce("ACME", "PATENT_OPEN", user=user)
    whole = reported()
    monkeypatch.setattr(rollout, "_PAGE", 2)
    heard: list[float] = []
    with CaptureQueriesContext(connection) as captured:
        found = rollout.report(since=NOW - timedelta(days=7), now=datetime.now(UTC), tell=heard.append)
    assert {(each.kind, each.requests) for each in found.found} == {("OBSERVED", 5), ("REFUSED", 3)}
    assert rows(whole, "observed")[0][3] == 5
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert len([query for query in captured if "usage_usagelog" in query["sql"]]) == 3 + 4


def test_what_is_older_than_asked_for_is_left_out(api: Api, acme: Company, observed: None) -> None:
    for _ in range(3):
        finish(api, "ACME", "PATENT_OPEN")
    later = datetime.now(UTC) + timedelta(days=2)
    assert not rollout.report(since=later - timedelta(days=1), now=later).found
    assert rollout.report(since=later - timedelta(days=3), now=later).found
