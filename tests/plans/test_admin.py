"""The console's pages of the catalogue: vocabulary, plans, policy rules and prices."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Model
from django.test import Client

from plans.models import (
    Feature,
    FeatureCode,
    LLMModel,
    ModelClass,
    ModelPrice,
    Overage,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanLLMAccessClass,
    PlanStatus,
    PolicyRule,
    PriceUnit,
    Provider,
    RolloutGate,
    RolloutRule,
    RuleKey,
    RuleScope,
    Task,
    TaskCode,
    TaskKind,
    Unit,
)
from tenants.models import EnforcementMode
from tests import cast, console
from tests.plans.conftest import World


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def _more_rows() -> None:
    now = datetime.now(UTC)
    for n in range(3):
        feature = Feature.objects.create(code=f"MORE{n}", name="More", unit=Unit.REQUESTS)
        task = Task.objects.create(code=f"MORE_CALL{n}", name="More", feature=feature, kind=TaskKind.LLM)
        model_class = ModelClass.objects.create(code=f"MORE{n}", name="More", rank=100 + n)
        plan = Plan.objects.create(code=f"MORE{n}", name="More")
        PlanFeature.objects.create(plan=plan, feature=feature)
        access = PlanLLMAccess.objects.create(plan=plan, task=task)
        PlanLLMAccessClass.objects.create(access=access, model_class=model_class)
        tenant = cast.make_tenant(f"MORE{n}", "FREE", people=0).tenant
        PolicyRule.objects.create(scope=RuleScope.PLAN, plan=plan, key=RuleKey.MAX_TOKENS_IN, value=1)
        PolicyRule.objects.create(
            scope=RuleScope.TENANT, tenant=tenant, task=task, key=RuleKey.MAX_TOKENS_IN, value=1, reason="more"
        )
        RolloutRule.objects.create(tenant=tenant, gate=RolloutGate.ALL, mode=EnforcementMode.OBSERVE, starts_at=now)
        provider = Provider.objects.create(code=f"MORE{n}", name="More")
        model = LLMModel.objects.create(provider=provider, model_id=f"more-{n}", model_class=model_class)
        ModelPrice.objects.create(model=model, unit=PriceUnit.INPUT, nano_usd_per_million=1, valid_from=now)


MODELS = console.models_of("plans")


def test_all_models_of_plans_have_pages() -> None:
    assert set(MODELS) == set(apps.get_app_config("plans").get_models())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_page_opens(model: type[Model], world: World) -> None:
    console.assert_every_page_opens(model)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_list_asks_no_question_per_row(model: type[Model], world: World) -> None:
    console.assert_list_costs_the_same_with_more_rows(model, _more_rows)


def test_allowed_classes_are_listed_and_ticked_elsewhere(world: World) -> None:
    console.assert_read_only(PlanLLMAccessClass)


# --- vocabulary ----------------------------------------------------------------
def test_a_feature_is_made_and_its_meaning_stays(browser: Client) -> None:
    sent = {
        "code": "SUMMARIES",
        "name": "Summaries",
        "unit": "TOKENS",
        "enforcement_mode": "ENFORCE",
        "on_failure": "OPEN",
    }
    console.post(browser, console.address(Feature, "add"), sent)
    changed = sent | {"code": "OTHER", "name": "Abstracts", "unit": "ITEMS"}
    console.post(browser, console.address(Feature, "change", "SUMMARIES"), changed)
    feature = Feature.objects.get(code="SUMMARIES")
    assert (feature.name, feature.unit) == ("Abstracts", Unit.TOKENS)
    answer = browser.post(console.address(Feature, "add"), sent | {"code": "lower case"})
    assert "Upper-case letters" in console.text_of(answer)


def test_a_task_keeps_its_feature_and_kind_and_is_priced_in_usd(browser: Client) -> None:
    address = console.address(Task, "change", TaskCode.PATENT_OPEN)
    sent = {"name": "Open", "price_per_unit_nano_usd": "0.0025", "feature": FeatureCode.RERANK, "kind": "LLM"}
    console.post(browser, address, sent)
    task = Task.objects.get(code=TaskCode.PATENT_OPEN)
    assert (task.feature_id, task.kind) == (FeatureCode.PRIOR_ART_SEARCH, TaskKind.API)
    assert task.price_per_unit_nano_usd == 2_500_000
    assert 'value="0.0025"' in browser.get(address).content.decode()
    console.post(browser, address, sent | {"price_per_unit_nano_usd": ""})
    task.refresh_from_db()
    assert task.price_per_unit_nano_usd is None


@pytest.mark.parametrize(
    ("task", "price", "words"),
    [
        (TaskCode.PATENT_OPEN, "-1", "Between USD 0 and"),
        (TaskCode.PATENT_OPEN, "1001", "Only an API task has a price of its own, USD 1,000 a unit at most."),
        (TaskCode.PATENT_OPEN, "0.0000000001", "at most nine decimals"),
        (TaskCode.PATENT_OPEN, "NaN", "An amount in USD"),
        (TaskCode.LLM2_DRAFT, "1", "Only an API task has a price of its own, USD 1,000 a unit at most."),
    ],
)
def test_a_price_that_cannot_be_is_said_in_usd(browser: Client, task: str, price: str, words: str) -> None:
    before = Task.objects.get(code=task).price_per_unit_nano_usd
    answer = browser.post(console.address(Task, "change", task), {"name": "T", "price_per_unit_nano_usd": price})
    assert answer.status_code == HTTPStatus.OK
    assert words in console.text_of(answer)
    assert Task.objects.get(code=task).price_per_unit_nano_usd == before


@pytest.mark.parametrize(("model", "code"), [(Feature, "RERANK"), (Task, "EMBED"), (ModelClass, "PRO_M")])
def test_a_code_that_programs_name_cannot_be_deleted(browser: Client, model: type[Model], code: str) -> None:
    answer = browser.post(console.address(model, "delete", code), {"post": "yes"})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert model._default_manager.filter(pk=code).exists()


def test_another_class_becomes_the_fallback_in_one_step(browser: Client) -> None:
    address = console.address(ModelClass, "make_fallback", "BASE_M")
    assert "Make BASE_M the fallback" in console.text_of(browser.get(address))
    assert ModelClass.objects.get(is_fallback=True).code == "BASE_S"
    console.post(browser, address, {"confirmed": "yes"})
    assert ModelClass.objects.get(is_fallback=True).code == "BASE_M"


# --- plans ---------------------------------------------------------------------
def test_a_new_plan_is_a_draft_with_its_promises(browser: Client) -> None:
    sent = {
        "code": "TEAM", "name": "Team", "max_seats": 5, "monthly_budget_nano_usd": "12.50",
        "features-TOTAL_FORMS": 1, "features-INITIAL_FORMS": 0, "features-0-feature": "PATENT_DRAFTING",
        "features-0-enabled": "on", "features-0-daily_quota": 0, "features-0-monthly_quota": "",
        "features-0-overage": "ALLOW",
        "accesses-TOTAL_FORMS": 2, "accesses-INITIAL_FORMS": 0, "accesses-0-task": "LLM2_DRAFT",
        "accesses-0-model_classes": ["BASE_S", "PRO_M"], "accesses-0-default_class": "PRO_M",
        "accesses-0-allow_downgrade": "on", "accesses-1-task": "EMBED",
        "policy_rules-TOTAL_FORMS": 2, "policy_rules-INITIAL_FORMS": 0, "policy_rules-0-key": "MAX_TOKENS_OUT",
        "policy_rules-0-value": "4,000", "policy_rules-1-key": "DAILY_BUDGET", "policy_rules-1-value": "2.5",
    }  # fmt: skip
    answer = console.post(browser, console.address(Plan, "add"), sent)
    plan = Plan.objects.get(code="TEAM")
    assert (plan.status, plan.max_seats, plan.monthly_budget_nano_usd) == (PlanStatus.DRAFT, 5, 12_500_000_000)
    promise = plan.features.get()
    assert (promise.daily_quota, promise.monthly_quota, promise.overage) == (0, None, Overage.ALLOW)
    draft = plan.accesses.get(task="LLM2_DRAFT")
    assert {row.model_class_id for row in draft.classes.all()} == {"BASE_S", "PRO_M"}
    assert draft.default_class_id == "PRO_M"
    assert not plan.accesses.get(task="EMBED").classes.exists()
    values = {rule.key: rule.value for rule in plan.policy_rules.filter(scope=RuleScope.PLAN)}
    assert values == {RuleKey.MAX_TOKENS_OUT: 4_000, RuleKey.DAILY_BUDGET: 2_500_000_000}
    assert "was added successfully" in console.text_of(answer)


def test_a_draft_is_edited_and_saved_unchanged_without_changing_anything(browser: Client, draft: Plan) -> None:
    address = console.address(Plan, "change", draft.pk)
    sent = console.form_of(browser.get(address))
    before = _promises_of(draft)
    console.post(browser, address, sent)
    assert _promises_of(draft) == before
    row = next(n for n in range(20) if sent[f"accesses-{n}-task"] == "LLM2_DRAFT")
    sent |= {f"accesses-{row}-model_classes": ["BASE_M"], f"accesses-{row}-default_class": "BASE_M"}
    console.post(browser, address, sent)
    access = draft.accesses.get(task="LLM2_DRAFT")
    assert [allowed.model_class_id for allowed in access.classes.all()] == ["BASE_M"]


def _promises_of(plan: Plan) -> Any:
    return [
        sorted(map(str, rows))
        for rows in (
            plan.features.values_list("feature", "daily_quota", "monthly_quota", "overage", "enabled"),
            plan.accesses.values_list("task", "default_class", "allow_downgrade", "classes__model_class"),
            plan.policy_rules.values_list("scope", "key", "value", "task", "feature"),
        )
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"accesses-{llm}-model_classes": []}, "allow at least one class"),
        (
            {"accesses-{llm}-model_classes": ["BASE_S"], "accesses-{llm}-default_class": "PRO_L"},
            "must be one of the allowed",
        ),
        ({"accesses-{api}-model_classes": ["BASE_S"]}, "is an API task, which has no model classes"),
        ({"features-0-daily_quota": "-1"}, "greater than or equal to 0"),
        ({"features-0-daily_quota": str(2 * 10**18)}, "A whole number up to 10¹⁸"),
        ({"features-1-feature": "{first}"}, "The plan has this feature already."),
        ({"policy_rules-0-key": "DAILY_QUOTA", "policy_rules-0-task": ""}, "name the task or the feature"),
        ({"policy_rules-0-value": "many"}, "Enter a whole number"),
        ({"policy_rules-0-key": "HOLD_PERCENTILE", "policy_rules-0-value": "101"}, "A percentile, 1 to 100."),
        ({"monthly_budget_nano_usd": "much"}, "An amount in USD"),
        ({"code": "lower"}, "Upper-case letters"),
        ({"code": "FREE", "name": ""}, "required"),
    ],
)
def test_what_a_draft_cannot_promise_is_said_in_words(
    browser: Client, draft: Plan, changed: dict[str, object], words: str
) -> None:
    address = console.address(Plan, "change", draft.pk)
    sent = console.form_of(browser.get(address))
    rows = {sent[f"accesses-{n}-task"]: n for n in range(int(sent["accesses-TOTAL_FORMS"]))}
    named = {"llm": rows["LLM2_DRAFT"], "api": rows["PATENT_OPEN"], "first": sent["features-0-feature"]}
    sent |= {
        key.format(**named): value.format(**named) if isinstance(value, str) else value
        for key, value in changed.items()
    }
    before = _promises_of(draft)
    answer = browser.post(address, sent)
    assert answer.status_code == HTTPStatus.OK
    assert words in console.text_of(answer)
    assert _promises_of(draft) == before


def test_a_live_plan_is_shown_and_says_why_it_cannot_change(browser: Client) -> None:
    plan = cast.plan("PRO")
    page = browser.get(console.address(Plan, "change", plan.pk))
    text = console.text_of(page)
    assert "PRO r1 is active: what it promises cannot change" in text
    assert "50.00" in text  # the budget in USD
    assert "500,000" in text
    assert "unlimited" in text
    assert 'type="submit"' not in page.content.decode().split("plan_form", 1)[-1].split("</form>")[0]
    assert browser.post(console.address(Plan, "change", plan.pk), {"name": "x"}).status_code == HTTPStatus.FORBIDDEN
    assert browser.post(console.address(Plan, "delete", plan.pk), {"post": "yes"}).status_code == HTTPStatus.FORBIDDEN
    feature = plan.features.first()
    assert feature is not None
    alone = browser.get(console.address(PlanFeature, "change", feature.pk))
    assert "Only a draft can be edited." in console.text_of(alone)


def test_a_plan_published_while_its_form_was_open_refuses_in_words(
    browser: Client, draft: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database alone sees it: the form was checked while the plan was a draft."""
    row = draft.features.first()
    assert row is not None
    address = console.address(PlanFeature, "change", row.pk)
    sent = console.form_of(browser.get(address)) | {"daily_quota": 5}
    save = PlanFeature.save

    def published_meanwhile(self: PlanFeature, **options: Any) -> None:
        Plan.objects.filter(code="PRO", status=PlanStatus.ACTIVE).update(status=PlanStatus.DEPRECATED)
        Plan.objects.filter(pk=draft.pk).update(status=PlanStatus.ACTIVE)
        save(self, **options)

    monkeypatch.setattr(PlanFeature, "save", published_meanwhile)
    answer = browser.post(address, sent)
    assert answer.status_code == HTTPStatus.OK
    assert "This plan is not a draft" in console.text_of(answer)
    row.refresh_from_db()
    assert row.daily_quota != 5


