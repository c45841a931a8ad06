"""What Prometheus is told, and who may ask."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection
from pytest_django import DjangoDbBlocker, Settings
from structlog.testing import capture_logs

from alerts.models import AlertKind, QuotaAlert, Severity
from metering_site.metrics import queries, tables
from plans.models import Feature
from tenants import versions
from tests.cast import Company
from tests.enforcement.api import Api
from tests.metering_site.scraped import TOKEN, Figures, moved, scrape, value
from usage import ledger, rollups
from usage.models import UsageReservation

ASK: dict[str, Any] = {"tokens_in": 100, "tokens_out": 100}
USED = {"input_tokens": 100, "output_tokens": 50}


@pytest.fixture(autouse=True)
def _with_a_token(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "KEPT_SECONDS", 0.0)


@pytest.fixture
def figures(client: Client) -> Callable[[], Figures]:
    return lambda: scrape(client)


@pytest.fixture
def queued() -> Iterator[str]:
    """A queue in which one task waits."""
    redis, name = get_redis_connection("default"), "metering:celery"
    redis.rpush(name, "a task that no worker takes")
    yield name
    redis.delete(name)


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"])
def test_nobody_reads_figures_without_the_token(client: Client, sent: str | None) -> None:
    answer = client.get("/metrics", headers={} if sent is None else {"Authorization": sent})
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert b"metering_" not in answer.content


def test_there_is_no_such_address_where_no_token_is_set(client: Client, db: None, settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == HTTPStatus.NOT_FOUND


def test_figures_are_read_by_any_name_of_the_host_and_without_tls(client: Client, db: None, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/metrics", headers={"Host": "10.1.2.3:8000", "Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == HTTPStatus.OK
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "no-store" in answer["Cache-Control"]


def test_decisions_are_counted_by_code_and_mode_and_replays_apart(
    api: Api, acme: Company, figures: Callable[[], Figures]
) -> None:
    before = figures()
    api.enforce("ACME", "LLM2_DRAFT", key="once", **ASK)
    api.enforce("ACME", "LLM2_DRAFT", key="once", **ASK)
    assert not api.enforce("ACME", "LLM2_DRAFT", tokens_in=10**9)["allowed"]
    Feature.objects.filter(code="PATENT_DRAFTING").update(enforcement_mode="OBSERVE")
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    after = figures()
    assert moved(before, after, "metering_decisions_total", code="OK", mode="ENFORCE") == 1
    assert moved(before, after, "metering_decisions_total", code="OK", mode="OBSERVE") == 1
    assert moved(before, after, "metering_decisions_total", code="INPUT_TOO_LARGE", mode="ENFORCE") == 1
    assert moved(before, after, "metering_replays_total") == 1


def test_each_item_of_a_batch_is_a_decision(api: Api, acme: Company, figures: Callable[[], Figures]) -> None:
    before = figures()
    items = [
        {"tenant": "ACME", "task": "LLM2_DRAFT", "estimate": {"input_tokens": 10, "max_output_tokens": 300}}
        | {"idempotency_key": f"item-{number}"}
        for number in range(3)
    ]
    api.post("/enforce/batch", {"items": items})
    assert moved(before, figures(), "metering_decisions_total", code="OK", mode="ENFORCE") == 3


def test_what_was_booked_is_counted_by_class_provider_and_end(
    api: Api, acme: Company, figures: Callable[[], Figures]
) -> None:
    before = figures()
    good = api.enforce("ACME", "LLM2_DRAFT", **ASK)
    bad = api.enforce("ACME", "LLM2_DRAFT", **ASK)
    priced = {"model": "gpt-4o", "api_code": "openai", "usage": USED}
    for _ in range(2):  # the second is a replay
        assert api.commit(good["reservation_id"], **priced).status_code == HTTPStatus.OK
    api.commit(bad["reservation_id"], status="failed", api_code="bob@acme.example", error="overloaded", usage=USED)
    after = figures()
    model_class = good["params"]["model_class"]
    counted = {"model_class": model_class}
    name = "metering_operations_total"
    assert moved(before, after, name, **counted, api_code="OPENAI", status="success") == 1
    assert moved(before, after, name, **counted, api_code="OTHER", status="failed") == 1
    assert moved(before, after, "metering_cost_usd_total", **counted) > 0
    assert "bob@" not in str(after.keys())


def test_late_usage_and_usage_beyond_its_hold_are_counted(
    api: Api, acme: Company, figures: Callable[[], Figures]
) -> None:
    before = figures()
    granted, _ = [api.enforce("ACME", "LLM2_DRAFT", **ASK) for _ in range(2)]
    UsageReservation.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    ledger.expire(acme.tenant.id)
    limit = acme_tokens_left(api)
    body = {"usage": {"input_tokens": limit + 7, "output_tokens": 0}}
    assert api.commit(granted["reservation_id"], **body).json()["late"]
    after = figures()
    assert moved(before, after, "metering_late_total") == 1
    assert moved(before, after, "metering_overrun_total", measure="UNITS") > 0
    assert value(after, "metering_reservations_expired_15m") == 1


def acme_tokens_left(api: Api) -> int:
    quotas = api.check("ACME", "LLM2_DRAFT", **ASK)["quotas"]
    return max(int(quota["limit"]) for quota in quotas if quota["unit"] == "TOKENS")


def test_calls_of_the_ledger_are_timed_and_those_that_found_it_moved_are_counted(
    api: Api, acme: Company, figures: Callable[[], Figures]
) -> None:
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    before = figures()
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    acme.tenant.enforcement_mode = "OBSERVE"
    acme.tenant.save(update_fields=["enforcement_mode"])
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    after = figures()
    assert moved(before, after, "metering_sql_seconds_count", call="ledger_reserve") == 3
    assert moved(before, after, "metering_stale_total") == 1


def test_requests_are_counted_by_the_names_of_addresses(
    api: Api, client: Client, acme: Company, figures: Callable[[], Figures]
) -> None:
    before = figures()
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    api.post("/enforce", {"task": "NO_SUCH"}, Idempotency_Key="k")
    client.get("/admin/")
    for number in range(3):
        client.get(f"/made-up/{number}")
    after = figures()
    assert moved(before, after, "metering_request_seconds_count", endpoint="enforce") == 2
    assert moved(before, after, "metering_requests_total", endpoint="enforce", status="200") >= 1
    assert moved(before, after, "metering_requests_total", endpoint="admin", status="302") == 1
    assert moved(before, after, "metering_requests_total", endpoint="none", status="404") == 3
    assert value(after, "metering_threads_busy") == 1  # the scrape itself


def test_no_label_names_a_tenant_a_user_or_an_address(api: Api, acme: Company, figures: Callable[[], Figures]) -> None:
    granted = api.enforce("ACME", "LLM2_DRAFT", user="bob@acme.example", **ASK)
    api.commit(granted["reservation_id"], usage=USED)
    labels = {text for _, found in figures() for _, text in found}
    assert not {"ACME", str(acme.tenant.id), "bob@acme.example", granted["reservation_id"]} & labels


def test_figures_of_the_tables_are_read_when_asked_for(
    api: Api, acme: Company, figures: Callable[[], Figures], queued: str
) -> None:
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    UsageReservation.objects.update(expires_at=datetime.now(UTC) - timedelta(minutes=3))
    rollups.fill()
    QuotaAlert.objects.create(
        kind=AlertKind.LAG, severity=Severity.CRITICAL, subject="work=rollups", threshold=1, episode="today",
        numbers={}, created_at=datetime.now(UTC),
    )  # fmt: skip
    found = figures()
    assert value(found, "metering_reservations_open") == 1
    assert 170 < value(found, "metering_reservations_overdue_seconds") < 300
    assert value(found, "metering_alerts_open", kind="LAG", severity="CRITICAL") == 1
    assert value(found, "metering_queue_tasks", queue="celery") >= 1
    assert value(found, "metering_database_connections_max") > value(found, "metering_database_connections_used") > 0
    assert value(found, "metering_database_bytes") > 1_000_000
    assert value(found, "metering_partition_ahead") == 1
    for source in ("reservations", "rollups", "alerts", "deliveries", "database", "partitions", "redis"):
        assert value(found, "metering_source_up", source=source) == 1


def test_figures_are_kept_for_whoever_asks_often(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "KEPT_SECONDS", 60.0)
    collector = tables.Tables()
    list(collector.collect())
    with CaptureQueriesContext(connection) as asked:
        list(collector.collect())
    assert len(asked) == 0


def test_no_figure_is_read_from_the_log(client: Client, db: None) -> None:
    with CaptureQueriesContext(connection) as asked:
        scrape(client)
    told = " ".join(query["sql"] for query in asked)
    assert "usage_usagereservation" in told
    assert "FROM usage_usagelog " not in told


def test_a_source_that_is_away_is_told_and_the_others_are_read(
    client: Client, db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "unix:///nowhere.sock"}}
    monkeypatch.setattr(queries, "ALERTS", "SELECT no_such_column")
    found = scrape(client)
    assert ("metering_source_up", frozenset({("source", "redis")})) in found
    assert value(found, "metering_source_up", source="redis") == 0
    assert value(found, "metering_source_up", source="alerts") == 0
    assert value(found, "metering_source_up", source="database") == 1


def test_without_the_database_its_figures_are_missing_and_all_that_is_counted_is_told(
    client: Client, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    host = connection.settings_dict["HOST"]
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["HOST"] = "/nowhere"
        try:
            with capture_logs() as lines:
                found = scrape(client)
        finally:
            connection.close()
            connection.settings_dict["HOST"] = host
    assert value(found, "metering_source_up", source="redis") == 1
    for source in ("reservations", "database", "partitions"):
        assert found["metering_source_up", frozenset({("source", source)})] == 0
    assert [line["source"] for line in lines if line["event"] == "figure missing"] == ["reservations"]  # asked once
    assert value(found, "metering_threads_busy") == 1


def test_a_request_of_the_hot_path_makes_no_query_for_its_counts(api: Api, acme: Company) -> None:
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    versions.clear_all()
    api.enforce("ACME", "LLM2_DRAFT", **ASK)
    with CaptureQueriesContext(connection) as asked:
        api.enforce("ACME", "LLM2_DRAFT", **ASK)
    assert len(asked) == 1
