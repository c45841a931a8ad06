"""Revisions of a plan in the database: drafted, published to those who hold the one before, and rolled back."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from plans import promises, publishing
from plans.models import Plan, PlanStatus
from plans.publishing import PublishingError, When
from tenants import facts, tokens, versions
from tenants.models import ATIToken, Tenant
from tenants.tokens import TokenError
from tests import cast
from tests.enforcement.api import Api
from tests.plans.test_frozen_plans import CHANGES

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def publish(draft: Plan, **options: object) -> publishing.Published:
    return publishing.publish(draft, now=NOW, unsimulated=True, **options)  # type: ignore[arg-type]  # the tests' own


def in_force(company: cast.Company, at: datetime = NOW) -> str | None:
    """The revision by which calls are decided."""
    versions.refresh(company.tenant.id)
    root = facts.tenant(company.tenant.id).root
    plan = root.in_force(at) if root else None
    return str(Plan.objects.get(pk=plan)) if plan else None


def state(plan: Plan) -> str:
    return Plan.objects.values_list("status", flat=True).get(pk=plan.pk)


# --- a draft -------------------------------------------------------------------
@pytest.mark.django_db
def test_a_draft_promises_what_the_active_revision_does() -> None:
    live = cast.plan("PRO")
    draft = publishing.draft("PRO")
    assert (draft.code, draft.revision, draft.name) == ("PRO", 2, "Pro")
    assert (draft.status, draft.based_on, draft.simulated_at) == (PlanStatus.DRAFT, live, None)
    assert promises.of(draft) == promises.of(live)
    assert publishing.diff(draft) == ()
    assert publishing.draft("PRO").revision == 3


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["TEAM", "pro", ""])
def test_a_plan_that_is_not_active_cannot_be_drafted_and_the_known_ones_are_named(code: str) -> None:
    with pytest.raises(PublishingError, match=r"There is no active plan .*ENTERPRISE, FREE, PRO\."):
        publishing.draft(code)


# --- publishing ----------------------------------------------------------------
def test_a_revision_takes_the_place_of_the_one_before_with_all_who_hold_it(
    acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    """Defect 33: one transaction, and none is forgotten."""
    live = cast.plan("PRO")
    free = cast.make_tenant("INITECH", "FREE")
    coming = cast.make_tenant("GLOBEX", "FREE")
    tokens.change_plan(coming.root, live, now=NOW, at=NOW + DAY)
    done = publish(draft)
    assert (done.plan, done.instead_of) == (draft, live)
    assert [str(move) for move in done.moves] == [
        "ACME: PRO r2 now",
        f"GLOBEX: its change planned for {NOW + DAY:%d %b %Y %H:%M} UTC is to PRO r2",
        "RIVAL: PRO r2 now",
    ]
    assert (state(live), state(draft)) == (PlanStatus.DEPRECATED, PlanStatus.ACTIVE)
    assert in_force(acme) == in_force(rival) == in_force(coming, NOW + DAY) == "PRO r2"
    assert in_force(free) == in_force(coming) == "FREE r1"
    assert not ATIToken.objects.holding(live).exists()
    with pytest.raises(TokenError, match="not active"):
        tokens.change_plan(free.root, live, now=NOW)


def test_what_would_become_of_whom_is_known_before(acme: cast.Company, rival: cast.Company, draft: Plan) -> None:
    for at in (When.NOW, When.NEXT_PERIOD, NOW + DAY):
        expected = publishing.affected(draft, now=NOW, at=at)
        assert [move.tenant for move in expected] == ["ACME", "RIVAL"]
        assert in_force(acme) == "PRO r1", "asking changes nothing"
    assert publish(draft, at=NOW + DAY).moves == expected


def test_a_publication_binds_with_the_next_request(api: Api, acme: cast.Company, draft: Plan) -> None:
    """I9: no cache window, neither for what is refused now nor for what is permitted again."""
    draft.features.filter(feature="PATENT_DRAFTING").update(daily_quota=1_000)
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=2_000, tokens_out=300)["allowed"] is True
    publish(draft)
    refused = api.enforce("ACME", "LLM2_DRAFT", tokens_in=2_000, tokens_out=300)
    assert (refused["allowed"], refused["code"]) == (False, "DAILY_QUOTA_EXCEEDED")
    publishing.rollback(Plan.objects.get(pk=draft.pk), now=NOW)
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=2_000, tokens_out=300)["allowed"] is True


def test_at_an_instant_to_come_nothing_changes_before_it(acme: cast.Company, draft: Plan) -> None:
    done = publish(draft, at=NOW + DAY)
    assert done.moves[0].becomes == f"PRO r2 from {NOW + DAY:%d %b %Y %H:%M} UTC"
    assert state(draft) == PlanStatus.ACTIVE, "new tenants get it at once"
    assert in_force(acme, NOW + DAY - timedelta(microseconds=1)) == "PRO r1"
    assert in_force(acme, NOW + DAY) == "PRO r2"


@pytest.mark.parametrize("at", [NOW, NOW - HOUR])
def test_an_instant_that_has_passed_is_refused(at: datetime, acme: cast.Company, draft: Plan) -> None:
    with pytest.raises(PublishingError, match="in the future"):
        publish(draft, at=at)
    assert state(draft) == PlanStatus.DRAFT


def test_at_the_next_period_each_tenant_changes_at_the_end_of_its_own_month(
    acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    """Defect 50: the same months as the quotas'."""
    Tenant.objects.filter(pk=rival.tenant.pk).update(timezone="Asia/Kolkata", billing_anchor_day=31)
    now = datetime(2050, 2, 10, 12, tzinfo=UTC)
    publishing.publish(draft, now=now, at=When.NEXT_PERIOD, unsimulated=True)
    begins = {root.tenant.ati_id: root.next_plan_at for root in ATIToken.objects.holding(draft)}
    assert begins == {
        "ACME": datetime(2050, 3, 1, tzinfo=UTC),
        "RIVAL": datetime(2050, 2, 27, 18, 30, tzinfo=UTC),
    }


