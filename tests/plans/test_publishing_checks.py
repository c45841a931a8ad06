"""What a draft says against itself is found and named: errors refuse its publication, warnings are shown."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plans import entitlements, promises, publishing
from plans.models import LLMModel, ModelPrice, Plan, PlanLLMAccess, PlanStatus, PolicyRule, RuleScope, Task
from plans.publishing import Kind, coverage, trial
from tests import cast
from tests.enforcement.rules import limit

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def rule(draft: Plan, key: str, value: int | None, **target: str) -> PolicyRule:
    """The draft's own rule for a key, in place of one it has."""
    draft.policy_rules.filter(key=key, **target).delete()
    return PolicyRule.objects.create(scope=RuleScope.PLAN, plan=draft, key=key, value=value, **target)


def promise(draft: Plan, feature: str, **values: object) -> int:
    return draft.features.filter(feature=feature).update(**values)


def access(draft: Plan, task: str) -> PlanLLMAccess:
    return draft.accesses.get(task=task)


def without_classes(draft: Plan) -> None:
    diagram = access(draft, "LLM3_DIAGRAM")
    draft.accesses.filter(pk=diagram.pk).update(default_class=None)
    diagram.classes.all().delete()


def budget(draft: Plan, nano_usd: int | None) -> int:
    return Plan.objects.filter(pk=draft.pk).update(monthly_budget_nano_usd=nano_usd)


