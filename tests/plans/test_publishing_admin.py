"""The console publishes, drafts and rolls back by the same functions, and says first what follows."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from plans import promises, publishing
from plans.models import Plan, PlanStatus
from tenants import tokens
from tenants.models import ATIToken
from tests import cast, console

NOW = datetime.now(UTC)
YES = {"confirmed": "yes", "at": "now"}


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def address(page: str, plan: Plan) -> str:
    return console.address(Plan, page, plan.pk)


def offered(browser: Client, plan: Plan) -> set[str]:
    page = browser.get(address("change", plan)).content.decode()
    return {name for name in ("publish", "make_draft", "roll_back") if address(name, plan) in page}


def simulated_at(plan: Plan) -> datetime | None:
    return Plan.objects.values_list("simulated_at", flat=True).get(pk=plan.pk)


def test_each_state_of_a_plan_offers_what_can_be_done(browser: Client, draft: Plan) -> None:
    live = cast.plan("PRO")
    assert offered(browser, draft) == {"publish"}
    assert offered(browser, live) == {"make_draft"}
    publishing.publish(draft, now=NOW)
    assert offered(browser, draft) == {"make_draft", "roll_back"}
    assert offered(browser, live) == set()


def test_publishing_says_what_changes_and_who_is_affected_and_asks(
    browser: Client, acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    """Defect 33: edits of plans are audited."""
    draft.features.filter(feature="PATENT_DRAFTING").update(daily_quota=5_000_000)
    publishing.simulated(draft, NOW, promises.of(draft))
    said = console.text_of(browser.get(address("publish", draft)))
    assert "can never change again" in said
    assert "PATENT_DRAFTING.daily_quota: 500,000 tokens → 5,000,000 tokens" in said
    assert "Please note PATENT_DRAFTING.daily_quota" in said
    assert "Is the number of zeros right?" in said
    assert "Who is affected: 2 tenants ACME, RIVAL: PRO r2 now" in said
    assert "At their next period ACME, RIVAL: PRO r2 from" in said
    draft.refresh_from_db()
    assert draft.status == PlanStatus.DRAFT

    page = console.text_of(console.post(browser, address("publish", draft), YES))
    assert "PRO r2 is active now. Tenants moved: 2." in page
    assert "Only a draft can be edited." in page
    draft.refresh_from_db()
    assert draft.status == PlanStatus.ACTIVE
    assert {root.plan_id for root in ATIToken.objects.roots()} == {draft.pk}
    entry = LogEntry.objects.get()
    assert (entry.user.email, entry.object_repr) == (console.EMAIL, "PRO r2")
    assert entry.change_message == "Published (now): Tenants moved: 2."
    again = console.post(browser, address("publish", draft), YES)
    assert "PRO r2 is published already" in console.text_of(again)


def test_a_draft_that_was_not_simulated_asks_a_second_question(
    browser: Client, acme: cast.Company, draft: Plan
) -> None:
    page = console.text_of(console.post(browser, address("publish", draft), YES))
    assert "Simulate the draft first, or tick this." in page
    draft.refresh_from_db()
    assert draft.status == PlanStatus.DRAFT
    console.post(browser, address("publish", draft), YES | {"unsimulated": "on"})
    draft.refresh_from_db()
    assert draft.status == PlanStatus.ACTIVE
    assert LogEntry.objects.get().change_message == "Published (now, not simulated): Tenants moved: 1."


def test_a_draft_that_nobody_would_get_asks_for_no_simulation(browser: Client, draft: Plan) -> None:
    assert "No tenant is affected." in console.text_of(browser.get(address("publish", draft)))
    console.post(browser, address("publish", draft), YES)
    draft.refresh_from_db()
    assert draft.status == PlanStatus.ACTIVE


def test_tenants_may_move_at_their_next_period_and_who_is_left_is_named(
    browser: Client, acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    tokens.change_plan(rival.root, cast.plan("ENTERPRISE"), now=NOW, at=NOW + timedelta(days=90))
    sent = YES | {"at": "next period", "unsimulated": "on"}
    page = console.text_of(console.post(browser, address("publish", draft), sent))
    assert "Tenants moved: 1, left: 1." in page
    assert "RIVAL: keeps PRO r1 until" in page
    acme.root.refresh_from_db()
    assert (acme.root.plan, acme.root.next_plan) == (draft.based_on, draft)


def test_a_draft_that_contradicts_itself_is_refused_with_each_contradiction(browser: Client, draft: Plan) -> None:
    draft.features.filter(feature="DIAGRAM_GENERATION").update(daily_quota=201)
    draft.accesses.filter(task="LLM2_DRAFT").delete()
    page = console.text_of(console.post(browser, address("publish", draft), YES))
    assert "201 requests a day of DIAGRAM_GENERATION can never be used up" in page
    assert "PATENT_DRAFTING is promised, but none of its tasks is in the plan" in page
    draft.refresh_from_db()
    assert draft.status == PlanStatus.DRAFT
    assert not LogEntry.objects.exists()


def test_a_draft_of_a_revision_that_was_replaced_is_refused_in_words(browser: Client, draft: Plan) -> None:
    publishing.publish(publishing.draft("PRO"), now=NOW)
    page = console.text_of(console.post(browser, address("publish", draft), YES))
    assert "PRO r2 is based on PRO r1, but PRO r3 is the active one." in page
    draft.refresh_from_db()
    assert draft.status == PlanStatus.DRAFT


def test_the_first_revision_of_a_new_plan_is_published(browser: Client) -> None:
    plan = Plan.objects.create(code="TEAM", name="Team")
    assert "can never change again" in console.text_of(browser.get(address("publish", plan)))
    console.post(browser, address("publish", plan), YES)
    plan.refresh_from_db()
    assert plan.status == PlanStatus.ACTIVE


def test_a_draft_is_made_of_a_live_plan(browser: Client) -> None:
    live = cast.plan("PRO")
    said = console.text_of(browser.get(address("make_draft", live)))
    assert "Nothing is in force before you publish it." in said
    assert "There is a draft already" not in said
    page = console.text_of(console.post(browser, address("make_draft", live), {"confirmed": "yes"}))
    made = Plan.objects.get(code="PRO", status=PlanStatus.DRAFT)
    assert "PRO r2 is a draft: edit it here, then publish it." in page
    assert promises.of(made) == promises.of(live)
    assert LogEntry.objects.get().change_message == "Drafted from PRO r1."
    assert "There is a draft already PRO r2" in console.text_of(browser.get(address("make_draft", live)))


def test_a_plan_is_rolled_back_with_all_who_hold_it(
    browser: Client, acme: cast.Company, rival: cast.Company, draft: Plan
) -> None:
    publishing.publish(draft, now=NOW, unsimulated=True)
    said = console.text_of(browser.get(address("roll_back", draft)))
    assert "PRO r1 is active again, and all who hold PRO r2 are put back on it, now." in said
    assert "Who is affected: 2 tenants ACME, RIVAL: PRO r1 now" in said
    assert cast.plan("PRO") == draft
    page = console.text_of(console.post(browser, address("roll_back", draft), {"confirmed": "yes"}))
    assert "PRO r1 is active again. Tenants moved: 2." in page
    assert cast.plan("PRO") == draft.based_on
    assert {root.plan_id for root in ATIToken.objects.roots()} == {draft.based_on_id}
    assert LogEntry.objects.get().change_message == "Rolled back to PRO r1: Tenants moved: 2."


def test_what_cannot_be_rolled_back_says_why(browser: Client) -> None:
    page = console.text_of(console.post(browser, address("roll_back", cast.plan("PRO")), {"confirmed": "yes"}))
    assert "PRO r1 is the first revision of its plan" in page


def test_saving_a_simulated_draft_unchanged_keeps_that_it_was_simulated(browser: Client, draft: Plan) -> None:
    publishing.simulated(draft, NOW, promises.of(draft))
    form = console.form_of(browser.get(address("change", draft)))
    console.post(browser, address("change", draft), form)
    assert simulated_at(draft) == NOW
    console.post(browser, address("change", draft), form | {"max_seats": 30})
    assert simulated_at(draft) is None
    draft.refresh_from_db()
    assert draft.max_seats == 30


def test_a_save_brings_no_simulation_back_that_was_forgotten_meanwhile(
    browser: Client, draft: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form was read while the draft counted as simulated."""
    publishing.simulated(draft, NOW, promises.of(draft))
    form = console.form_of(browser.get(address("change", draft)))
    save = Plan.save

    def edited_meanwhile(self: Plan, **options: object) -> None:
        draft.features.update(daily_quota=1)
        save(self, **options)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Plan, "save", edited_meanwhile)
    console.post(browser, address("change", draft), form)
    assert simulated_at(draft) is None
