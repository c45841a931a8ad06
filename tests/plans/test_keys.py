"""Keys over several columns: a default class is an allowed one, and NULL does not let a duplicate in."""

from datetime import UTC, datetime

import pytest
from django.db.models import F

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
)
from tenants.models import EnforcementMode
from tests import cast
from tests.database import refused_by, run

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT_IS_ALLOWED = "plans_planllmaccess_default_is_allowed"


def test_a_default_class_is_one_of_the_allowed(draft: Plan) -> None:
    """Defect 7: a model that nobody allowed."""
    drafting = draft.accesses.filter(task="LLM2_DRAFT")
    with refused_by(DEFAULT_IS_ALLOWED):
        drafting.update(default_class="ADVANCED")
    drafting.update(default_class="BASE_M")
    drafting.update(default_class=None)
    run("SELECT 1")


def test_an_allowed_class_that_is_the_default_stays(draft: Plan) -> None:
    drafting = draft.accesses.get(task="LLM2_DRAFT")
    with refused_by(DEFAULT_IS_ALLOWED):
        drafting.classes.filter(model_class="PRO_L").delete()
    with refused_by(DEFAULT_IS_ALLOWED):
        drafting.classes.filter(model_class="PRO_L").update(model_class="ADVANCED")
    drafting.classes.filter(model_class="BASE_S").delete()
    run("SELECT 1")


def test_a_class_allowed_for_another_task_does_not_count(draft: Plan) -> None:
    PlanLLMAccessClass.objects.create(access=draft.accesses.get(task="LLM3_DIAGRAM"), model_class_id="ADVANCED")
    with refused_by(DEFAULT_IS_ALLOWED):
        draft.accesses.filter(task="LLM2_DRAFT").update(default_class="ADVANCED")


def test_default_and_class_may_be_written_in_either_order(draft: Plan) -> None:
    drafting = draft.accesses.get(task="LLM2_DRAFT")
    drafting.default_class_id = "ADVANCED"
    drafting.save(update_fields=["default_class"])
    PlanLLMAccessClass.objects.create(access=drafting, model_class_id="ADVANCED")
    run("SELECT 1")


def test_an_api_task_has_no_classes(draft: Plan) -> None:
    opening = draft.accesses.get(task="PATENT_OPEN")
    with refused_by("plans_planllmaccessclass_llm_only"):
        PlanLLMAccessClass.objects.create(access=opening, model_class_id="BASE_S")
    with refused_by("plans_planllmaccessclass_llm_only"):
        draft.accesses.get(task="LLM2_DRAFT").classes.update(access=opening)
    with refused_by(DEFAULT_IS_ALLOWED):
        draft.accesses.filter(pk=opening.pk).update(default_class="BASE_S")
    drafting = draft.accesses.filter(task="LLM2_DRAFT")
    with refused_by("plans_planllmaccessclass_llm_only"):
        drafting.update(task="EMBED")
    row = drafting.get()
    drafting.update(task="EMBED", default_class=None)
    row.classes.all().delete()
    run("SELECT 1")


def test_an_llm_task_has_no_price_of_its_own(db: None) -> None:
    with refused_by("plans_task_price_per_unit"):
        run("UPDATE plans_task SET price_per_unit_nano_usd = 1 WHERE code = 'LLM2_DRAFT'")