Case = tuple[Callable[[Plan], object], Kind, str]
ERRORS: dict[str, Case] = {
    "a task whose feature is not promised": (
        lambda draft: draft.features.filter(feature="DIAGRAM_GENERATION").delete(),
        Kind.FEATURE_NOT_PROMISED,
        "LLM3_DIAGRAM: its feature DIAGRAM_GENERATION is not promised.",
    ),
    "a task whose feature is disabled": (
        lambda draft: promise(draft, "DIAGRAM_GENERATION", enabled=False),
        Kind.FEATURE_NOT_PROMISED,
        "LLM3_DIAGRAM: its feature DIAGRAM_GENERATION is disabled.",
    ),
    "a feature without a task": (
        lambda draft: draft.accesses.filter(task="LLM3_DIAGRAM").delete(),
        Kind.FEATURE_WITHOUT_TASK,
        "DIAGRAM_GENERATION is promised, but none of its tasks is in the plan (LLM3_DIAGRAM).",
    ),
    "an LLM task without a class": (
        without_classes,
        Kind.NO_CLASS,
        "LLM3_DIAGRAM calls a model, and no model class is allowed for it.",
    ),
    "a class without an active model": (
        lambda _: LLMModel.objects.filter(model_class="BASE_M").update(is_active=False),
        Kind.NO_ACTIVE_MODEL,
        "BASE_M has no active model; it is allowed for LLM1_PRIOR_ART, LLM2_DRAFT, ",
    ),
    "a class without a price": (
        lambda _: ModelPrice.objects.filter(model__model_class="BASE_M").delete(),
        Kind.PRICE_UNKNOWN,
        " has no price, and a budget applies to LLM1_PRIOR_ART, LLM2_DRAFT, ",
    ),
    "an API task without a price": (
        lambda _: Task.objects.filter(code="PATENT_OPEN").update(price_per_unit_nano_usd=None),
        Kind.PRICE_UNKNOWN,
        "PATENT_OPEN has no price, and a budget applies to it.",
    ),
    "a quota below the smallest hold": (
        lambda draft: promise(draft, "PATENT_DRAFTING", daily_quota=200),
        Kind.BELOW_SMALLEST_HOLD,
        "200 tokens a day of PATENT_DRAFTING: no call fits, the smallest holds 257 tokens (LLM2_DRAFT).",
    ),
    "a rate below the smallest hold": (
        lambda draft: rule(draft, "TOKENS_PER_MINUTE", 100),
        Kind.BELOW_SMALLEST_HOLD,
        "100 tokens a minute: no call fits, the smallest holds 257 tokens (LLM1_PRIOR_ART), ",
    ),
    "a budget below the smallest hold": (
        lambda draft: budget(draft, 1),
        Kind.BELOW_SMALLEST_HOLD,
        "USD 0.000000001 a month: no call fits, the smallest holds USD 0.0",
    ),
    "a daily quota above the monthly one": (
        lambda draft: promise(draft, "PRIOR_ART_SEARCH", daily_quota=1_001),
        Kind.DAY_ABOVE_MONTH,
        "1,001 API calls a day of PRIOR_ART_SEARCH can never be used up: the limit is 1,000 API calls a month",
    ),
    "a daily budget above the monthly one": (
        lambda draft: rule(draft, "DAILY_BUDGET", 51 * 10**9),
        Kind.DAY_ABOVE_MONTH,
        "USD 51.00 a day can never be used up: the limit is USD 50.00 a month.",
    ),
    "a user's quota above the tenant's": (
        lambda draft: rule(draft, "USER_DAILY_QUOTA", 101, feature_id="PRIOR_ART_SEARCH"),
        Kind.USER_ABOVE_TENANT,
        "101 API calls a day of PRIOR_ART_SEARCH for each user is more than all users have together: 100 API calls",
    ),
    "the fewest tokens out above the most": (
        lambda draft: rule(draft, "MIN_TOKENS_OUT", 2_001, task_id="LLM3_DIAGRAM"),
        Kind.MIN_ABOVE_MAX,
        "LLM3_DIAGRAM: MIN_TOKENS_OUT 2,001 is above MAX_TOKENS_OUT 2,000.",
    ),
}  # fmt: skip
WARNINGS: dict[str, Case] = {
    "nothing changes": (lambda _: None, Kind.NOTHING_CHANGES, "PRO r2 promises exactly what PRO r1 does."),
    "a zero too many": (
        lambda draft: promise(draft, "PATENT_DRAFTING", daily_quota=5_000_000),
        Kind.TEN_TIMES,
        "PATENT_DRAFTING.daily_quota: 500,000 tokens → 5,000,000 tokens: 10 times.",
    ),
    "nothing is promised": (
        lambda draft: draft.features.update(enabled=False),
        Kind.NOTHING_PROMISED,
        "no feature that is enabled",
    ),
    "a rule about what the plan has not": (
        lambda draft: rule(draft, "MAX_TOKENS_IN", 5, task_id="EMBED"),
        Kind.RULE_WITHOUT_EFFECT,
        "MAX_TOKENS_IN@EMBED: EMBED is not in the plan.",
    ),
    "no default and no fallback": (
        lambda draft: (
            draft.accesses.filter(task="LLM3_DIAGRAM").update(default_class=None),
            access(draft, "LLM3_DIAGRAM").classes.filter(model_class="BASE_S").delete(),
        ),
        Kind.NO_DEFAULT,
        "LLM3_DIAGRAM has no default class, and the fallback is not among the allowed (BASE_M, PRO_M, PRO_L)",
    ),
    "a cheaper class that is dearer": (
        lambda _: ModelPrice.objects.filter(model__model_class="BASE_S").update(nano_usd_per_million=10**12),
        Kind.DOWNGRADE_DEARER,
        "BASE_S ranks below BASE_M, PRO_M, PRO_L but costs more for some calls",
    ),
    "nothing to degrade to": (
        lambda draft: (rule(draft, "DEGRADE_AT_PERCENT", 80), draft.accesses.update(allow_downgrade=False)),
        Kind.NOTHING_TO_DEGRADE_TO,
        "DEGRADE_AT_PERCENT: no cheaper class may be given for LLM1_PRIOR_ART, LLM2_DRAFT, ",
    ),
    "unlimited tokens": (
        lambda draft: rule(draft, "MAX_TOKENS_OUT", None, task_id="LLM3_DIAGRAM"),
        Kind.TOKENS_UNBOUNDED,
        "LLM3_DIAGRAM: MAX_TOKENS_OUT unlimited, so a call that estimates nothing is refused.",
    ),
    "a quota below the hold of a call that estimates nothing": (
        lambda draft: promise(draft, "PATENT_DRAFTING", daily_quota=39_999),
        Kind.BELOW_FULL_HOLD,
        "39,999 tokens a day of PATENT_DRAFTING: a call that estimates nothing holds 40,000 tokens (LLM2_DRAFT)",
    ),
    "a month that cannot be reached": (
        lambda draft: promise(draft, "PRIOR_ART_SEARCH", daily_quota=32),
        Kind.MONTH_OUT_OF_REACH,
        "1,000 API calls a month of PRIOR_ART_SEARCH cannot be reached with 32 API calls a day",
    ),
    "overage without a budget": (
        lambda draft: (budget(draft, None), promise(draft, "PATENT_DRAFTING", overage="ALLOW")),
        Kind.OVERAGE_UNBOUNDED,
        "PATENT_DRAFTING is allowed beyond its quotas, and no budget bounds what that costs.",
    ),
}  # fmt: skip


