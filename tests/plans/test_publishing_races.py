"""Operators at once: of two publications one wins, and no tenant is left on a revision that was replaced meanwhile."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from plans import promises, publishing
from plans.models import Plan, PlanFeature, PlanLLMAccess, PlanStatus
from plans.publishing import PublishingError
from tenants import tokens
from tenants.models import ATIToken
from tenants.tokens import TokenError
from tests import cast
from tests.database import run
from tests.parallel import at_once
from tests.plans.test_frozen_plans import wait_for_a_waiter

NOW = datetime.now(UTC)


@pytest.fixture
def team(committed: None) -> Iterator[Plan]:
    """A plan of its own, active; afterwards nothing of it is left in the catalogue."""
    plan = Plan.objects.create(code="TEAM", name="Team")
    PlanFeature.objects.create(plan=plan, feature_id="RERANK")
    PlanLLMAccess.objects.create(plan=plan, task_id="RERANK_CALL")
    yield publishing.publish(plan, now=NOW).plan
    ATIToken.objects.filter(plan__isnull=False).update(plan=cast.plan("FREE"), next_plan=None, next_plan_at=None)
    triggers = {"plans_plan": "plans_plan_only_drafts_go"} | dict.fromkeys(
        ("plans_planfeature", "plans_planllmaccess"), "USER"
    )
    for table, trigger in triggers.items():
        run(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    run("DELETE FROM plans_planfeature f USING plans_plan p WHERE p.id = f.plan_id AND p.code = 'TEAM'")
    run("DELETE FROM plans_planllmaccess a USING plans_plan p WHERE p.id = a.plan_id AND p.code = 'TEAM'")
    run("UPDATE plans_plan SET based_on_id = NULL WHERE code = 'TEAM'")
    run("DELETE FROM plans_plan WHERE code = 'TEAM'")
    for table, trigger in triggers.items():
        run(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")


def draft(seats: int) -> Plan:
    made = publishing.draft("TEAM")
    Plan.objects.filter(pk=made.pk).update(max_seats=seats)
    return Plan.objects.get(pk=made.pk)


def tried(plan: Plan) -> str:
    try:
        publishing.publish(plan, now=NOW, unsimulated=True)
    except PublishingError as refusal:
        return str(refusal)
    return "published"


def active() -> Plan:
    return Plan.objects.get(code="TEAM", status=PlanStatus.ACTIVE)


def test_of_two_who_publish_a_draft_one_does_and_the_other_is_told(team: Plan) -> None:
    acme = cast.make_tenant("ACME", "TEAM", people=0)
    plan = draft(7)
    told = sorted(at_once(lambda: tried(plan), lambda: tried(Plan.objects.get(pk=plan.pk))))
    assert told == ["TEAM r2 is published already: it is active.", "published"]
    assert active() == plan
    assert ATIToken.objects.get(pk=acme.root.pk).plan == plan


def test_of_two_drafts_published_at_once_one_wins_and_the_other_is_outdated(team: Plan) -> None:
    acme = cast.make_tenant("ACME", "TEAM", people=0)
    first, second = draft(7), draft(8)
    told = at_once(lambda: tried(first), lambda: tried(second))
    assert sorted(text == "published" for text in told) == [False, True]
    winner, loser = (first, second) if told[0] == "published" else (second, first)
    assert f"{loser} is based on TEAM r1, but {winner} is the active one." in next(
        text for text in told if text != "published"
    )
    assert active() == winner
    assert ATIToken.objects.get(pk=acme.root.pk).plan == winner
    assert Plan.objects.get(pk=loser.pk).status == PlanStatus.DRAFT


def test_of_two_first_revisions_published_at_once_one_wins_and_the_other_is_outdated(team: Plan) -> None:
    """Of a code without an active plan there is no row that both would lock."""
    Plan.objects.filter(pk=team.pk).update(status=PlanStatus.DEPRECATED)
    drafts = [Plan.objects.create(code="TEAM", revision=revision, name="Team") for revision in (7, 8)]
    for each in drafts:
        promises.write(each, promises.of(team))
    told = at_once(*(partial(tried, each) for each in drafts))
    assert sorted(text == "published" for text in told) == [False, True]
    winner, loser = drafts if told[0] == "published" else reversed(drafts)
    assert f"{loser} is based on no revision, but {winner} is the active one." in max(told, key=len)
    assert active() == winner


def test_a_draft_deleted_before_it_is_published_or_noted_as_simulated_is_gone(team: Plan) -> None:
    plan = draft(7)
    promised = promises.of(plan)
    Plan.objects.get(pk=plan.pk).delete()
    assert tried(plan) == "TEAM r2 is gone: it was deleted meanwhile."
    assert not publishing.simulated(plan, NOW, promised)


def test_two_drafts_made_at_once_have_two_revisions(team: Plan) -> None:
    made = at_once(*[lambda: publishing.draft("TEAM").revision] * 4)
    assert sorted(made) == [2, 3, 4, 5]


def test_a_tenant_put_on_a_plan_while_it_is_replaced_is_not_left_behind(team: Plan) -> None:
    """Either it comes first and is moved, or it is told that the revision is not active any more."""
    companies = [cast.make_tenant(f"ACME{number}", "FREE", people=0) for number in range(6)]
    plan = draft(7)

    def change(company: cast.Company) -> str:
        try:
            tokens.change_plan(company.root, team, now=NOW)
        except TokenError:
            return "told"
        return "moved"

    published, *changed = at_once(lambda: tried(plan), *(partial(change, each) for each in companies))
    assert published == "published"
    assert not ATIToken.objects.holding(team).exists()
    for company, outcome in zip(companies, changed, strict=True):
        now_on = ATIToken.objects.get(pk=company.root.pk).plan
        assert now_on is not None
        assert str(now_on) == {"moved": "TEAM r2", "told": "FREE r1"}[outcome]


def test_a_draft_edited_while_it_is_published_waits_and_comes_too_late(team: Plan) -> None:
    plan = draft(7)
    locked = threading.Event()

    def publish() -> str:
        with transaction.atomic():
            publishing.publish(plan, now=NOW)
            locked.set()
            wait_for_a_waiter()
        return "published"

    def edit() -> str:
        locked.wait(10)
        try:
            plan.features.update(daily_quota=1)
        except IntegrityError:
            return "too late"
        return "edited"

    assert at_once(publish, edit) == ["published", "too late"]
    assert promises.of(active()) == promises.of(plan)
    assert active().features.get().daily_quota is None


def test_a_draft_made_while_another_is_published_is_based_on_that(team: Plan) -> None:
    plan = draft(7)
    locked = threading.Event()

    def publish() -> str:
        with transaction.atomic():
            made = publishing.publish(plan, now=NOW).plan
            locked.set()
            wait_for_a_waiter()
        return str(made)

    def make() -> str:
        locked.wait(10)
        return str(publishing.draft("TEAM").based_on)

    assert at_once(publish, make) == ["TEAM r2", "TEAM r2"]


def test_two_editors_of_a_simulated_draft_do_not_deadlock(team: Plan) -> None:
    """Both forget the simulation, and only one has to."""
    plan = draft(7)
    for turn in range(10):
        assert publishing.simulated(plan, NOW, promises.of(plan))

        def edit_feature(turn: int = turn) -> int:
            with transaction.atomic():
                return plan.features.update(daily_quota=turn) + plan.features.update(monthly_quota=turn)

        def edit_task(turn: int = turn) -> int:
            with transaction.atomic():
                return plan.accesses.update(allow_downgrade=turn % 2 == 0)

        assert at_once(edit_feature, edit_task) == [2, 1]
        assert Plan.objects.get(pk=plan.pk).simulated_at is None


def test_a_roll_back_and_a_publication_at_once_leave_one_active_revision(team: Plan) -> None:
    acme = cast.make_tenant("ACME", "TEAM", people=0)
    second = publishing.publish(draft(7), now=NOW, unsimulated=True).plan
    third = draft(8)

    def roll_back() -> str:
        try:
            publishing.rollback(second, now=NOW)
        except PublishingError as refusal:
            return str(refusal)
        return "rolled back"

    outcomes = at_once(roll_back, lambda: tried(third))
    holder = ATIToken.objects.get(pk=acme.root.pk).plan
    assert holder == active()
    if outcomes[0] == "rolled back":
        assert holder == team
        assert "based on TEAM r2, but TEAM r1 is the active one" in outcomes[1]
    else:
        assert holder == third
        assert outcomes == ["TEAM r2 is deprecated; only the active revision can be rolled back.", "published"]
