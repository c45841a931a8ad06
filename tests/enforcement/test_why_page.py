"""Why a call was permitted or refused, as a super admin's browser shows it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from plans.models import PolicyRule
from tenants.models import Tenant
from tests import console
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit
from tests.enforcement.test_rollout_report import finish
from tests.usage.rows import make_log, make_meter, make_rows
from usage.models import Denial, UsageLog, UsageReservation

TASK = "LLM2_DRAFT"
FEATURE = "PATENT_DRAFTING"


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def why_of(answer: dict[str, Any]) -> str:
    return reverse("decision-why", args=["ACME", answer["decision_id"]])


def test_a_refusal_is_told_in_words_with_its_figures(browser: Client, api: Api, acme: Company) -> None:
    rule = limit(acme.tenant, "DAILY_QUOTA", 1_000, feature_id=FEATURE)
    refusal = api.enforce("ACME", TASK, user="u-1", tokens_in=5_000, tokens_out=1)
    page = browser.get(why_of(refusal))
    text = console.text_of(page)
    assert "Refused DAILY_QUOTA_EXCEEDED PATENT_DRAFTING: 5,001 tokens asked, 1,000 left of 1,000 today" in text
    assert "Resets in" in text
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
    assert "In the ledger reservation , log" in told
    UsageReservation.objects.all().delete()
    later = console.text_of(browser.get(why_of(permit)))
    assert later == told.replace("reservation , log", "log")


def test_what_was_only_observed_is_marked(browser: Client, api: Api, acme: Company) -> None:
    Tenant.objects.update(enforcement_mode="OBSERVE")
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id=FEATURE)
    text = console.text_of(browser.get(why_of(api.enforce("ACME", TASK, tokens_in=1))))
    assert "Permitted though DAILY_QUOTA_EXCEEDED would have refused, were it enforced" in text
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


def test_a_row_without_a_whole_decision_is_no_error(browser: Client, acme: Company) -> None:
    """One that was kept before decisions were, or by another hand."""
    make_rows(acme.tenant)
    reservation = UsageReservation.objects.get().pk
    assert UsageLog.objects.filter(reservation_id=reservation).exists()
    for row in (reservation, Denial.objects.get().pk):
        assert browser.get(reverse("decision-why", args=["ACME", row])).status_code == 404
    UsageReservation.objects.all().delete()
    assert browser.get(reverse("decision-why", args=["ACME", reservation])).status_code == 404


def test_usage_that_nothing_was_decided_about_has_no_link(browser: Client, acme: Company) -> None:
    fact = make_log(acme.tenant, make_meter(acme.tenant))
    page = browser.get(console.address(UsageLog, "change", fact.pk))
    assert "Why nothing was decided about it" in console.text_of(page)


def test_a_strangers_decision_is_not_this_tenants(browser: Client, api: Api, acme: Company, rival: Company) -> None:
    permit = api.enforce("RIVAL", TASK, tokens_in=1)
    assert browser.get(why_of(permit)).status_code == 404


def test_nobody_but_a_super_admin_who_may_see_reservations_reads_it(api: Api, acme: Company) -> None:
    address = why_of(api.enforce("ACME", TASK, tokens_in=1))
    console.assert_only_those_with("usage.view_usagereservation", address, acme.owner.user)