def found(draft: Plan) -> dict[Kind, publishing.Contradiction]:
    return {each.kind: each for each in publishing.contradictions(Plan.objects.get(pk=draft.pk), now=NOW)}


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["FREE", "PRO", "ENTERPRISE"])
def test_the_seeded_plans_do_not_contradict_themselves(code: str) -> None:
    kinds = {each.kind for each in publishing.contradictions(publishing.draft(code), now=NOW)}
    assert kinds - {Kind.DOWNGRADE_DEARER} == {Kind.NOTHING_CHANGES}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_is_named_and_refuses_the_publication(case: str, draft: Plan) -> None:
    edit, kind, words = ERRORS[case]
    edit(draft)
    named = found(draft)
    assert {each.kind for each in named.values() if each.is_error} == {kind}
    assert words in named[kind].text
    with pytest.raises(publishing.Contradicted) as refused:
        publishing.publish(draft, now=NOW)
    assert words in str(refused.value)
    draft.refresh_from_db()
    assert draft.status == PlanStatus.DRAFT


@pytest.mark.parametrize("case", WARNINGS)
def test_what_is_most_likely_not_meant_is_shown_and_refuses_nothing(case: str, draft: Plan) -> None:
    edit, kind, words = WARNINGS[case]
    edit(draft)
    named = found(draft)
    assert words in named[kind].text
    assert not named[kind].is_error
    if not any(each.is_error for each in named.values()):
        assert publishing.publish(draft, now=NOW).plan.status == PlanStatus.ACTIVE


def test_zero_is_meant(draft: Plan) -> None:
    """Defect 41: an explicit 0 is nobody's mistake."""
    promise(draft, "PATENT_DRAFTING", daily_quota=0, monthly_quota=0, daily_token_limit=0)
    promise(draft, "DIAGRAM_GENERATION", monthly_quota=0)
    budget(draft, 0)
    for key in ("CONCURRENCY_LIMIT", "TOKENS_PER_MINUTE", "DAILY_BUDGET", "MAX_TOKENS_OUT"):
        rule(draft, key, 0)
    assert not any(each.is_error for each in found(draft).values())


def test_an_unknown_price_matters_under_a_money_limit_alone(draft: Plan) -> None:
    """Defect 39."""
    ModelPrice.objects.filter(model__model_class="BASE_M").delete()
    assert Kind.PRICE_UNKNOWN in found(draft)
    budget(draft, None)
    assert Kind.PRICE_UNKNOWN not in found(draft)
    rule(draft, "DAILY_BUDGET", 10**9, task_id="LLM2_DRAFT")
    assert "a budget applies to LLM2_DRAFT." in found(draft)[Kind.PRICE_UNKNOWN].text


def test_an_allowed_overage_frees_the_quotas_from_the_smallest_hold(draft: Plan) -> None:
    promise(draft, "PATENT_DRAFTING", daily_quota=200)
    assert Kind.BELOW_SMALLEST_HOLD in found(draft)
    promise(draft, "PATENT_DRAFTING", overage="ALLOW")
    assert Kind.BELOW_SMALLEST_HOLD not in found(draft)


def test_a_most_that_is_smaller_than_everybodys_fewest_is_meant(draft: Plan) -> None:
    rule(draft, "MAX_TOKENS_OUT", 100, task_id="LLM3_DIAGRAM")
    assert not any(each.is_error for each in found(draft).values())


def test_a_default_that_is_not_allowed_is_named(draft: Plan) -> None:
    """The database stores none such; a set of edited promises may say it."""
    catalogue = entitlements.catalogue()
    promised = promises.of(draft)
    tasks = {each.task: each for each in promised.tasks}
    tasks["LLM2_DRAFT"] = tasks["LLM2_DRAFT"]._replace(default_class="ADVANCED")
    terms = trial.plan_terms(draft, replace(promised, tasks=frozenset(tasks.values())), catalogue)
    named = {each.kind: each for each in coverage.check(trial.entitled(catalogue, terms, NOW), terms)}
    assert named[Kind.DEFAULT_NOT_ALLOWED].is_error
    assert "LLM2_DRAFT: the default class ADVANCED is not among the allowed" in named[Kind.DEFAULT_NOT_ALLOWED].text


