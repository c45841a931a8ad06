"""What a process knows of keys and tenants, and how it finds them by their public names."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from tenants import facts, tokens, versions
from tenants.models import EnforcementMode, Scope, Tenant
from tests import cast

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def test_the_facts_of_a_tenant_are_its_row_its_plan_and_its_tokens(acme: cast.Company) -> None:
    found = facts.tenant(acme.tenant.id)
    assert (found.ati_id, found.is_active, found.mode) == ("ACME", True, EnforcementMode.ENFORCE)
    assert (found.timezone, found.anchor_day, found.calendar_since, found.next_calendar) == ("UTC", 1, None, None)
    assert found.meter_secret == bytes(acme.tenant.meter_secret)
    assert found.number == versions.number_of(acme.tenant.id)
    assert found.root is not None
    assert found.root.plan == cast.plan("PRO").id
    by_user = {token.user: token for token in found.tokens.values()}
    assert by_user[acme.owner.user.id].sees_all
    assert by_user[acme.owner.user.id].is_usable
    assert not by_user[None].is_usable


def test_a_tenant_without_a_root_token_has_no_plan(db: None) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    assert facts.tenant(tenant.id).root is None


def test_facts_cannot_be_changed(acme: cast.Company) -> None:
    found = facts.tenant(acme.tenant.id)
    with pytest.raises(AttributeError):
        found.mode = EnforcementMode.OFF  # type: ignore[misc]  # what must fail
    with pytest.raises(TypeError):
        found.tokens["0"] = next(iter(found.tokens.values()))  # type: ignore[index]  # what must fail


def test_facts_are_loaded_by_so_many_queries_whatever_their_number(
    acme: cast.Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        tokens.issue_for_user(acme.owner.user)
        tokens.issue_key("search", [Scope.READ], tenant=acme.tenant)
    with django_assert_num_queries(5):  # a savepoint, the number, the tenant, its tokens, the savepoint's end
        facts.tenant(acme.tenant.id)
    with django_assert_num_queries(4):
        facts.keys()
    with django_assert_num_queries(0):
        facts.tenant(acme.tenant.id)
        facts.keys()


def test_nobody_is_found_by_an_unknown_name(acme: cast.Company) -> None:
    assert facts.tenant_named("NOBODY") is None
    assert facts.tenant_of_token("0" * 16) is None
    with pytest.raises(facts.TenantUnknown):
        facts.tenant(uuid4())


def test_a_tenant_is_found_by_its_name_and_by_its_tokens(
    acme: cast.Company, rival: cast.Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for company in (acme, rival):
        fingerprint = company.owner.token.split("_")[1]
        assert facts.tenant_named(company.tenant.ati_id) == facts.tenant_of_token(fingerprint)
        with django_assert_num_queries(0):
            found = facts.tenant_named(company.tenant.ati_id)
            assert found is facts.tenant_of_token(fingerprint)
        assert found is not None
        assert found.id == company.tenant.id
    assert facts.tenant_named("acme") is None


def test_a_name_given_anew_finds_the_new_tenant(db: None) -> None:
    old = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    assert facts.tenant_named("NEWCO") is not None
    Tenant.objects.filter(pk=old.pk).delete()
    versions.refresh(old.pk)
    assert facts.tenant_named("NEWCO") is None
    new = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    found = facts.tenant_named("NEWCO")
    assert found is not None
    assert found.id == new.id


def test_no_more_names_are_kept_than_there_is_room_for() -> None:
    names = facts._Names(2)
    for name in ("A", "B", "C"):
        names.put(name, uuid4())
    assert [names.get(name) is None for name in ("A", "B", "C")] == [True, False, False]
    names.clear()
    assert names.get("C") is None
