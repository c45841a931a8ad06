"""Every relation of identity and catalogue, walked both ways, and what becomes of it when its target goes."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, models
from django.db.models import ProtectedError
from pytest_django import DjangoAssertNumQueries

from plans.models import (
    LLMModel,
    ModelClass,
    ModelPrice,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanLLMAccessClass,
    PolicyRule,
    RolloutGate,
    RolloutRule,
    RuleKey,
    RuleScope,
)
from tenants.models import ATIToken, EnforcementMode, Tenant
from tests import cast
from tests.database import run
from tests.plans.conftest import NEXT_YEAR, World

pytestmark = pytest.mark.django_db


def relations() -> Iterator[models.ForeignKey[Any, Any]]:
    for label in ("tenants", "plans"):
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.get_fields():
                if isinstance(field, models.ForeignKey):  # a one-to-one is one, too
                    yield field


def named(field: models.ForeignKey[Any, Any]) -> str:
    return f"{field.model.__name__}.{field.name}"


RELATIONS = sorted(relations(), key=named)
OF_PEOPLE = {"groups", "user_permissions"}  # Django's own


def rows_of(field: models.ForeignKey[Any, Any]) -> "models.QuerySet[models.Model]":
    return field.model._default_manager.filter(**{f"{field.name}__isnull": False})


def test_all_relations_are_known() -> None:
    many = {
        f"{model.__name__}.{field.name}"
        for label in ("tenants", "plans")
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.many_to_many
        if field.name not in OF_PEOPLE
    }
    assert many == {"PlanLLMAccess.allowed_classes"}
    assert {named(field) for field in RELATIONS} == set(ON_DELETE)


@pytest.mark.parametrize("field", RELATIONS, ids=named)
def test_a_relation_is_walked_both_ways(field: models.ForeignKey[Any, Any], world: World) -> None:
    row = rows_of(field).first()
    assert row is not None, "the world has no row with this relation"
    target = getattr(row, field.name)
    assert target.pk == getattr(row, field.attname)
    back = field.remote_field.get_accessor_name()
    if field.remote_field.hidden:  # the root token of the view, which the tenant has itself
        assert named(field) == "TenantPlan.root_token"
        return
    found = getattr(target, back)
    assert row == found if field.one_to_one else row in found.all()
    query = field.related_query_name()
    assert row in field.model._default_manager.filter(**{field.name: target})
    assert target in field.remote_field.model._default_manager.filter(**{query: row.pk})


def test_allowed_classes_are_walked_both_ways(world: World) -> None:
    access = cast.plan("PRO").accesses.get(task="LLM2_DRAFT")
    assert {row.code for row in access.allowed_classes.all()} == {"BASE_S", "BASE_M", "PRO_M", "PRO_L"}
    assert access in ModelClass.objects.get(code="PRO_L").allowed_in.all()
    assert access not in ModelClass.objects.get(code="ADVANCED").allowed_in.all()


def test_the_words_of_the_relations(world: World) -> None:
    acme, pro = world.acme.tenant, cast.plan("PRO")
    assert {user.email for user in acme.users.all()} == {
        "owner@acme.example", "user1@acme.example", "user2@acme.example",
    }  # fmt: skip
    assert acme.root_token is not None
    assert acme.root_token.branches.count() == acme.ati_tokens.count() == 4
    assert acme.root_token.signups.count() == 3
    assert set(pro.root_tokens.values_list("tenant__ati_id", flat=True)) == {"ACME", "RIVAL"}
    assert list(cast.plan("ENTERPRISE").next_root_tokens.all()) == [world.acme.root]
    assert acme.current_plan.plan == pro
    assert {row.tenant.ati_id for row in pro.current_tenants.all()} == {"ACME", "RIVAL"}
    assert list(pro.revisions.all()) == [world.draft]
    assert set(acme.policy_rules.all()) == {world.tenant_rule, world.user_rule}
    assert world.rival.tenant.policy_rules.count() == 0
    assert world.key.replaces is not None
    assert world.key.replaces.replaced_by == world.key


def test_plans_bring_their_promises_in_seven_queries(
    draft: Plan, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Defect 31: the number of queries does not grow with the plans."""
    with django_assert_num_queries(7):
        plans = list(Plan.objects.live().with_promises())
        promised = {
            plan.code: (
                {row.feature.code: row.monthly_quota for row in plan.features.all()},
                {row.task.code: {c.model_class_id for c in row.classes.all()} for row in plan.accesses.all()},
                {(rule.task_id, rule.key): rule.value for rule in plan.policy_rules.all()},
            )
            for plan in plans
        }
    features, tasks, rules = promised["PRO"]
    assert features["DIAGRAM_GENERATION"] == 200
    assert tasks["LLM3_DIAGRAM"] == {"BASE_S", "BASE_M", "PRO_M", "PRO_L"}
    assert tasks["PATENT_OPEN"] == set()
    assert rules["LLM3_DIAGRAM", RuleKey.MAX_TOKENS_IN] == 8_000
    assert rules[None, RuleKey.CONCURRENCY_LIMIT] == 3