def test_a_draft_of_a_revision_that_is_not_active_any_more_is_outdated(draft: Plan) -> None:
    other = publishing.draft("PRO")
    assert Kind.OUTDATED not in found(draft)
    publishing.publish(other, now=NOW)
    assert "PRO r2 is based on PRO r1, but PRO r3 is the active one." in found(draft)[Kind.OUTDATED].text
    with pytest.raises(publishing.Contradicted, match="Make a new draft of PRO"):
        publishing.publish(draft, now=NOW)


# --- tenants -------------------------------------------------------------------
def test_a_rule_for_a_user_of_another_tenant_refuses_the_publication(
    acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    own = limit(acme.tenant, "MAX_TOKENS_OUT", 5, user_key=str(acme.owner.user.pk))
    limit(acme.tenant, "MAX_TOKENS_OUT", 5, user_key="u-17")
    limit(rival.tenant, "MAX_TOKENS_OUT", 5, user_key=str(rival.owner.user.pk))
    assert Kind.FOREIGN_USER not in found(draft)
    PolicyRule.objects.filter(pk=own.pk).update(user_key=str(rival.owner.user.pk))
    named = found(draft)[Kind.FOREIGN_USER]
    assert named.text == (
        f"ACME: its rule MAX_TOKENS_OUT is for the user {rival.owner.user.pk}, who is one of RIVAL's people."
    )
    with pytest.raises(publishing.Contradicted, match="one of RIVAL's people"):
        publishing.publish(draft, now=NOW, unsimulated=True)
    PolicyRule.objects.filter(pk=own.pk).update(ends_at=NOW)
    assert Kind.FOREIGN_USER not in found(draft)


def test_exceptions_of_tenants_on_other_plans_do_not_matter(
    acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    other = cast.make_tenant("INITECH", "FREE")
    limit(other.tenant, "MAX_TOKENS_OUT", 5, user_key=str(rival.owner.user.pk))
    assert Kind.FOREIGN_USER not in found(draft)


def test_an_exception_about_what_the_draft_has_no_more_is_shown(acme: cast.Company, draft: Plan) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 50, feature_id="DIAGRAM_GENERATION")
    limit(acme.tenant, "MAX_TOKENS_OUT", 50, task_id="LLM3_DIAGRAM")
    assert Kind.EXCEPTION_WITHOUT_EFFECT not in found(draft)
    draft.accesses.filter(task="LLM3_DIAGRAM").delete()
    draft.features.filter(feature="DIAGRAM_GENERATION").delete()
    shown = [each for each in publishing.contradictions(draft, now=NOW) if each.kind == Kind.EXCEPTION_WITHOUT_EFFECT]
    assert [each.text.split(" has")[0] for each in shown] == [
        "ACME: its rule DAILY_QUOTA@DIAGRAM_GENERATION",
        "ACME: its rule MAX_TOKENS_OUT@LLM3_DIAGRAM",
    ]
    assert not any(each.is_error for each in shown)


def test_an_exception_in_the_way_of_the_drafts_numbers_is_shown(acme: cast.Company, draft: Plan) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 900, feature_id="PRIOR_ART_SEARCH")
    assert Kind.DAY_ABOVE_MONTH not in found(draft)
    promise(draft, "PRIOR_ART_SEARCH", monthly_quota=800)
    named = found(draft)[Kind.DAY_ABOVE_MONTH]
    assert named.text.startswith("ACME: by its own exceptions 900 API calls a day of PRIOR_ART_SEARCH can never be")
    assert not named.is_error


def test_more_people_than_seats_are_shown(acme: cast.Company, rival: cast.Company, draft: Plan) -> None:
    Plan.objects.filter(pk=draft.pk).update(max_seats=3)
    assert Kind.SEATS_TAKEN not in found(draft)
    Plan.objects.filter(pk=draft.pk).update(max_seats=2)
    assert found(draft)[Kind.SEATS_TAKEN].text == "max_seats 2: more people are in ACME (3), RIVAL (3)."


def test_a_check_asks_the_same_number_of_questions_for_more_tenants(acme: cast.Company, draft: Plan) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 50, feature_id="DIAGRAM_GENERATION")
    found(draft)
    with CaptureQueriesContext(connection) as few:
        found(draft)
    for number in range(3):
        more = cast.make_tenant(f"MORE{number}", people=0)
        limit(more.tenant, "DAILY_QUOTA", 50, feature_id="DIAGRAM_GENERATION")
    with CaptureQueriesContext(connection) as many:
        found(draft)
    assert len(many) == len(few)
