"""The first page of a tenant: its numbers are the ledger's, and nobody else sees them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from plans.charges import Measure, PeriodKind
from plans.models import LLMModel, Plan, PolicyRule, RuleKey, RuleScope
from tenants.models import ATIToken, Role, Tenant, TenantStatus, User
from tests import cast
from tests.cast import Company
from tests.enforcement.api import Api
from tests.usage import rolled
from tests.usage.pages import USED, browser, spend, words
from tests.usage.rows import make_log, make_meter
from usage.models import UsageMeter

PAGE = "/t/ACME/"


@pytest.fixture
def api(svc: str) -> Api:
    return Api(svc)


def test_a_card_shows_what_is_used_held_left_and_limited(api: Api, acme: Company) -> None:
    spend(api, "ACME")
    api.enforce("ACME", "LLM2_DRAFT", tokens_in=2_000, tokens_out=1_000)
    said = words(browser(acme.owner.user), PAGE)
    meter = UsageMeter.objects.get(
        tenant=acme.tenant, feature="PATENT_DRAFTING", measure=Measure.UNITS, period=PeriodKind.MONTH
    )
    assert (meter.used, meter.reserved) == (1_500, 3_000)
    assert "Patent drafting 1,500 of 5,000,000 tokens this period" in said
    assert "4,995,500 left · 3,000 held" in said
    assert "Today 1,500 of 500,000 tokens" in said
    assert "Calls at once 1 of 3 calls open now" in said


def test_the_spend_is_the_ledgers(api: Api, acme: Company) -> None:
    spend(api, "ACME")
    cost = UsageMeter.objects.get(tenant=acme.tenant, measure=Measure.COST, period=PeriodKind.MONTH).used
    assert cost > 10_000_000
    assert f"Spend USD {cost / 10**9:,.2f} of 50.00 this period" in words(browser(acme.owner.user), PAGE)


def test_a_quota_almost_gone_is_said_in_words(api: Api, acme: Company) -> None:
    rule = PolicyRule.objects.create(
        scope=RuleScope.TENANT, tenant=acme.tenant, feature_id="PATENT_DRAFTING", key=RuleKey.MONTHLY_QUOTA,
        value=10_000, reason="test",
    )  # fmt: skip
    spend(api, "ACME", input_tokens=7_500)
    assert "80.0 % used, getting short" in words(browser(acme.owner.user), PAGE)
    PolicyRule.objects.filter(pk=rule.pk).update(value=8_000)
    assert "100.0 % used, almost gone" in words(browser(acme.owner.user), PAGE)


def test_a_refusal_is_shown_with_its_reason_and_what_to_do(api: Api, acme: Company) -> None:
    refused = api.enforce("ACME", "EMBED", tokens_in=5)
    said = words(browser(acme.owner.user), PAGE)
    assert refused["message"] in said
    page = browser(acme.owner.user).get(PAGE).content.decode()
    assert "/errors/FEATURE_UNAVAILABLE" in page


def test_an_empty_page_says_how_to_begin(acme: Company) -> None:
    said = words(browser(acme.owner.user), PAGE)
    assert "Nothing has been used yet" in said
    assert "Nothing was refused" in said
    assert "Patent drafting 0 of 5,000,000 tokens this period" in said


def test_a_pace_that_ends_before_the_period_is_announced(committed: None, api: Api, acme: Company) -> None:
    """The basis is stated; the last days' events make the pace."""
    PolicyRule.objects.create(
        scope=RuleScope.TENANT, tenant=acme.tenant, feature_id="PATENT_DRAFTING", key=RuleKey.MONTHLY_QUOTA,
        value=2_000, reason="test",
    )  # fmt: skip
    now = datetime.now(UTC)
    event = {
        "id": "1", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": USED,
        "occurred_at": (now - timedelta(days=3)).isoformat(),
    }  # fmt: skip
    assert api.post("/usage/events", event).status_code == 200
    for id_ in ("2", "3"):
        today = event | {"id": id_, "occurred_at": now.isoformat()}
        assert api.post("/usage/events", today).status_code == 200
    rolled.fill()
    assert "Patent drafting will run out on" in words(browser(acme.owner.user), PAGE)


def test_whoever_sees_only_themselves_sees_nobody_else(api: Api, acme: Company) -> None:
    spend(api, "ACME", user="somebody-else")
    viewer = acme.people[0].user
    assert "somebody-else" in words(browser(acme.owner.user), PAGE)
    said = words(browser(viewer), PAGE)
    assert "somebody-else" not in said
    assert "People this period" not in said
    assert "Calls 0 0" in said
    User.objects.filter(pk=viewer.pk).update(is_shown_all_usage=True)
    assert "somebody-else" in words(browser(viewer), PAGE)