def test_a_draft_can_be_deleted_with_all_it_promises(browser: Client, draft: Plan) -> None:
    address = console.address(Plan, "delete", draft.pk)
    assert "Are you sure" in console.text_of(browser.get(address))
    console.post(browser, address, {"post": "yes"})
    assert not Plan.objects.filter(pk=draft.pk).exists()
    assert not PlanFeature.objects.filter(plan=draft.pk).exists()


def test_the_page_of_a_plan_costs_the_same_with_more_promises(
    browser: Client, draft: Plan, django_assert_max_num_queries: Any
) -> None:
    for plan in (draft, cast.plan("ENTERPRISE")):
        with django_assert_max_num_queries(30):
            browser.get(console.address(Plan, "change", plan.pk))


# --- policy rules --------------------------------------------------------------
def _rule(**other: object) -> dict[str, object]:
    return {
        "scope": "TENANT", "plan": "", "tenant": "", "user_key": "", "key": "MAX_TOKENS_OUT", "value": "9000",
        "feature": "", "task": "", "reason": "Long claims", "ends_at_0": "", "ends_at_1": "", **other,
    }  # fmt: skip


def test_an_exception_for_a_tenant_is_made_and_only_its_number_changes_later(
    browser: Client, acme: cast.Company
) -> None:
    console.post(browser, console.address(PolicyRule, "add"), _rule(tenant=acme.tenant.pk))
    rule = PolicyRule.objects.get(tenant=acme.tenant)
    assert (rule.scope, rule.value, rule.set_by_tenant) == (RuleScope.TENANT, 9_000, False)
    changed = {"value": "", "reason": "No limit", "key": "MAX_TOKENS_IN", "scope": "GLOBAL", "tenant": ""}
    console.post(browser, console.address(PolicyRule, "change", rule.pk), changed)
    rule.refresh_from_db()
    assert (rule.scope, rule.key, rule.tenant) == (RuleScope.TENANT, RuleKey.MAX_TOKENS_OUT, acme.tenant)
    assert (rule.value, rule.reason) == (None, "No limit")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tenant": ""}, "a tenant's the tenant"),
        ({"scope": "GLOBAL"}, "Everybody names nobody"),
        ({"reason": ""}, "needs a reason"),
        ({"key": "DAILY_QUOTA"}, "name the task or the feature"),
        ({"task": "LLM2_DRAFT", "feature": "PATENT_DRAFTING"}, "A task or a feature, not both."),
        ({"scope": "USER", "user_key": "u-1", "key": "MONTHLY_BUDGET"}, "One user can have caps and quotas"),
        ({"scope": "USER"}, "the user key"),
        ({"value": "-1"}, "greater than or equal to 0"),
        ({"key": "RESERVATION_TTL_SECONDS", "value": "0"}, "A number from 1 to 86,400."),
        ({"key": "DEGRADE_AT_PERCENT", "value": "101"}, "A percentage, 0 to 100"),
        ({"ends_at_0": "2001-01-01", "ends_at_1": "00:00"}, "This end has passed already."),
    ],
)
def test_what_a_rule_cannot_be_is_said_in_words(
    browser: Client, acme: cast.Company, changed: dict[str, object], words: str
) -> None:
    before = PolicyRule.objects.count()
    answer = browser.post(console.address(PolicyRule, "add"), _rule(**{"tenant": acme.tenant.pk} | changed))
    assert answer.status_code == HTTPStatus.OK
    assert words in console.text_of(answer)
    assert PolicyRule.objects.count() == before


