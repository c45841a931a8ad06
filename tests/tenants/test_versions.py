"""The numbers of the configuration: every change counts, whoever writes it, and nothing else does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from tenants import tokens, versions
from tenants.models import ATIToken, Role, Scope, ServiceKey, Tenant, TenantStatus, User
from tests import cast
from tests.parallel import at_once
from tests.tenants.credentials import refused_by

NOW = datetime.now(UTC)


@contextmanager
def moves(*subjects: object, by: int = 1) -> Iterator[None]:
    """Each of these numbers, and no other, moves by so much."""
    before = numbers()
    yield
    after = numbers()
    moved = {subject: after[subject] - before.get(subject, 0) for subject in after}
    assert {subject: step for subject, step in moved.items() if step} == dict.fromkeys(subjects, by)


def numbers() -> dict[object, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT subject, number FROM tenants_configversion")
        return dict(cursor.fetchall())


@pytest.mark.parametrize(
    "values",
    [
        {"name": "Acme Ltd"},
        {"status": "SUSPENDED"},
        {"enforcement_mode": "OBSERVE"},
        {"timezone": "Asia/Tokyo"},
        {"billing_anchor_day": 31},
        {"calendar_since": NOW},
        {"next_timezone": "UTC", "next_billing_anchor_day": 2, "next_calendar_at": NOW},
    ],
    ids=lambda values: next(iter(values)),
)
def test_every_column_of_a_tenant_that_decides_counts(acme: cast.Company, values: dict[str, Any]) -> None:
    with moves(acme.tenant.id):
        Tenant.objects.filter(pk=acme.tenant.pk).update(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"status": "SUSPENDED"},
        {"expires_at": NOW},
        {"hash": b"\0" * 32},
        {"fingerprint": "0" * 16},
        {"plan_ends_at": NOW},
        {"plan_starts_at": NOW},
    ],
    ids=lambda values: next(iter(values)),
)
def test_every_column_of_a_token_that_decides_counts(acme: cast.Company, values: dict[str, Any]) -> None:
    with moves(acme.tenant.id):
        ATIToken.objects.filter(pk=acme.root.pk).update(**values)


@pytest.mark.parametrize("values", [{"role": "VIEWER"}, {"status": "SUSPENDED"}, {"is_shown_all_usage": True}])
def test_every_column_of_a_user_that_decides_counts(acme: cast.Company, values: dict[str, Any]) -> None:
    with moves(acme.tenant.id):
        User.objects.filter(pk=acme.owner.user.pk).update(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"prefix": "0" * 16},
        {"hash": b"\0" * 32},
        {"scopes": ["read"]},
        {"calls_per_second": 1},
        {"expires_at": NOW},
        {"revoked_at": NOW},
    ],
    ids=lambda values: next(iter(values)),
)
def test_every_column_of_a_key_that_decides_counts(svc: str, values: dict[str, Any]) -> None:
    with moves(versions.KEYS):
        ServiceKey.objects.update(**values)


def test_what_decides_nothing_does_not_count(acme: cast.Company, svc: str) -> None:
    with moves():
        ATIToken.objects.update(usage_count=5, max_uses=None, name="x")
        User.objects.update(last_login=NOW, name="x", password="!")
        ServiceKey.objects.update(last_used_on=NOW.date(), name="x")
        Tenant.objects.update(status=TenantStatus.ACTIVE)
        User.objects.create_superuser("root@people.example", None)
        User.objects.filter(role="SUPER_ADMIN").delete()


def test_what_comes_and_goes_counts(acme: cast.Company) -> None:
    with moves(acme.tenant.id):
        token = tokens.issue_for_user(acme.owner.user).record
    with moves(acme.tenant.id):
        token.delete()
    with moves(acme.tenant.id):
        user = User.objects.create_user("ann@people.example", None, tenant=acme.tenant)
    with moves(acme.tenant.id):
        user.delete()
    with moves(versions.KEYS):
        key = tokens.issue_key("search", [Scope.READ]).record
    with moves(versions.KEYS):
        key.delete()
    newco = Tenant(ati_id="NEWCO", name="Newco")
    with moves(newco.id):
        newco.save(force_insert=True)
    with moves(newco.id):
        Tenant.objects.filter(pk=newco.pk).delete()


def test_one_statement_counts_once_for_each_tenant_it_touches(acme: cast.Company, rival: cast.Company) -> None:
    with moves(acme.tenant.id, rival.tenant.id):
        User.objects.filter(role="ANALYST").update(role="VIEWER")
    with moves(acme.tenant.id):
        User.objects.bulk_create(
            [User(email=f"new{n}@people.example", tenant=acme.tenant, password="!") for n in range(5)]
        )


def test_plain_sql_counts_like_everything_else(acme: cast.Company) -> None:
    with moves(acme.tenant.id), connection.cursor() as cursor:
        cursor.execute("UPDATE tenants_tenant SET name = 'Other' WHERE ati_id = 'ACME'")


def test_a_change_that_is_undone_does_not_count(acme: cast.Company) -> None:
    with moves(), refused_by("tenants_tenant_status"):
        Tenant.objects.filter(pk=acme.tenant.pk).update(name="Other")
        Tenant.objects.filter(pk=acme.tenant.pk).update(status="CLOSED")


def test_changes_at_once_are_all_counted(committed: None, acme: cast.Company) -> None:
    def change(number: int) -> Callable[[], None]:
        def changes() -> None:
            for step in range(10):
                Tenant.objects.filter(pk=acme.tenant.pk).update(name=f"{number}.{step}")

        return changes

    with moves(acme.tenant.id, by=80):
        at_once(*[change(number) for number in range(8)])


def test_statements_over_the_same_tenants_do_not_deadlock(
    committed: None, acme: cast.Company, rival: cast.Company
) -> None:
    """Each touches other rows of both tenants, in other orders: their numbers alone are contended."""

    def change(ids: list[UUID]) -> Callable[[], None]:
        def changes() -> None:
            for role in [Role.VIEWER, Role.MANAGER] * 20:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "UPDATE tenants_user u SET role = %s FROM unnest(%s::uuid[]) AS wanted (id) "
                        "WHERE u.id = wanted.id",
                        [role, ids],
                    )

        return changes

    ours, theirs = ([person.user.id for person in company.people] for company in (acme, rival))
    with moves(acme.tenant.id, rival.tenant.id, by=80):
        at_once(change([ours[0], theirs[0]]), change([theirs[1], ours[1]]))
