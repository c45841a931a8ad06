"""Simulations in the console."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from enforcement import tasks
from enforcement.models import Simulation
from plans.models import Plan
from plans.publishing import revisions
from tests import cast, console
from tests.cast import Company
from tests.enforcement.past import operation

ADD = console.address(Simulation, "add")


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def calls_of(company: Company) -> None:
    at = timezone.now().replace(hour=0, minute=5) - timedelta(days=1)
    for minutes in range(3):
        operation(company.tenant, at + timedelta(minutes=minutes))


def asked(browser: Client, **sent: Any) -> tuple[Simulation, Any]:
    """The simulation that the form makes, and the page it leads to."""
    answer = console.post(browser, ADD, {"plan": "", "tenant": "", "days": 30, "changes": "", **sent})
    assert Simulation.objects.exists(), console.text_of(answer)
    return Simulation.objects.latest("id"), answer


def test_a_draft_is_simulated_from_its_page(browser: Client, acme: Company) -> None:
    calls_of(acme)
    draft = revisions.draft("PRO")
    page = browser.get(console.address(Plan, "change", draft.pk))
    assert "Simulate" in console.text_of(page)
    form = browser.get(console.address(Plan, "simulate", draft.pk), follow=True)
    assert form.context["adminform"].form["plan"].value() == str(draft.pk)
    made, page = asked(browser, plan=str(draft.pk), days=7)
    assert "Waiting: 0 % done" in console.text_of(page)
    assert "Reload" in console.text_of(page)
    assert (made.days, made.asked_by, made.status) == (7, console.EMAIL, "QUEUED")
    tasks.simulate(str(made.pk))
    page = browser.get(console.address(Simulation, "change", made.pk))
    assert "None of 3 calls of 1 tenant would newly be refused." in console.text_of(page)
    draft.refresh_from_db()
    assert draft.simulated_at is not None


def test_the_page_tells_who_would_be_refused_by_what_when_and_at_what_cost(browser: Client, acme: Company) -> None:
    calls_of(acme)
    changes = "PATENT_DRAFTING.daily_quota=1500\n\n MAX_TOKENS_OUT=400 "
    made, _ = asked(browser, plan=str(cast.plan("PRO").pk), changes=changes)
    assert made.changes == ["PATENT_DRAFTING.daily_quota=1500", "MAX_TOKENS_OUT=400"]
    tasks.simulate(str(made.pk))
    page = console.text_of(browser.get(console.address(Simulation, "change", made.pk)))
    assert "2 of 3 calls of 1 tenant would newly be refused, to 1 tenant" in page
    assert "They cost USD 0.005 of 0.0075." in page
    assert "DAILY_QUOTA_EXCEEDED 2 0.005" in page
    assert "ACME 2 of 3 0.005" in page
    assert "max_tokens_out 1 0.0025" in page
    assert " 2 " in console.text_of(browser.get(console.address(Simulation, "changelist")))


def test_what_cannot_be_tried_is_said_at_its_field(browser: Client, acme: Company) -> None:
    plan = str(cast.plan("PRO").pk)
    for sent, field, told in (
        ({}, "plan", "Name a plan or changes"),
        ({"plan": plan, "changes": "PATENT_DRAFTING.daily_quota=-1"}, "changes", "-1 is no whole number"),
        ({"plan": plan, "days": 91}, "days", "less than or equal to 90"),
    ):
        answer = console.post(browser, ADD, {"plan": "", "tenant": "", "days": 30, "changes": "", **sent})
        assert told in str(answer.context["adminform"].form.errors[field])  # type: ignore[attr-defined]  # Django's test client
    assert not Simulation.objects.exists()


def test_one_that_failed_says_why(browser: Client, acme: Company) -> None:
    made, _ = asked(browser, plan=str(cast.plan("PRO").pk))
    Simulation.objects.update(status="FAILED", error="It was too much.", finished_at=timezone.now())
    page = browser.get(console.address(Simulation, "change", made.pk))
    assert "It failed: It was too much." in console.text_of(page)


def test_every_page_opens_and_nothing_that_was_found_changes(browser: Client, acme: Company) -> None:
    made, _ = asked(browser, plan=str(cast.plan("PRO").pk), tenant=str(acme.tenant.pk))
    tasks.simulate(str(made.pk))
    console.assert_every_page_opens(Simulation)
    assert browser.post(console.address(Simulation, "change", made.pk), {}).status_code == 403
    assert browser.post(console.address(Simulation, "delete", made.pk), {"post": "yes"}).status_code == 403


def test_the_list_asks_no_question_per_row(browser: Client, acme: Company) -> None:
    asked(browser, plan=str(cast.plan("PRO").pk), tenant=str(acme.tenant.pk))

    def more() -> None:
        for _ in range(3):
            asked(browser, plan=str(cast.plan("FREE").pk), tenant=str(acme.tenant.pk))

    console.assert_list_costs_the_same_with_more_rows(Simulation, more)