def test_the_same_rule_twice_is_refused(browser: Client, acme: cast.Company) -> None:
    for _ in range(2):
        answer = console.post(browser, console.address(PolicyRule, "add"), _rule(tenant=acme.tenant.pk))
    assert "There is a rule about exactly this already" in console.text_of(answer)


def test_a_budget_rule_is_entered_and_shown_in_usd(browser: Client, acme: cast.Company) -> None:
    sent = _rule(tenant=acme.tenant.pk, key="MONTHLY_BUDGET", value="1,250.5")
    console.post(browser, console.address(PolicyRule, "add"), sent)
    rule = PolicyRule.objects.get(tenant=acme.tenant)
    assert rule.value == 1_250_500_000_000
    address = console.address(PolicyRule, "change", rule.pk)
    assert 'value="1250.50"' in browser.get(address).content.decode()
    assert "USD 1,250.50" in console.text_of(
        browser.get(console.address(PolicyRule, "changelist"), {"scope": "TENANT"})
    )


def test_defaults_for_everybody_can_be_changed_not_deleted(browser: Client) -> None:
    rule = PolicyRule.objects.get(scope=RuleScope.GLOBAL, key=RuleKey.MAX_TOKENS_OUT, task=None, feature=None)
    refused = browser.post(console.address(PolicyRule, "delete", rule.pk), {"post": "yes"})
    assert refused.status_code == HTTPStatus.FORBIDDEN
    ticked = {"action": "delete_selected", "_selected_action": [str(rule.pk)], "post": "yes"}
    browser.post(console.address(PolicyRule, "changelist"), ticked)
    assert PolicyRule.objects.filter(pk=rule.pk).exists()
    console.post(browser, console.address(PolicyRule, "change", rule.pk), {"value": "3000", "reason": ""})
    rule.refresh_from_db()
    assert rule.value == 3_000