def test_a_tenant_that_has_another_change_planned_is_left_and_named(acme: cast.Company, draft: Plan) -> None:
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=NOW, at=NOW + 9 * DAY)
    done = publish(draft, at=NOW + DAY)
    assert done.moves[0].is_left
    assert "keeps PRO r1 until" in done.moves[0].becomes
    assert "when it changes to ENTERPRISE r1 as planned" in done.moves[0].becomes
    assert in_force(acme, NOW + 2 * DAY) == "PRO r1"
    assert in_force(acme, NOW + 9 * DAY) == "ENTERPRISE r1"


def test_the_end_of_a_plan_is_respected(acme: cast.Company, rival: cast.Company, draft: Plan) -> None:
    tokens.end_plan(acme.root, at=NOW + DAY)
    tokens.end_plan(rival.root, at=NOW - DAY)
    done = publish(draft, at=NOW + 2 * DAY)
    assert [move.is_left for move in done.moves] == [True, False]
    assert in_force(acme, NOW + 2 * DAY) is None
    assert in_force(rival) is None
    tokens.end_plan(rival.root, at=None)
    assert in_force(rival) == "PRO r2", "whose plan had ended is on the new revision when it is revived"


def test_a_next_plan_that_is_due_is_the_plan(acme: cast.Company, rival: cast.Company, draft: Plan) -> None:
    """Whoever writes a plan folds a next one that is due into it first."""
    enterprise = cast.plan("ENTERPRISE")
    ATIToken.objects.filter(pk=acme.root.pk).update(next_plan=enterprise, next_plan_at=NOW - HOUR)
    ATIToken.objects.filter(pk=rival.root.pk).update(
        plan=enterprise, next_plan=cast.plan("PRO"), next_plan_at=NOW - HOUR
    )
    done = publish(draft, at=NOW + DAY)
    assert [move.tenant for move in done.moves] == ["RIVAL"]
    assert in_force(acme) == in_force(acme, NOW + 2 * DAY) == "ENTERPRISE r1"
    root = ATIToken.objects.get(pk=rival.root.pk)
    assert (root.plan, root.plan_starts_at, root.next_plan) == (
        Plan.objects.get(code="PRO", revision=1),
        NOW - HOUR,
        draft,
    )


def test_a_revision_published_twice_is_refused(acme: cast.Company, draft: Plan) -> None:
    publish(draft)
    with pytest.raises(PublishingError, match="PRO r2 is published already: it is active"):
        publish(draft)


@pytest.mark.django_db
def test_the_first_revision_of_a_plan_is_nobodys_yet() -> None:
    plan = Plan.objects.create(code="TEAM", name="Team")
    done = publishing.publish(plan, now=NOW)
    assert (done.instead_of, done.moves) == (None, ())
    assert state(plan) == PlanStatus.ACTIVE


def test_a_copy_under_another_code_moves_nobody(acme: cast.Company, draft: Plan) -> None:
    Plan.objects.filter(pk=draft.pk).update(code="TEAM")
    done = publishing.publish(Plan.objects.get(pk=draft.pk), now=NOW)
    assert done.moves == ()
    assert in_force(acme) == "PRO r1"
    with pytest.raises(PublishingError, match="TEAM r2 is the first revision of its plan"):
        publishing.rollback(done.plan, now=NOW)


def test_a_publication_asks_no_question_per_tenant(acme: cast.Company, draft: Plan) -> None:
    with CaptureQueriesContext(connection) as few:
        publish(draft)
    for number in range(4):
        cast.make_tenant(f"MORE{number}", people=0)
    second = publishing.draft("PRO")
    with CaptureQueriesContext(connection) as many:
        assert len(publish(second).moves) == 5
    assert len(many) == len(few)


