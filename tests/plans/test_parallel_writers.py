"""Writers side by side: each committed change has a number that no other has, and none is passed over."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import F

from plans import catalogue
from plans.models import Feature, LLMModel, ModelPrice, PolicyRule, RolloutRule
from tenants import versions
from tenants.models import ServiceKey, Tenant
from tenants.versions import CATALOGUE, KEYS
from tests import cast
from tests.database import run
from tests.parallel import at_once

ROUNDS = 40
BEGIN = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.fixture
def priced(committed: None) -> Iterator[LLMModel]:
    """A model whose prices are the seeded ones again afterwards."""
    model = LLMModel.objects.get(model_id="gpt-4o")
    yield model
    model.prices.filter(valid_from__gte=BEGIN).delete()
    catalogue.seed(catalogue.read(), reset=True)


def repeated(subject: UUID, change: Callable[[int], object]) -> Callable[[], list[int]]:
    """Makes a change many times, each in its own transaction; the number that each saw of itself."""

    def numbers() -> list[int]:
        seen = []
        for turn in range(ROUNDS):
            with transaction.atomic():
                change(turn)
                seen.append(versions.number_of(subject))
        return seen

    return numbers


def assert_each_has_its_own(subject: UUID, before: int, seen: list[list[int]]) -> None:
    for mine in seen:
        assert mine == sorted(mine)
    every = sorted(number for mine in seen for number in mine)
    assert every == list(range(before + 1, before + 1 + len(every)))
    assert versions.number_of(subject) == every[-1]


def test_writers_of_one_tenant_never_share_a_number(committed: None, acme: cast.Company) -> None:
    """A form that saves every column beside rules that refer to the tenant: no deadlock either."""
    tenant = acme.tenant
    before = versions.number_of(tenant.id)

    def edit_form(turn: int) -> None:
        row = Tenant.objects.get(pk=tenant.pk)
        row.name = f"Acme {turn}"
        row.save()

    def add_rule(turn: int) -> None:
        RolloutRule.objects.create(tenant=tenant, gate="BUDGET", mode="OBSERVE", starts_at=BEGIN + timedelta(days=turn))

    def bill_later(turn: int) -> None:
        rows = Tenant.objects.filter(pk=tenant.pk)
        rows.update(billing_anchor_day=F("billing_anchor_day") % 28 + 1)

    def swap_roles(turn: int) -> None:
        swapped = "CASE role WHEN 'VIEWER' THEN 'ANALYST' ELSE 'VIEWER' END"
        run(f"UPDATE tenants_user SET role = {swapped} WHERE tenant_id = %s", tenant.pk)

    writers = [repeated(tenant.id, change) for change in (edit_form, add_rule, bill_later, swap_roles)]
    assert_each_has_its_own(tenant.id, before, at_once(*writers))


def test_a_bulk_price_load_beside_edits_of_the_catalogue_misses_no_number(priced: LLMModel) -> None:
    before = versions.number_of(CATALOGUE)

    def load(turn: int) -> None:
        ModelPrice.objects.bulk_create(
            ModelPrice(
                model=priced, unit="INPUT", nano_usd_per_million=row, valid_from=BEGIN + timedelta(turn, seconds=row)
            )
            for row in range(100)
        )

    def roll_out(turn: int) -> None:
        RolloutRule.objects.create(gate="RATES", mode="OBSERVE", starts_at=BEGIN + timedelta(days=turn))

    def reprice(turn: int) -> None:
        price = ModelPrice.objects.get(model=priced, unit="OUTPUT", is_batch=False, valid_from__lt=BEGIN)
        price.nano_usd_per_million += 1
        price.save()

    seen = at_once(*(repeated(CATALOGUE, change) for change in (load, roll_out, reprice)))
    assert_each_has_its_own(CATALOGUE, before, seen)


def test_forms_of_the_catalogue_do_not_deadlock_with_rows_that_refer_to_it(priced: LLMModel) -> None:
    before = versions.number_of(CATALOGUE)

    def save_feature(turn: int) -> None:
        feature = Feature.objects.get(code="RERANK")
        feature.name = f"Rerank {turn}"
        feature.save()

    def add_rule(turn: int) -> None:
        rule = PolicyRule.objects.create(scope="GLOBAL", feature_id="RERANK", key="DAILY_QUOTA", value=turn)
        rule.delete()

    saved, ruled = at_once(repeated(CATALOGUE, save_feature), repeated(CATALOGUE, add_rule))
    assert saved == sorted(set(saved))
    assert ruled == sorted(set(ruled))
    assert versions.number_of(CATALOGUE) == before + 3 * ROUNDS


def test_a_change_that_is_rolled_back_leaves_no_gap(committed: None, svc: str) -> None:
    before = versions.number_of(KEYS)

    def give_up() -> list[int]:
        for _ in range(ROUNDS):
            with transaction.atomic():
                ServiceKey.objects.update(calls_per_second=F("calls_per_second") + 1)
                transaction.set_rollback(True)
        return []

    hold_on = repeated(KEYS, lambda _: ServiceKey.objects.update(calls_per_second=F("calls_per_second") + 1))
    seen = at_once(give_up, hold_on)
    assert_each_has_its_own(KEYS, before, seen)


def test_statements_over_many_tenants_do_not_deadlock(committed: None, acme: cast.Company, rival: cast.Company) -> None:
    """Each statement takes the numbers in one order, whatever the order of its rows."""
    tenants = [acme.tenant, rival.tenant]
    before = [versions.number_of(tenant.id) for tenant in tenants]

    def add(order: int) -> Callable[[], list[int]]:
        def rounds() -> list[int]:
            for turn in range(ROUNDS):
                RolloutRule.objects.bulk_create(
                    RolloutRule(
                        tenant=tenant, gate="RATES", mode="OBSERVE", starts_at=BEGIN + timedelta(turn, hours=order)
                    )
                    for tenant in tenants[:: (-1) ** order]
                )
            return []

        return rounds

    at_once(*(add(order) for order in range(4)))
    assert [versions.number_of(tenant.id) for tenant in tenants] == [number + 4 * ROUNDS for number in before]


def test_a_reader_never_sees_a_change_without_its_number(committed: None, acme: cast.Company) -> None:
    """Defect 31: what is read with an old number must be what that number stood for."""
    tenant = acme.tenant
    before = versions.number_of(tenant.id)

    def write() -> list[tuple[int, str]]:
        for turn in range(before + 1, before + 1 + 4 * ROUNDS):
            Tenant.objects.filter(pk=tenant.pk).update(name=str(turn))
        return []

    def read() -> list[tuple[int, str]]:
        seen = []
        for _ in range(4 * ROUNDS):
            with versions.one_instant():
                seen.append((versions.number_of(tenant.id), Tenant.objects.get(pk=tenant.pk).name))
        return seen

    _, first, second = at_once(write, read, read)
    assert all(name == str(number) for number, name in first + second if number > before)