TWICE: dict[str, dict[str, object]] = {
    "for everybody": {"scope": "GLOBAL", "key": "MAX_TOKENS_IN"},
    "for everybody, of a task": {"scope": "GLOBAL", "key": "MAX_TOKENS_IN", "task_id": "EMBED"},
    "for everybody, of a feature": {"scope": "GLOBAL", "key": "DAILY_QUOTA", "feature_id": "RERANK"},
    "of a plan": {"scope": "PLAN", "key": "REQUESTS_PER_MINUTE", "plan": "draft"},
    "of a plan's task": {"scope": "PLAN", "key": "REQUESTS_PER_MINUTE", "plan": "draft", "task_id": "EMBED"},
    "of a tenant": {"scope": "TENANT", "key": "MAX_TOKENS_IN", "tenant": "acme"},
    "of a tenant's task": {"scope": "TENANT", "key": "MAX_TOKENS_IN", "tenant": "acme", "task_id": "EMBED"},
    "of a user": {"scope": "USER", "key": "MAX_TOKENS_IN", "tenant": "acme", "user_key": "u-17"},
    "of a user's feature": {
        "scope": "USER", "key": "USER_DAILY_QUOTA", "tenant": "acme", "user_key": "u-17", "feature_id": "RERANK",
        "set_by_tenant": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("whose", TWICE)
def test_a_rule_is_not_stored_twice(whose: str, acme: cast.Company, draft: Plan) -> None:
    """Defect 6: a unique key that holds a NULL is no key."""
    values = dict(TWICE[whose])
    values["reason"] = "Trial" if "tenant" in values else ""
    if "tenant" in values:
        values["tenant"] = acme.tenant
    if "plan" in values:
        values["plan"] = draft
    rule, _ = PolicyRule.objects.get_or_create(**values, defaults={"value": 1})
    with refused_by("plans_policyrule_once"):
        PolicyRule.objects.create(**values, value=2)
    assert PolicyRule.objects.get(**values) == rule


def test_a_tenant_and_its_admin_may_both_limit_a_user(acme: cast.Company) -> None:
    """Defect 9: one limit replaced the other; here both are stored and the smaller one binds."""
    for set_by_tenant in (False, True):
        PolicyRule.objects.create(
            scope="TENANT", tenant=acme.tenant, feature_id="RERANK", key="USER_DAILY_QUOTA", value=5, reason="Trial",
            set_by_tenant=set_by_tenant,
        )  # fmt: skip
    assert acme.tenant.policy_rules.count() == 2


@pytest.mark.parametrize("of_a_tenant", [True, False])
def test_a_roll_out_rule_is_not_stored_twice(of_a_tenant: bool, acme: cast.Company) -> None:
    values = {
        "tenant": acme.tenant if of_a_tenant else None,
        "gate": RolloutGate.RATES,
        "starts_at": BEGAN,
    }
    RolloutRule.objects.create(**values, mode=EnforcementMode.OBSERVE)
    with refused_by("plans_rolloutrule_once"):
        RolloutRule.objects.create(**values, mode=EnforcementMode.ENFORCE)


def test_a_promise_a_model_and_a_price_are_not_stored_twice(draft: Plan) -> None:
    with refused_by("plans_planfeature_plan_feature"):
        PlanFeature.objects.create(plan=draft, feature_id="PATENT_DRAFTING")
    with refused_by("plans_planllmaccess_plan_task"):
        PlanLLMAccess.objects.create(plan=draft, task_id="LLM2_DRAFT")
    with refused_by("plans_planllmaccessclass_access_model_class"):
        PlanLLMAccessClass.objects.create(access=draft.accesses.get(task="LLM2_DRAFT"), model_class_id="BASE_S")
    model = LLMModel.objects.get(model_id="gpt-4o")
    with refused_by("plans_llmmodel_provider_model_id"):
        LLMModel.objects.create(provider=model.provider, model_id="gpt-4o", model_class_id="BASE_S")
    price = model.prices.get(unit="INPUT", is_batch=False)
    with refused_by("plans_modelprice_once"):
        ModelPrice.objects.create(model=model, unit="INPUT", nano_usd_per_million=1, valid_from=price.valid_from)
    ModelPrice.objects.create(
        model=model, unit="INPUT", is_batch=True, nano_usd_per_million=1, valid_from=price.valid_from
    )


def test_two_classes_have_two_ranks(db: None) -> None:
    with refused_by("plans_modelclass_rank_key"):
        ModelClass.objects.filter(code="PRO_M").update(rank=40)
    assert ModelClass.objects.update(rank=F("rank") + 1000) == 5


@pytest.mark.parametrize("price", [-1, 10**12 + 1])
def test_a_price_is_within_bounds(price: int, db: None) -> None:
    with refused_by("plans_modelprice_price"):
        run("UPDATE plans_modelprice SET nano_usd_per_million = %s WHERE unit = 'INPUT'", price)
    with refused_by("plans_modelprice_price"):
        run("UPDATE plans_modelprice SET nano_usd_per_million = %s WHERE unit = 'WEB_SEARCH'", price * 1_000)
    with refused_by("plans_task_price_per_unit"):
        run("UPDATE plans_task SET price_per_unit_nano_usd = %s WHERE code = 'EMBED'", price)
