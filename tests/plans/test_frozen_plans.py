"""Once a plan is live its promises stand: whoever changes one makes another revision."""

import threading
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from plans import promises
from plans.models import (
    FeatureCode,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanLLMAccessClass,
    PlanStatus,
    PolicyRule,
    RuleKey,
    RuleScope,
)
from tests import cast
from tests.database import refused_by, run
from tests.parallel import at_once

FROZEN = "plans_plan_frozen"


def access(plan: Plan) -> PlanLLMAccess:
    return plan.accesses.get(task="LLM3_DIAGRAM")


CHANGES: dict[str, Callable[[Plan], object]] = {
    "quota": lambda plan: plan.features.update(monthly_quota=0),
    "feature off": lambda plan: plan.features.filter(feature="PRIOR_ART_SEARCH").update(enabled=False),
    "feature added": lambda plan: PlanFeature.objects.create(plan=plan, feature_id=FeatureCode.RERANK),
    "feature removed": lambda plan: plan.features.all().delete(),
    "default": lambda plan: plan.accesses.filter(task="LLM3_DIAGRAM").update(default_class="BASE_S"),
    "downgrade": lambda plan: plan.accesses.update(allow_downgrade=False),
    "task added": lambda plan: PlanLLMAccess.objects.create(plan=plan, task_id="EMBED"),
    "task removed": lambda plan: plan.accesses.filter(task="PATENT_OPEN").delete(),
    "class added": lambda plan: PlanLLMAccessClass.objects.create(access=access(plan), model_class_id="ADVANCED"),
    "class removed": lambda plan: access(plan).classes.filter(model_class="BASE_S").delete(),
    "cap": lambda plan: plan.policy_rules.filter(key=RuleKey.MAX_TOKENS_IN).update(value=1),
    "rule added": lambda plan: PolicyRule.objects.create(
        scope=RuleScope.PLAN, plan=plan, key=RuleKey.REQUESTS_PER_MINUTE, value=1
    ),
    "rule removed": lambda plan: plan.policy_rules.filter(key=RuleKey.CONCURRENCY_LIMIT).delete(),
    "rule raised to everybody": lambda plan: plan.policy_rules.filter(key=RuleKey.AGENT_MAX_STEPS).update(
        scope=RuleScope.GLOBAL, plan=None, task="EMBED"
    ),
    "seats": lambda plan: Plan.objects.filter(pk=plan.pk).update(max_seats=1),
    "budget": lambda plan: Plan.objects.filter(pk=plan.pk).update(monthly_budget_nano_usd=None),
    "plain SQL": lambda plan: run("UPDATE plans_planfeature SET daily_quota = 1 WHERE plan_id = %s", plan.pk),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_draft_can_be_changed(change: str, draft: Plan) -> None:
    before = promises.of(draft)
    CHANGES[change](draft)
    assert promises.of(Plan.objects.get(pk=draft.pk)) != before


@pytest.mark.parametrize("status", [PlanStatus.ACTIVE, PlanStatus.DEPRECATED])
@pytest.mark.parametrize("change", CHANGES)
def test_a_live_plan_cannot_be_changed(change: str, status: PlanStatus, draft: Plan) -> None:
    """Defect 33: plans edited in place, neither atomically nor with a version."""
    Plan.objects.filter(code="PRO", status=PlanStatus.ACTIVE).update(status=PlanStatus.DEPRECATED)
    Plan.objects.filter(pk=draft.pk).update(status=status)
    before = promises.of(draft)
    with refused_by(FROZEN):
        CHANGES[change](draft)
    assert promises.of(Plan.objects.get(pk=draft.pk)) == before


def test_a_promise_cannot_be_moved_into_or_out_of_a_live_plan(draft: Plan) -> None:
    live = cast.plan("FREE")
    with refused_by(FROZEN):
        live.features.filter(feature="PATENT_DRAFTING").update(plan=draft)
    with refused_by(FROZEN):
        draft.features.filter(feature="DIAGRAM_GENERATION").update(plan=live)
    with refused_by(FROZEN):
        access(draft).classes.update(access=live.accesses.get(task="LLM2_DRAFT"))


@pytest.mark.django_db
def test_a_live_plan_cannot_become_a_draft_again() -> None:
    with refused_by(FROZEN):
        run("UPDATE plans_plan SET status = 'DRAFT' WHERE code = 'FREE'")


@pytest.mark.django_db
def test_a_live_plan_can_be_renamed_and_retired() -> None:
    assert run("UPDATE plans_plan SET name = 'Starter' WHERE code = 'FREE'") == 1
    assert run("UPDATE plans_plan SET status = 'DEPRECATED' WHERE code = 'FREE'") == 1
    assert run("UPDATE plans_plan SET status = 'ACTIVE' WHERE code = 'FREE'") == 1


@pytest.mark.django_db
def test_only_a_draft_can_be_deleted() -> None:
    with refused_by("plans_plan_only_drafts_go", FROZEN):
        run("DELETE FROM plans_plan WHERE code = 'FREE'")
    with refused_by("plans_plan_only_drafts_go", FROZEN):
        cast.plan("FREE").delete()


def test_one_revision_of_a_plan_is_active(draft: Plan) -> None:
    with refused_by("plans_plan_one_active_per_code"):
        Plan.objects.filter(pk=draft.pk).update(status=PlanStatus.ACTIVE)


def test_a_revision_has_its_number_once(draft: Plan) -> None:
    with refused_by("plans_plan_code_revision"):
        Plan.objects.create(code="PRO", revision=draft.revision, name="Pro")


def test_rules_of_tenants_stay_free_of_plans(acme: cast.Company) -> None:
    rule = PolicyRule.objects.create(
        scope=RuleScope.TENANT, tenant=acme.tenant, key=RuleKey.CONCURRENCY_LIMIT, value=9, reason="Trial"
    )
    assert PolicyRule.objects.filter(pk=rule.pk).update(value=10) == 1
    assert rule.delete()[0] == 1


@pytest.mark.django_db
@pytest.mark.parametrize("key", RuleKey)
def test_the_rule_for_everybody_can_be_changed_but_not_deleted(key: RuleKey) -> None:
    rule = PolicyRule.objects.filter(scope=RuleScope.GLOBAL, key=key)
    assert rule.update(value=50) == 1
    with pytest.raises(Exception, match="Cannot delete"), transaction.atomic():
        rule.delete()


def test_a_promise_written_while_its_plan_is_published_comes_too_late(committed: None) -> None:
    """Whoever publishes holds the plan's row: the promise waits, and then finds it live."""
    plan = Plan.objects.create(code="TRIAL", name="Trial")
    published = threading.Event()

    def publish() -> str:
        with transaction.atomic():
            Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.ACTIVE)
            published.set()
            wait_for_a_waiter()
        return "published"

    def promise() -> str:
        published.wait(10)
        try:
            PlanFeature.objects.create(plan=plan, feature_id=FeatureCode.RERANK)
        except IntegrityError:
            return "too late"
        return "promised"

    try:
        assert at_once(publish, promise) == ["published", "too late"]
    finally:
        run("ALTER TABLE plans_plan DISABLE TRIGGER plans_plan_only_drafts_go")
        run("DELETE FROM plans_plan WHERE id = %s", plan.pk)
        run("ALTER TABLE plans_plan ENABLE TRIGGER plans_plan_only_drafts_go")


def wait_for_a_waiter() -> None:
    """Until another session waits for a lock of this one."""
    pause = threading.Event()
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            row = cursor.fetchone()
            if row and row[0]:
                return
            pause.wait(0.01)
    raise AssertionError("nobody waits")