def test_a_rule_of_a_live_plan_says_why_it_cannot_change(browser: Client) -> None:
    rule = cast.plan("PRO").policy_rules.first()
    assert rule is not None
    page = browser.get(console.address(PolicyRule, "change", rule.pk))
    assert "Only a draft can be edited." in console.text_of(page)


def test_exceptions_that_are_over_are_told_from_those_that_bind(browser: Client, world: World) -> None:
    world.user_rule.ends_at = datetime.now(UTC) - timedelta(days=1)
    world.user_rule.save(update_fields=["ends_at"])
    listed = console.address(PolicyRule, "changelist")
    assert list(browser.get(listed, {"end": "over"}).context["cl"].result_list) == [world.user_rule]
    assert world.user_rule not in browser.get(listed, {"end": "binding", "scope": "USER"}).context["cl"].result_list


def test_one_gate_cannot_be_off(browser: Client) -> None:
    sent = {
        "tenant": "", "gate": "DAILY_QUOTA", "mode": "OFF", "reason": "", "starts_at_0": "2030-01-01",
        "starts_at_1": "00:00",
    }  # fmt: skip
    answer = browser.post(console.address(RolloutRule, "add"), sent)
    assert "only all of them can be off" in console.text_of(answer)
    console.post(browser, console.address(RolloutRule, "add"), sent | {"mode": "OBSERVE"})
    assert RolloutRule.objects.get().starts_at == datetime(2030, 1, 1, tzinfo=UTC)