def test_tenants_bring_people_tokens_rules_and_plan_in_a_fixed_number_of_queries(
    world: World, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rows = Tenant.objects.select_related("root_token__plan", "current_plan__plan").prefetch_related(
        "users__ati_tokens", "ati_tokens", "policy_rules__task", "rollout_rules"
    )
    with django_assert_num_queries(7):
        seen = {
            tenant.ati_id: (
                tenant.current_plan.plan.code,
                sum(len(user.ati_tokens.all()) for user in tenant.users.all()),
                [rule.task.code for rule in tenant.policy_rules.all() if rule.task],
                len(tenant.rollout_rules.all()),
                len(tenant.ati_tokens.all()),
            )
            for tenant in rows
        }
    assert seen == {"ACME": ("PRO", 3, ["LLM2_DRAFT"], 1, 4), "RIVAL": ("PRO", 3, [], 0, 4)}


def test_classes_bring_models_and_prices_in_three_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(3):
        priced = {
            model_class.code: all(list(model.prices.all()) for model in model_class.models.all())
            for model_class in ModelClass.objects.prefetch_related("models__prices")
        }
    assert priced == dict.fromkeys(["BASE_S", "BASE_M", "PRO_M", "PRO_L", "ADVANCED"], True)


def test_tokens_tell_their_plan_without_a_query_each(
    world: World, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        tiers = {token.plan_tier(NEXT_YEAR) for token in ATIToken.objects.with_plan_tier()}
    assert tiers == {"PRO", "ENTERPRISE"}


ON_DELETE = {
    "ATIToken.next_plan": models.PROTECT,
    "ATIToken.plan": models.PROTECT,
    "ATIToken.root": models.PROTECT,
    "ATIToken.tenant": models.PROTECT,
    "ATIToken.user": models.PROTECT,
    "LLMModel.model_class": models.PROTECT,
    "LLMModel.provider": models.PROTECT,
    "ModelPrice.model": models.CASCADE,
    "Plan.based_on": models.PROTECT,
    "PlanFeature.feature": models.PROTECT,
    "PlanFeature.plan": models.CASCADE,
    "PlanLLMAccess.default_class": models.PROTECT,
    "PlanLLMAccess.plan": models.CASCADE,
    "PlanLLMAccess.task": models.PROTECT,
    "PlanLLMAccessClass.access": models.CASCADE,
    "PlanLLMAccessClass.model_class": models.PROTECT,
    "PolicyRule.feature": models.PROTECT,
    "PolicyRule.plan": models.CASCADE,
    "PolicyRule.task": models.PROTECT,
    "PolicyRule.tenant": models.CASCADE,
    "RolloutRule.tenant": models.CASCADE,
    "ServiceKey.replaces": models.SET_NULL,
    "ServiceKey.tenant": models.PROTECT,
    "Task.feature": models.PROTECT,
    "Tenant.root_token": models.PROTECT,
    "TenantPlan.plan": models.DO_NOTHING,  # a view
    "TenantPlan.root_token": models.DO_NOTHING,
    "TenantPlan.tenant": models.DO_NOTHING,
    "User.signup_token": models.PROTECT,
    "User.tenant": models.PROTECT,
}


@pytest.mark.parametrize("field", RELATIONS, ids=named)
def test_a_relation_does_on_delete_what_it_is_meant_to(field: models.ForeignKey[Any, Any]) -> None:
    assert field.remote_field.on_delete is ON_DELETE[named(field)]


PROTECTED = [field for field in RELATIONS if ON_DELETE[named(field)] is models.PROTECT]


@pytest.mark.parametrize("field", PROTECTED, ids=named)
def test_what_is_referred_to_cannot_be_deleted(field: models.ForeignKey[Any, Any], world: World) -> None:
    row = rows_of(field).first()
    assert row is not None
    target = getattr(row, field.name)
    with pytest.raises(ProtectedError) as caught:
        target.delete()
    assert any(isinstance(kept, field.model) for kept in caught.value.protected_objects)


@pytest.mark.parametrize("field", PROTECTED, ids=named)
def test_the_database_keeps_it_against_plain_sql_too(field: models.ForeignKey[Any, Any], world: World) -> None:
    row = rows_of(field).first()
    assert row is not None
    target = getattr(row, field.name)
    table, key = target._meta.db_table, target._meta.pk.column
    with pytest.raises(IntegrityError):
        run(f"DELETE FROM {table} WHERE {key} = %s", target.pk)


def deleted(target: models.Model) -> dict[type[models.Model], int]:
    return {apps.get_model(label): count for label, count in target.delete()[1].items()}


def test_a_draft_takes_its_promises_along(draft: Plan) -> None:
    assert deleted(draft) == {
        Plan: 1,
        PlanFeature: 3,
        PlanLLMAccess: 8,
        PlanLLMAccessClass: 20,
        PolicyRule: 10,
    }


def test_a_task_of_a_draft_takes_its_classes_along(draft: Plan) -> None:
    assert deleted(draft.accesses.get(task="LLM2_DRAFT")) == {PlanLLMAccess: 1, PlanLLMAccessClass: 4}


def test_a_model_takes_its_prices_along() -> None:
    model = LLMModel.objects.get(model_id="gpt-4o")
    prices = model.prices.count()
    assert prices > 0
    assert deleted(model) == {LLMModel: 1, ModelPrice: prices}


def test_a_tenant_with_people_stays_and_an_empty_one_takes_its_rules_along(world: World) -> None:
    with pytest.raises(ProtectedError):
        world.acme.tenant.delete()
    empty = Tenant.objects.create(ati_id="EMPTY", name="Empty")
    PolicyRule.objects.create(
        scope=RuleScope.TENANT, tenant=empty, key=RuleKey.CONCURRENCY_LIMIT, value=1, reason="Trial"
    )
    RolloutRule.objects.create(tenant=empty, gate=RolloutGate.ALL, mode=EnforcementMode.OBSERVE, starts_at=NEXT_YEAR)
    assert deleted(empty) == {Tenant: 1, PolicyRule: 1, RolloutRule: 1}


def test_a_rotated_key_forgets_the_one_it_replaced(world: World) -> None:
    old = world.key.replaces
    assert old is not None
    old.delete()
    world.key.refresh_from_db()
    assert world.key.replaces is None
