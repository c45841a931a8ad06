"""How the gates stand, and the question before one is switched, as a super admin's browser sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from plans.models import RolloutRule
from tenants.models import Tenant
from tests import console
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit, roll_out
from tests.enforcement.test_rollout_report import finish

LAST_YEAR = datetime.now(UTC) - timedelta(days=365)
TASK = "LLM2_DRAFT"
FEATURE = "PATENT_DRAFTING"


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def switch(browser: Client, gate: str, mode: str, **sent: Any) -> Any:
    """The answer to the question before a gate is switched."""
    fields = {"tenant": "", "starts_at_0": "", "starts_at_1": "", "reason": "It was watched long enough", **sent}
    return browser.post(reverse("rollout-switch", args=[gate, mode]), fields, follow=True)


def test_each_gate_has_a_row_that_says_how_it_stands(browser: Client, api: Api, acme: Company, rival: Company) -> None:
    roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR)
    roll_out("DAILY_QUOTA", "ENFORCE", LAST_YEAR, rival.tenant)
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    limit(rival.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    finish(api, "ACME", TASK, tokens_in=1)
    api.enforce("RIVAL", TASK, tokens_in=1)
    page = browser.get(reverse("rollout"))
    text = console.text_of(page)
    since = f"{LAST_YEAR:%d %b %Y %H:%M}"
    assert f"Daily quota Observe since {since} : a test RIVAL enforce 1 (1 tenant) 1 (1 tenant) Enforce" in text
    assert "Monthly quota Enforce – 0 0 Observe" in text
    assert "ACME 1 0 0." in text
    assert "RIVAL 1 DAILY_QUOTA_EXCEEDED" in text
    (_, _, (let_through,)), (_, _, (refused,)) = page.context["sections"]
    assert [row.tenant for row in browser.get(let_through.link).context["cl"].result_list] == [acme.tenant]
    assert [row.tenant for row in browser.get(refused.link).context["cl"].result_list] == [rival.tenant]


def test_who_may_not_call_at_all_is_not_counted_as_refused_by_the_gates(
    browser: Client, api: Api, acme: Company
) -> None:
    Tenant.objects.update(status="SUSPENDED")
    assert api.enforce("ACME", TASK, tokens_in=1)["code"] == "TENANT_SUSPENDED"
    text = console.text_of(browser.get(reverse("rollout")))
    assert "All gates Enforce – 0 0 Switch off · Observe" in text
    assert "ACME 1 TENANT_SUSPENDED" in text


def test_what_has_been_decided_for_later_is_listed(browser: Client, acme: Company) -> None:
    switch(browser, "BUDGET", "OBSERVE", starts_at_0="2090-01-01", starts_at_1="00:00", tenant=acme.tenant.pk)
    text = console.text_of(browser.get(reverse("rollout")))
    assert "To come 01 Jan 2090 00:00 UTC : observe “budget” for ACME (It was watched long enough)" in text
    assert "Budget Enforce – 0 0 Observe" in text


def test_who_may_only_look_finds_no_switch(acme: Company) -> None:
    text = console.text_of(console.clerk("plans.view_rolloutrule").get(reverse("rollout")))
    assert "Budget Enforce – 0 0 " in text
    assert "Switch off" not in text


def test_with_nothing_to_show_the_page_says_how_to_begin(browser: Client) -> None:
    text = console.text_of(browser.get(reverse("rollout")))
    assert "Nothing was beyond a limit in these days. To try a limit before it binds, observe its gate" in text


def test_the_question_names_the_consequence_and_the_answer_is_on_record(
    browser: Client, api: Api, acme: Company, rival: Company
) -> None:
    roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR)
    own = roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR, rival.tenant)
    for company in (acme, rival):
        limit(company.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
        finish(api, company.tenant.ati_id, TASK, tokens_in=1)
    asked = console.text_of(browser.get(reverse("rollout-switch", args=["DAILY_QUOTA", "ENFORCE"])))
    assert "In the last 7 days that would have been 1 request of 1 tenant." in asked
    assert "in the last 7 days, by tenant ACME: 1 These keep a rule of their own" in asked
    assert f"RIVAL: observe, since {own.starts_at:%d %b %Y %H:%M} UTC" in asked
    assert "Say" not in asked
    assert "This field is required." in console.text_of(switch(browser, "DAILY_QUOTA", "ENFORCE", reason=""))
    switch(browser, "DAILY_QUOTA", "ENFORCE")
    rule = RolloutRule.objects.get(mode="ENFORCE")
    entry = LogEntry.objects.get(object_id=str(rule.pk))
    assert (str(entry.user), entry.get_change_message()) == (console.EMAIL, f"{rule}: It was watched long enough")
    assert not api.enforce("ACME", TASK, tokens_in=1)["allowed"]
    assert api.enforce("RIVAL", TASK, tokens_in=1)["allowed"]


def test_one_tenant_goes_first(browser: Client, api: Api, acme: Company, rival: Company) -> None:
    roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR)
    for company in (acme, rival):
        limit(company.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    switch(browser, "DAILY_QUOTA", "ENFORCE", tenant=acme.tenant.pk)
    assert not api.enforce("ACME", TASK, tokens_in=1)["allowed"]
    assert api.enforce("RIVAL", TASK, tokens_in=1)["allowed"]


def test_the_kill_switch_says_what_it_costs_needs_a_reason_and_is_ended(
    browser: Client, api: Api, acme: Company
) -> None:
    roll_out("ALL", "ENFORCE", LAST_YEAR, acme.tenant)
    asked = console.text_of(browser.get(reverse("rollout-switch", args=["ALL", "OFF"])))
    assert "Switch everything off?" in asked
    assert "What is used meanwhile is in no quota and in no bill, and cannot be had back." in asked
    assert "tenant" not in browser.get(reverse("rollout-switch", args=["ALL", "OFF"])).context["form"].fields
    switch(browser, "ALL", "OFF", reason="The database is on fire")
    assert api.enforce("ACME", TASK, tokens_in=1)["mode"] == "OFF"
    rule = RolloutRule.objects.get(mode="OFF")
    page = console.address(RolloutRule, "change", rule.pk)
    assert "It has begun and stays on record" in console.text_of(browser.get(page))
    assert browser.post(console.address(RolloutRule, "delete", rule.pk), {"post": "yes"}).status_code == 403
    end = reverse("admin:plans_rolloutrule_end", args=[rule.pk])
    assert "From the next request on it is as if it were not there" in console.text_of(browser.get(end))
    console.post(browser, end, {"confirmed": "yes", "reason": "It is out"})
    assert api.enforce("ACME", TASK, tokens_in=1)["mode"] == "ENFORCE"
    messages = [entry.get_change_message() for entry in LogEntry.objects.filter(object_id=str(rule.pk))]
    assert messages == ["Ended: It is out", f"{rule}: The database is on fire"]


@pytest.mark.parametrize("path", [("NOTHING", "ENFORCE"), ("BUDGET", "OFF"), ("BUDGET", "MAYBE")])
def test_there_is_no_switch_for_what_cannot_be(browser: Client, path: tuple[str, str]) -> None:
    assert browser.get(reverse("rollout-switch", args=path)).status_code == 404


def test_a_switch_is_not_set_back_in_time(browser: Client) -> None:
    answer = switch(browser, "BUDGET", "OBSERVE", starts_at_0="2020-01-01", starts_at_1="00:00")
    assert "That has passed" in console.text_of(answer)
    assert not RolloutRule.objects.exists()


def test_to_look_changes_nothing(browser: Client) -> None:
    question = reverse("rollout-switch", args=["ALL", "OFF"])
    for address in (reverse("rollout"), question, f"{question}?reason=Because&confirmed=yes"):
        assert browser.get(address).status_code == 200
    assert not RolloutRule.objects.exists()
    assert not LogEntry.objects.exists()


def test_nobody_but_a_super_admin_with_the_permission_comes_here(acme: Company) -> None:
    console.assert_only_those_with("plans.view_rolloutrule", reverse("rollout"), acme.owner.user)
    question = reverse("rollout-switch", args=["ALL", "OFF"])
    console.assert_only_those_with("plans.add_rolloutrule", question, acme.owner.user)