# --- prices --------------------------------------------------------------------
def test_a_price_is_entered_in_usd_per_million(browser: Client) -> None:
    model = LLMModel.objects.all()[0]
    sent = {
        "model": model.pk, "unit": "OUTPUT", "above_input_tokens": 0, "nano_usd_per_million": "0.075",
        "valid_from_0": "2030-01-01", "valid_from_1": "00:00",
    }  # fmt: skip
    console.post(browser, console.address(ModelPrice, "add"), sent)
    price = ModelPrice.objects.get(model=model, valid_from=datetime(2030, 1, 1, tzinfo=UTC))
    assert price.nano_usd_per_million == 75_000_000
    again = browser.post(console.address(ModelPrice, "add"), sent)
    assert "There is a price with exactly this start already." in console.text_of(again)
    dear = browser.post(console.address(ModelPrice, "add"), sent | {"nano_usd_per_million": "1000.01"})
    assert "Up to USD 1,000 per million tokens." in console.text_of(dear)
    for unit, usd in (("CALL", "12000"), ("WEB_SEARCH", "10000")):
        console.post(browser, console.address(ModelPrice, "add"), sent | {"unit": unit, "nano_usd_per_million": usd})
    assert (
        ModelPrice.objects.filter(model=model, nano_usd_per_million__gt=10**12, valid_from=price.valid_from).count()
        == 2
    )


def test_a_models_page_shows_its_prices_in_usd_and_saves_unchanged(browser: Client) -> None:
    model = LLMModel.objects.all()[0]
    address = console.address(LLMModel, "change", model.pk)
    before = sorted(model.prices.values_list("unit", "nano_usd_per_million", "valid_from"))
    console.post(browser, address, console.form_of(browser.get(address)))
    assert sorted(model.prices.values_list("unit", "nano_usd_per_million", "valid_from")) == before


def test_a_class_with_models_cannot_be_deleted_and_the_page_says_so(browser: Client) -> None:
    _more_rows()
    answer = console.post(browser, console.address(ModelClass, "delete", "MORE0"), {"post": "yes"})
    assert "protected related objects" in console.text_of(answer)
