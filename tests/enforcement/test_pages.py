"""The console's pages about decisions and the roll-out, as a super admin's browser sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from plans.models import PolicyRule, RolloutRule
from tenants.models import Tenant
from tests import console
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit, roll_out
from tests.enforcement.test_rollout_report import finish
from usage.models import Denial, UsageLog, UsageReservation

NOW = datetime.now(UTC)
LAST_YEAR = NOW - timedelta(days=365)
TASK = "LLM2_DRAFT"
FEATURE = "PATENT_DRAFTING"


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def why_of(answer: dict[str, Any]) -> str:
    return reverse("decision-why", args=["ACME", answer["decision_id"]])


def switch(browser: Client, gate: str, mode: str, **sent: Any) -> Any:
    """The answer to the question before a gate is switched."""
    fields = {"tenant": "", "starts_at_0": "", "starts_at_1": "", "reason": "It was watched long enough", **sent}
    return browser.post(reverse("rollout-switch", args=[gate, mode]), fields, follow=True)


# --- why? -----------------------------------------------------------------------


def test_a_refusal_is_told_in_words_with_its_figures(browser: Client, api: Api, acme: Company) -> None:
    rule = limit(acme.tenant, "DAILY_QUOTA", 1_000, feature_id=FEATURE)
    refusal = api.enforce("ACME", TASK, user="u-1", tokens_in=5_000, tokens_out=1)
    page = browser.get(why_of(refusal))
    text = console.text_of(page)
    assert "Refused DAILY_QUOTA_EXCEEDED PATENT_DRAFTING: 5,001 tokens asked, 1,000 left of 1,000 today" in text
    assert "It resets in" in text
    assert "Limit 1,000 tokens Left 1,000 Asked 5,001 Used 0 Held 0" in text
    assert f'href="{console.address(PolicyRule, "change", rule.pk)}"' in page.content.decode()
    rule.delete()
    assert "It is for PATENT_DRAFTING for the tenant" in console.text_of(browser.get(why_of(refusal)))


def test_a_permit_is_told_with_its_steps_and_outlives_its_reservation(browser: Client, api: Api, acme: Company) -> None:
    permit = finish(api, "ACME", TASK, user="u-1", tokens_in=1_000, tokens_out=9_000)
    told = console.text_of(browser.get(why_of(permit)))
    assert "Permitted with less than was asked" in told
    assert "Of 9,000 output tokens asked 8,000 are granted: that is the cap MAX_TOKENS_OUT." in told
    assert "Limit USD 50.00" in told
    UsageReservation.objects.all().delete()
    assert console.text_of(browser.get(why_of(permit))) == told


def test_what_was_only_observed_is_marked(browser: Client, api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    text = console.text_of(browser.get(why_of(api.enforce("ACME", TASK, tokens_in=1))))
    assert "Enforced, it would have been refused: DAILY_QUOTA_EXCEEDED" in text
    assert "Daily quota Would refuse" in text


def test_the_rows_of_the_ledger_lead_there(browser: Client, api: Api, acme: Company) -> None:
    permit = finish(api, "ACME", TASK, tokens_in=1)
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    refusal = api.enforce("ACME", TASK, tokens_in=1)
    for model, row, decision in (
        (UsageReservation, permit["reservation_id"], permit),
        (UsageLog, UsageLog.objects.get().pk, permit),
        (Denial, refusal["decision_id"], refusal),
    ):
        assert f'href="{why_of(decision)}"' in browser.get(console.address(model, "change", row)).content.decode()


def test_a_decision_that_is_gone_says_where_to_look(browser: Client, acme: Company) -> None:
    gone = {"decision_id": "0199f0c2-6f1e-7c3a-9d5e-0242ac120002"}
    page = browser.get(why_of(gone))
    assert page.status_code == 404
    assert "Refusals are kept for 90 days" in console.text_of(page)
    assert browser.get(reverse("decision-why", args=["NOBODY", gone["decision_id"]])).status_code == 404


def test_a_strangers_decision_is_not_this_tenants(browser: Client, api: Api, acme: Company, rival: Company) -> None:
    permit = api.enforce("RIVAL", TASK, tokens_in=1)
    assert browser.get(why_of(permit)).status_code == 404


# --- roll-out -------------------------------------------------------------------


def test_each_gate_has_a_row_that_says_how_it_stands(browser: Client, api: Api, acme: Company, rival: Company) -> None:
    roll_out("DAILY_QUOTA", "OBSERVE", LAST_YEAR)
    roll_out("DAILY_QUOTA", "ENFORCE", LAST_YEAR, rival.tenant)
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    limit(rival.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    finish(api, "ACME", TASK, tokens_in=1)
    api.enforce("RIVAL", TASK, tokens_in=1)
    text = console.text_of(browser.get(reverse("rollout")))
    assert (
        f"Daily quota Observe {LAST_YEAR:%d %b %Y %H:%M} a test RIVAL enforce 1 request of 1 tenant 1 request" in text
    )
    assert "Monthly quota Enforce – – none none Observe" in text
    assert "ACME DAILY_QUOTA_EXCEEDED 1 0" in text


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
    assert "1 request of 1 tenant would have been refused in the last 7 days." in asked
    assert f"In the last 7 days ACME: 1 These keep a rule of their own {own}" in asked
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


def test_the_first_cycle_is_watched_and_binds_from_its_month_end(browser: Client) -> None:
    sent = {
        "ati_id": "NEWCO", "name": "New", "enforcement_mode": "ENFORCE", "timezone": "Asia/Kolkata",
        "billing_anchor_day": 1, "first_cycle": "on",
    }  # fmt: skip
    console.post(browser, console.address(Tenant, "add"), sent)
    first, second = RolloutRule.objects.filter(tenant__ati_id="NEWCO").order_by("starts_at")
    assert [(each.gate, each.mode) for each in (first, second)] == [
        ("DAILY_QUOTA", "OBSERVE"), ("DAILY_QUOTA", "ENFORCE"),
    ]  # fmt: skip
    assert (second.starts_at.hour, second.starts_at.minute, second.starts_at > first.starts_at) == (18, 30, True)
    assert LogEntry.objects.filter(object_id=str(first.pk)).exists()


def test_a_new_tenant_is_enforced_where_nobody_asks_for_a_first_cycle(browser: Client) -> None:
    sent = {
        "ati_id": "NEWCO", "name": "New", "enforcement_mode": "ENFORCE", "timezone": "UTC", "billing_anchor_day": 1,
    }  # fmt: skip
    console.post(browser, console.address(Tenant, "add"), sent)
    assert Tenant.objects.filter(ati_id="NEWCO").exists()
    assert not RolloutRule.objects.exists()


def test_nobody_but_a_super_admin_sees_them(api: Api, acme: Company) -> None:
    permit = api.enforce("ACME", TASK, tokens_in=1)
    client = console.browser()
    client.force_login(acme.owner.user)
    for address in (why_of(permit), reverse("rollout"), reverse("rollout-switch", args=["ALL", "OFF"])):
        assert client.get(address).status_code == 302
        assert console.browser().get(address).status_code == 302