def test_who_published_what_is_logged(acme: cast.Company, draft: Plan) -> None:
    with capture_logs() as lines:
        publish(draft, by="root@console.example")
        publishing.rollback(Plan.objects.get(pk=draft.pk), now=NOW, by="root@console.example")
    first, second = lines
    assert (first["event"], first["plan"], first["instead_of"]) == ("plan.published", "PRO r2", "PRO r1")
    assert (first["tenants"], first["simulated_at"], first["by"]) == (1, None, "root@console.example")
    assert (second["event"], second["plan"], second["to"]) == ("plan.rolled_back", "PRO r2", "PRO r1")


# --- rolling back --------------------------------------------------------------
@pytest.mark.parametrize("at", [When.NOW, When.NEXT_PERIOD, NOW + DAY])
def test_a_roll_back_puts_every_tenant_back_on_the_revision_it_had(
    at: datetime | When, acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    live = cast.plan("PRO")
    coming = cast.make_tenant("GLOBEX", "FREE")
    tokens.change_plan(coming.root, live, now=NOW, at=NOW + 40 * DAY)
    tokens.change_plan(rival.root, cast.plan("ENTERPRISE"), now=NOW, at=NOW + 90 * DAY)
    held = ATIToken.objects.filter(plan__isnull=False).order_by("pk")
    columns = ("pk", "plan", "plan_starts_at", "plan_ends_at", "next_plan", "next_plan_at")
    before = list(held.values_list(*columns))
    publish(draft, at=at)
    new = cast.make_tenant("HOOLI", people=0)
    assert list(held.values_list(*columns))[: len(before)] != before
    done = publishing.rollback(Plan.objects.get(pk=draft.pk), now=NOW)
    assert (done.plan, done.instead_of) == (live, draft)
    assert (state(live), state(draft)) == (PlanStatus.ACTIVE, PlanStatus.DEPRECATED)
    assert list(held.exclude(pk=new.root.pk).values_list(*columns)) == before
    assert in_force(new) == "PRO r1", "who came meanwhile has the revision that is active"
    assert not ATIToken.objects.holding(draft).exists()


def test_what_a_roll_back_would_make_of_whom_is_known_before(acme: cast.Company, draft: Plan) -> None:
    active = publish(draft).plan
    expected = publishing.affected_by_rollback(active, now=NOW)
    assert [str(move) for move in expected] == ["ACME: PRO r1 now"]
    assert publishing.rollback(active, now=NOW).moves == expected


def test_only_the_active_revision_that_has_one_before_it_is_rolled_back(acme: cast.Company, draft: Plan) -> None:
    with pytest.raises(PublishingError, match="PRO r2 is draft; only the active revision"):
        publishing.rollback(draft, now=NOW)
    with pytest.raises(PublishingError, match="PRO r1 is the first revision of its plan"):
        publishing.rollback(cast.plan("PRO"), now=NOW)
    active = publish(draft).plan
    publishing.rollback(active, now=NOW)
    with pytest.raises(PublishingError, match="PRO r2 is deprecated"):
        publishing.rollback(active, now=NOW)


# --- the simulation ------------------------------------------------------------
def test_what_somebody_holds_is_simulated_before_it_is_published_or_said_not_to_be(
    acme: cast.Company, draft: Plan
) -> None:
    with pytest.raises(PublishingError, match=r"not simulated since its last edit, and tenants hold PRO r1 \(1\)"):
        publishing.publish(draft, now=NOW)
    assert publishing.simulated(draft, NOW - HOUR, promises.of(draft))
    assert publishing.publish(draft, now=NOW).plan.simulated_at == NOW - HOUR
    assert state(draft) == PlanStatus.ACTIVE


def test_what_nobody_holds_needs_no_simulation(draft: Plan) -> None:
    publishing.publish(draft, now=NOW)
    assert state(draft) == PlanStatus.ACTIVE


@pytest.mark.parametrize("change", CHANGES)
def test_any_edit_of_a_draft_forgets_that_it_was_simulated(change: str, draft: Plan) -> None:
    """By the database: console, command and SQL are alike."""
    assert publishing.simulated(draft, NOW, promises.of(draft))
    CHANGES[change](draft)
    draft.refresh_from_db()
    assert draft.simulated_at is None


def test_a_new_name_forgets_it_too_and_saving_the_same_does_not(draft: Plan) -> None:
    assert publishing.simulated(draft, NOW, promises.of(draft))
    draft.save()
    draft.refresh_from_db()
    assert draft.simulated_at == NOW
    Plan.objects.filter(pk=draft.pk).update(name="Professional")
    draft.refresh_from_db()
    assert draft.simulated_at is None


def test_a_draft_edited_while_it_was_simulated_was_not(draft: Plan) -> None:
    tried = promises.of(draft)
    draft.features.filter(feature="PATENT_DRAFTING").update(daily_quota=1)
    assert not publishing.simulated(draft, NOW, tried)
    draft.refresh_from_db()
    assert draft.simulated_at is None


def test_a_live_plan_is_not_noted_as_simulated(draft: Plan) -> None:
    live = cast.plan("PRO")
    assert not publishing.simulated(live, NOW, promises.of(live))
    live.refresh_from_db()
    assert live.simulated_at is None
