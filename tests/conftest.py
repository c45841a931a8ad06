"""The databases of the tests and their fixed cast."""

import os
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test.utils import setup_databases, teardown_databases
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from alerts.models import AlertPolicy
from plans import catalogue
from plans.models import PolicyRule, RolloutRule
from tenants import versions
from tenants.models import ATIToken, ServiceKey, Tenant, User
from tests import cast, throttled
from tests.enforcement.api import Api

os.environ["COLUMNS"] = "240"  # what the commands' tables say is not broken over lines, whoever runs the tests
throttled.keep_apart()
# No example is timed: a busy machine would fail them.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """A database of this test process, with the seeded catalogue as an installation has it.

    In place of pytest-django's, which makes none where every test collected asks for one through `committed`.
    """
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases=["default"])  # type: ignore[arg-type]  # the stubs want a mapping, Django a container
        catalogue.seed(catalogue.read())
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture(autouse=True)
def _no_snapshots() -> None:
    """What a test rolled back, or removed afterwards, is no news to the snapshots of this process."""
    versions.clear_all()


@pytest.fixture
def committed(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The database without a transaction around the test, for what threads and processes do to it.

    Afterwards the usage and everything of tenants is removed; the catalogue stays as the test leaves it.
    """
    if "db" in request.fixturenames or request.node.get_closest_marker("django_db"):
        pytest.fail("`committed` and `db` exclude each other: a test is either committed or rolled back")
    with django_db_blocker.unblock():
        try:
            yield
        finally:
            _remove_all_but_the_catalogue()


def _remove_all_but_the_catalogue() -> None:
    emptied = ", ".join(
        model._meta.db_table
        for label in ("usage", "alerts", "enforcement", "admin", "sessions")
        for model in apps.get_app_config(label).get_models()
        if model._meta.managed and model is not AlertPolicy
    )
    with transaction.atomic(), connection.cursor() as cursor:
        # A thread that a test left behind in a transaction fails this test and not the whole run.
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute(f"TRUNCATE {emptied}")
        cursor.execute(f"TRUNCATE {RolloutRule._meta.db_table}")  # its rows stay once they have begun
        PolicyRule.objects.filter(tenant__isnull=False).delete()
        AlertPolicy.objects.filter(tenant__isnull=False).delete()
        # These refer to each other in circles; the foreign keys wait for the transaction's end.
        for model in (ServiceKey, User, ATIToken, Tenant):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")


@pytest.fixture
def _database(request: pytest.FixtureRequest) -> None:
    """Whichever of `committed` and `db` the test asked for; `db` where it asked for none."""
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")


@pytest.fixture
def acme(_database: None) -> cast.Company:
    """A tenant on PRO."""
    return cast.make_tenant("ACME")


@pytest.fixture
def rival(_database: None) -> cast.Company:
    """Another tenant on PRO, the stranger of every test."""
    return cast.make_tenant("RIVAL")


@pytest.fixture
def svc(_database: None) -> str:
    """The text of a service key that may do everything for any tenant."""
    return cast.make_key()


@pytest.fixture
def api(svc: str) -> Api:
    """The API as a service with an any-tenant key calls it."""
    return Api(svc)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("django_db")
        asked = marker is not None and marker.kwargs.get("transaction")
        if asked or "transactional_db" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid}: use `committed`; a flush would take the catalogue away")
