"""The console's pages of the ledger: everything can be seen, nothing can be changed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.apps import apps
from django.db.models import Model
from django.test import Client

from plans.charges import Measure
from tenants.models import Tenant
from tests import cast, console
from tests.usage.rows import make_log, make_meter, make_rows
from usage.models import (
    Denial,
    HoldEstimate,
    RollupState,
    UsageLog,
    UsageMeter,
    UsageReservation,
)
from usage.queries import first_id_at

MODELS = console.models_of("usage")
OF_TENANTS = [model for model in MODELS if any(field.name == "tenant" for field in model._meta.fields)]


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


@pytest.fixture
def rows(acme: cast.Company) -> Tenant:
    make_rows(acme.tenant)
    return acme.tenant


def _more_rows() -> None:
    for n in range(3):
        make_rows(cast.make_tenant(f"MORE{n}", people=0).tenant)


def test_all_models_of_usage_have_pages() -> None:
    assert set(MODELS) == set(apps.get_app_config("usage").get_models())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_page_opens(model: type[Model], rows: Tenant) -> None:
    console.assert_every_page_opens(model)


@pytest.mark.parametrize(
    "model", [each for each in MODELS if each is not RollupState], ids=lambda model: model.__name__
)
def test_a_list_asks_no_question_per_row(model: type[Model], rows: Tenant) -> None:
    console.assert_list_costs_the_same_with_more_rows(model, _more_rows)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_nobody_changes_the_ledger_here(model: type[Model], rows: Tenant) -> None:
    """Defect 33: a usage reset that deleted rows."""
    console.assert_read_only(model)


def test_money_is_shown_in_usd_and_counts_with_separators(browser: Client, rows: Tenant) -> None:
    make_meter(rows, Measure.TOKENS, used=1_234_567)
    meters = console.text_of(browser.get(console.address(UsageMeter, "changelist")))
    assert "USD Month 1 Jan 2030 00:00 31.20" in meters
    assert "1,234,567" in meters
    log = console.text_of(browser.get(console.address(UsageLog, "changelist")))
    assert "Cost (USD)" in log
    assert "0.0025" in log
    assert "1,234,567" in log


def test_an_unlimited_meter_says_so_and_a_zero_is_a_zero(browser: Client, rows: Tenant) -> None:
    """Defect 4: no limit taken for 0."""
    unlimited = make_meter(rows, Measure.SLOTS, used=0)
    unlimited.limit_amount = None
    unlimited.save(update_fields=["limit_amount"])
    page = console.text_of(browser.get(console.address(UsageMeter, "change", unlimited.pk)))
    assert "Limit none" in page
    assert "Used 0" in page


def test_a_reservation_leads_to_its_meters_and_the_log_to_its_reservation(browser: Client, rows: Tenant) -> None:
    reservation, log, meter = UsageReservation.objects.get(), UsageLog.objects.get(), UsageMeter.objects.get()
    page = browser.get(console.address(UsageReservation, "change", reservation.pk)).content.decode()
    assert console.address(UsageMeter, "change", meter.pk) in page
    page = browser.get(console.address(UsageLog, "change", log.pk)).content.decode()
    assert console.address(UsageReservation, "change", reservation.pk) in page
    assert "USD 0.0025" in page


def test_lists_show_the_last_day_unless_asked_and_an_id_is_found_at_any_age(browser: Client, rows: Tenant) -> None:
    last_week = datetime.now(UTC) - timedelta(days=6)
    old = make_log(rows, UsageMeter.objects.get(), row=UUID(int=first_id_at(last_week).int + 1))
    address = console.address(UsageLog, "changelist")
    assert old not in browser.get(address).context["cl"].result_list
    for asked in ({"when": "7d"}, {"when": "any"}, {"q": str(old.pk)}):
        assert old in browser.get(address, asked).context["cl"].result_list


def test_the_log_of_a_reservation_is_found_by_its_id(browser: Client, rows: Tenant) -> None:
    reservation = UsageReservation.objects.get()
    make_log(rows, UsageMeter.objects.get())
    found = browser.get(console.address(UsageLog, "changelist"), {"q": str(reservation.pk)})
    assert [log.reservation_id for log in found.context["cl"].result_list] == [reservation.pk]


@pytest.mark.parametrize("model", OF_TENANTS, ids=lambda model: model.__name__)
def test_rows_of_one_tenant_are_filtered(
    browser: Client, rows: Tenant, rival: cast.Company, model: type[Model]
) -> None:
    make_rows(rival.tenant)
    page = browser.get(console.address(model, "changelist"), {"tenant__id__exact": str(rows.pk)})
    assert {row.tenant_id for row in page.context["cl"].result_list} == {rows.pk}


def test_an_estimate_shows_what_calls_use(browser: Client, rows: Tenant) -> None:
    estimate = HoldEstimate.objects.get()
    assert "1,234 50 / 500 95 / 950" in console.text_of(browser.get(console.address(HoldEstimate, "changelist")))
    assert "95% 95 950" in console.text_of(browser.get(console.address(HoldEstimate, "change", estimate.pk)))


@pytest.mark.parametrize(("code", "count"), [("BUDGET_EXCEEDED", 1), ("RATE_LIMITED", 0)])
def test_refusals_are_filtered_by_code(browser: Client, rows: Tenant, code: str, count: int) -> None:
    page = browser.get(console.address(Denial, "changelist"), {"code": code})
    assert len(page.context["cl"].result_list) == count


def test_a_tenants_calendar_changes_at_the_end_of_its_month(browser: Client, acme: cast.Company) -> None:
    address = console.address(Tenant, "change_calendar", acme.tenant.pk)
    assert "at the end of the running month" in console.text_of(browser.get(address))
    sent = {"confirmed": "yes", "timezone": "Asia/Kolkata", "anchor_day": 15}
    page = console.post(browser, address, sent)
    acme.tenant.refresh_from_db()
    assert (acme.tenant.timezone, acme.tenant.next_timezone) == ("UTC", "Asia/Kolkata")
    assert acme.tenant.next_billing_anchor_day == 15
    assert acme.tenant.next_calendar_at is not None
    assert "Asia/Kolkata, months from day 15" in console.text_of(page)
    refused = browser.post(address, sent | {"timezone": "Mars/Olympus"})
    assert "Mars/Olympus" in console.text_of(refused)
    refused = browser.post(address, sent | {"anchor_day": 32})
    assert "less than or equal to 31" in console.text_of(refused)
