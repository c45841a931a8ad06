"""Roll-out rules and a tenant's first cycle in the console, as a super admin's browser sees them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from plans.models import RolloutRule
from tenants.models import Tenant
from tests import console
from tests.cast import Company
from tests.enforcement.rules import roll_out

NOW = datetime.now(UTC)
NEW_TENANT = {
    "ati_id": "NEWCO", "name": "New", "enforcement_mode": "ENFORCE", "timezone": "Asia/Kolkata",
    "billing_anchor_day": 1,
}  # fmt: skip


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def test_a_rule_that_has_begun_is_ended_with_its_reason_on_record(browser: Client, acme: Company) -> None:
    rule = roll_out("BUDGET", "OBSERVE", NOW - timedelta(days=1), acme.tenant)
    page, end = (console.address(RolloutRule, name, rule.pk) for name in ("change", "end"))
    assert "It has begun and stays on record" in console.text_of(browser.get(page))
    assert f'href="{end}"' in browser.get(page).content.decode()
    assert browser.post(console.address(RolloutRule, "delete", rule.pk), {"post": "yes"}).status_code == 403
    asked = console.text_of(browser.get(end))
    assert "From the next request on it is as if it were not there" in asked
    assert "This field is required." in console.text_of(browser.post(end, {"confirmed": "yes", "reason": ""}))
    assert RolloutRule.objects.filter(ends_at=None).exists()
    console.post(browser, end, {"confirmed": "yes", "reason": "The canary sings"})
    assert not RolloutRule.objects.filter(ends_at=None).exists()
    entry = LogEntry.objects.get(object_id=str(rule.pk))
    assert (str(entry.user), entry.get_change_message()) == (console.EMAIL, "Ended: The canary sings")
    assert "It has begun and was ended" in console.text_of(browser.get(page))
    again = console.post(browser, end, {"confirmed": "yes", "reason": "Once more"})
    assert "It ended on" in console.text_of(again)
    assert LogEntry.objects.filter(object_id=str(rule.pk)).count() == 1


def test_a_rule_that_has_not_begun_is_changed_or_deleted_and_has_no_end(browser: Client, acme: Company) -> None:
    rule = roll_out("BUDGET", "OBSERVE", NOW + timedelta(days=1), acme.tenant)
    page = browser.get(console.address(RolloutRule, "change", rule.pk)).content.decode()
    assert console.address(RolloutRule, "delete", rule.pk) in page
    assert console.address(RolloutRule, "end", rule.pk) not in page


def test_a_rule_does_not_begin_in_the_past(browser: Client) -> None:
    sent = {"gate": "BUDGET", "mode": "OBSERVE", "starts_at_0": "2020-01-01", "starts_at_1": "00:00", "reason": "x"}
    answer = console.post(browser, console.address(RolloutRule, "add"), sent)
    assert "That has passed" in console.text_of(answer)
    assert not RolloutRule.objects.exists()


def test_the_first_cycle_is_watched_and_binds_from_its_month_end(browser: Client) -> None:
    console.post(browser, console.address(Tenant, "add"), {**NEW_TENANT, "first_cycle": "on"})
    first, second = RolloutRule.objects.filter(tenant__ati_id="NEWCO").order_by("starts_at")
    assert [(each.gate, each.mode) for each in (first, second)] == [
        ("DAILY_QUOTA", "OBSERVE"), ("DAILY_QUOTA", "ENFORCE"),
    ]  # fmt: skip
    assert (second.starts_at.hour, second.starts_at.minute, second.starts_at > first.starts_at) == (18, 30, True)
    assert LogEntry.objects.filter(object_id__in=[str(first.pk), str(second.pk)]).count() == 2


def test_a_new_tenant_is_enforced_where_nobody_asks_for_a_first_cycle(browser: Client) -> None:
    console.post(browser, console.address(Tenant, "add"), NEW_TENANT)
    assert Tenant.objects.filter(ati_id="NEWCO").exists()
    assert not RolloutRule.objects.exists()


def test_a_tenant_that_exists_is_not_asked_about_its_first_cycle(browser: Client, acme: Company) -> None:
    assert "first_cycle" not in browser.get(console.address(Tenant, "change", acme.tenant.pk)).content.decode()


def test_the_first_cycle_is_offered_to_those_who_may_write_its_rules(db: None) -> None:
    add = console.address(Tenant, "add")
    clerk = console.clerk("tenants.add_tenant", "tenants.view_tenant")
    assert "first_cycle" not in clerk.get(add).content.decode()
    console.post(clerk, add, {**NEW_TENANT, "first_cycle": "on"})
    assert Tenant.objects.filter(ati_id="NEWCO").exists()
    assert not RolloutRule.objects.exists()


def test_a_rule_is_ended_by_those_who_may_write_the_next_one(acme: Company) -> None:
    rule = roll_out("BUDGET", "OBSERVE", NOW - timedelta(days=1), acme.tenant)
    end = console.address(RolloutRule, "end", rule.pk)
    reader, writer = (
        console.clerk("plans.view_rolloutrule"),
        console.clerk("plans.view_rolloutrule", "plans.add_rolloutrule"),
    )
    sent = {"confirmed": "yes", "reason": "Enough"}
    assert [reader.get(end).status_code, reader.post(end, sent).status_code] == [403, 403]
    assert end not in reader.get(console.address(RolloutRule, "change", rule.pk)).content.decode()
    assert RolloutRule.objects.filter(ends_at=None).exists()
    assert writer.get(end).status_code == 200
    console.post(writer, end, sent)
    assert not RolloutRule.objects.filter(ends_at=None).exists()
