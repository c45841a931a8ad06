"""What a load balancer is told."""

from http import HTTPStatus

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries, DjangoDbBlocker, Settings


def test_a_process_that_answers_is_healthy_without_asking_anybody(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (HTTPStatus.OK, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


def test_ready_with_database_migrations_and_redis(client: Client, db: None) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "redis": "ok"},
    }


def test_a_warm_readiness_question_costs_three_queries(
    client: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/readyz")
    with django_assert_num_queries(3):  # does it write, is there a table of migrations, and what is in it
        client.get("/readyz")


def test_not_ready_while_a_migration_is_missing(client: Client, db: None) -> None:
    MigrationRecorder(connection).record_unapplied("usage", "0001_initial")
    answer = client.get("/readyz")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json()["checks"]["migrations"] == "unapplied"


def test_not_ready_without_the_database(
    client: Client, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    host = connection.settings_dict["HOST"]
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["HOST"] = "/nowhere"
        try:
            answer = client.get("/readyz")
        finally:
            connection.close()
            connection.settings_dict["HOST"] = host
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json()["checks"] == {"database": "unavailable", "migrations": "unknown", "redis": "ok"}


def test_redis_away_is_reported_and_refuses_nothing(client: Client, db: None, settings: Settings) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "unix:///nowhere.sock"}}
    answer = client.get("/readyz")
    assert answer.status_code == HTTPStatus.OK
    assert answer.json()["checks"]["redis"] == "degraded"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_a_database_that_only_reads_is_not_ready(client: Client, committed: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    answer = client.get("/readyz")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json()["checks"]["database"] == "read-only"
    assert client.get("/readyz").status_code == HTTPStatus.OK  # on a new connection