def test_a_person_is_shown_by_name_and_a_key_as_it_is(api: Api, acme: Company) -> None:
    User.objects.filter(pk=acme.owner.user.pk).update(name="Ada Owner")
    spend(api, "ACME", user=str(acme.owner.user.pk))
    spend(api, "ACME", user="u-17")
    said = words(browser(acme.owner.user), PAGE)
    assert "Ada Owner 1" in said
    assert "u-17 1" in said


def test_a_tenant_without_a_plan_is_told_so(acme: Company) -> None:
    ATIToken.objects.filter(pk=acme.root.pk).update(plan_ends_at=datetime(2025, 2, 1, tzinfo=UTC))
    assert "No plan is in force." in words(browser(acme.owner.user), PAGE)


def test_a_suspended_tenant_is_told_so(acme: Company) -> None:
    Tenant.objects.filter(pk=acme.tenant.pk).update(status=TenantStatus.SUSPENDED)
    assert "This organisation is suspended" in words(browser(acme.owner.user), PAGE)


def test_times_are_told_in_the_tenants_zone(acme: Company) -> None:
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone="Asia/Kolkata")
    said = words(browser(acme.owner.user), PAGE)
    assert "Times are in Asia/Kolkata." in said
    assert re.search(r"Resets in .+?, on \d+ \w+ at 00:00", said)


def test_a_stranger_and_a_typo_get_404_and_who_is_not_logged_in_the_log_in(acme: Company, rival: Company) -> None:
    assert browser(rival.owner.user).get(PAGE).status_code == 404
    assert browser(acme.owner.user).get("/t/NOBODY/").status_code == 404
    away = Client().get(PAGE)
    assert (away.status_code, away["Location"]) == (302, "/accounts/login/?next=/t/ACME/")
    part = Client().get(PAGE, headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/t/ACME/"})
    assert part["HX-Redirect"] == "/accounts/login/?next=%2Ft%2FACME%2F"


def test_a_super_admin_may_look_on(acme: Company) -> None:
    boss = User.objects.create_superuser("boss@site.example")
    said = words(browser(boss), PAGE)
    assert "You are looking at this organisation's pages as a super admin." in said


def test_no_models_id_appears(api: Api, acme: Company) -> None:
    spend(api, "ACME")
    page = browser(acme.owner.user).get(PAGE).content.decode()
    assert [model.model_id for model in LLMModel.objects.all() if model.model_id in page] == []


@pytest.mark.parametrize(("headers", "most"), [({}, 36), ({"HX-Request": "true"}, 22)])
def test_it_takes_a_fixed_number_of_queries(api: Api, acme: Company, headers: dict[str, str], most: int) -> None:
    """The part that renews itself takes fewer."""
    client = browser(acme.owner.user)
    spend(api, "ACME", user="u-1")
    client.get(PAGE, headers=headers)
    with CaptureQueriesContext(connection) as few:
        client.get(PAGE, headers=headers)
    for number in range(3):
        spend(api, "ACME", "LLM1_PRIOR_ART", user=f"u-{number}")
    with CaptureQueriesContext(connection) as many:
        client.get(PAGE, headers=headers)
    assert len(many) == len(few) <= most


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ANALYST, Role.VIEWER])
def test_only_who_manages_is_offered_people_and_tokens(acme: Company, role: Role) -> None:
    User.objects.filter(pk=acme.people[0].user.pk).update(role=role)
    client = browser(acme.people[0].user)
    assert "/t/ACME/people/" not in client.get(PAGE).content.decode()
    assert client.get("/t/ACME/people/").status_code == 403
    assert "/t/ACME/people/" in browser(acme.owner.user).get(PAGE).content.decode()


def test_every_seeded_plan_has_a_page(svc: str) -> None:
    for plan in Plan.objects.filter(status="ACTIVE"):
        company = cast.make_tenant(f"T-{plan.code}", plan.code, people=0)
        assert f"{plan.name} plan" in words(browser(company.owner.user), f"/t/T-{plan.code}/")


def test_in_the_last_hour_of_a_day_of_25_hours_no_call_of_today_is_yesterdays(acme: Company) -> None:
    Tenant.objects.filter(pk=acme.tenant.pk).update(timezone="America/New_York")
    meter = make_meter(acme.tenant)
    with time_machine.travel("2026-11-01T04:20Z", tick=False):
        make_log(acme.tenant, meter)
    with time_machine.travel("2026-11-02T04:40Z", tick=False):
        said = words(browser(acme.owner.user), PAGE)
    assert "Calls 1 0 – 0" in said
