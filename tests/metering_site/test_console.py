"""The console's home: what needs attention, how many of it, and a link to where it is."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.models import AlertKind, Severity
from alerts.noticing import Noticed, notice, resolve
from metering_site.console import Line, lines
from plans.models import LLMModel, ModelPrice
from tests import cast, console
from tests.enforcement.api import Api
from tests.enforcement.rules import roll_out
from tests.usage.rows import make_log, make_meter
from usage import ledger
from usage.entries import End, Ending
from usage.models import UsageLog

USED = {"input_tokens": 1_000, "output_tokens": 100}
OLD_DAY = datetime(2026, 1, 1, tzinfo=UTC)
OLD = UUID("00000000-0001-7000-8000-000000000000")


@pytest.fixture
def browser(db: None) -> Client:
    return console.super_admin()


def line(what: str) -> Line | None:
    """The line about something, where there is one."""
    return next((each for each in lines(timezone.now()) if what in each.what), None)


def listed(browser: Client, of: Line) -> list[str]:
    """The keys of the rows that its link leads to."""
    answer = browser.get(of.link)
    assert answer.status_code == 200
    return [str(row.pk) for row in answer.context["cl"].result_list]


def call(api: Api, **body: object) -> UsageLog:
    reservation = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1_000, tokens_out=1_000)["reservation_id"]
    assert api.commit(reservation, **body).status_code == 200
    found: UsageLog = UsageLog.objects.get(reservation_id=reservation)
    return found


def test_where_all_is_well_the_home_says_so(browser: Client) -> None:
    page = browser.get("/admin/")
    assert page.status_code == 200
    assert page.context["attention"] == []
    assert "Needs attention Nothing at present." in console.text_of(page)
    assert f'href="{reverse("rollout")}"' in page.content.decode()


def test_alerts_of_super_admins_that_still_hold_need_attention(browser: Client, acme: cast.Company) -> None:
    assert line("alert") is None
    told = [
        Noticed(
            tenant=tenant, kind=AlertKind.UNPRICED, severity=Severity.WARNING, subject="model=x", threshold=0,
            episode="today", numbers={},
        )
        for tenant in (None, acme.tenant.id)
    ]  # fmt: skip
    now = timezone.now()
    ids = notice(told, now)
    found = line("alert")
    assert found is not None
    assert (found.count, found.what) == ("1", "open alert")
    assert len(listed(browser, found)) == 1
    assert "1 open alert" in console.text_of(browser.get("/admin/"))
    resolve(ids, now)
    assert line("alert") is None


def test_gates_that_are_only_observed_need_attention(browser: Client, acme: cast.Company) -> None:
    roll_out("BUDGET", "ENFORCE", OLD_DAY)
    roll_out("DAILY_QUOTA", "OBSERVE", OLD_DAY, acme.tenant)
    assert line("observed") is None
    roll_out("DAILY_QUOTA", "OBSERVE", OLD_DAY)
    found = line("observed")
    assert found is not None
    assert (found.count, found.what) == ("1", "gate observed, and not enforced, for everybody")
    assert "daily quota." in found.todo
    assert browser.get(found.link).status_code == 200


def test_the_kill_switch_needs_attention_before_all_else(browser: Client) -> None:
    LLMModel.objects.get(model_id="gpt-4o").prices.all().delete()
    roll_out("DAILY_QUOTA", "OBSERVE", OLD_DAY)
    roll_out("ALL", "OFF", OLD_DAY)
    first, second = lines(timezone.now())
    assert (first.count, first.what) == ("All", "gates are off for everybody")
    assert "without a price" in second.what


def test_an_active_model_without_a_price_needs_attention(browser: Client) -> None:
    """Defect 39: an unknown price is looked at, not counted as 0."""
    model = LLMModel.objects.get(model_id="gpt-4o")
    model.prices.filter(unit="OUTPUT", is_batch=False).delete()
    found = line("without a price")
    assert found is not None
    assert (found.count, "gpt-4o" in found.todo) == ("1", True)
    assert listed(browser, found) == [str(model.pk)]
    assert "1 active model without a price" in console.text_of(browser.get("/admin/"))

    price = ModelPrice.objects.create(
        model=model, unit="OUTPUT", nano_usd_per_million=1, valid_from=timezone.now() + timedelta(days=1)
    )
    assert line("without a price") is not None  # it has not begun
    price.valid_from = timezone.now() - timedelta(days=1)
    price.save(update_fields=["valid_from"])
    assert line("without a price") is None
    price.delete()
    model.is_active = False
    model.save(update_fields=["is_active"])
    assert line("without a price") is None


def test_the_list_of_models_is_filtered_by_price(browser: Client) -> None:
    ModelPrice.objects.filter(model__model_id="gpt-4o").delete()
    address = console.address(LLMModel, "changelist")
    unpriced = browser.get(address, {"priced": "no"}).context["cl"].result_list
    priced = browser.get(address, {"priced": "yes"}).context["cl"].result_list
    assert [row.model_id for row in unpriced] == ["gpt-4o"]
    assert len(priced) == LLMModel.objects.count() - 1


def test_calls_of_unknown_cost_need_attention_until_they_are_corrected(
    browser: Client, api: Api, acme: cast.Company
) -> None:
    call(api, usage=USED, model="gpt-4o")
    assert line("not sure") is None
    estimated = call(api, usage=USED, model="brand-new")
    unknown = call(api, model="gpt-4o")
    found = line("not sure")
    assert found is not None
    assert (found.count, "brand-new, gpt-4o" in found.todo) == ("2", True)
    assert set(listed(browser, found)) == {str(estimated.pk), str(unknown.pk)}

    right = End(kind=Ending.COMPLETED, totals=(None,) * 7, fingerprint="", cost=1)
    ledger.correct(acme.tenant.id, estimated.id, right)
    found = line("not sure")
    assert found is not None
    assert found.count == "1"
    ledger.correct(acme.tenant.id, unknown.id, right)
    assert line("not sure") is None


def test_rows_that_no_partition_took_need_attention(browser: Client, acme: cast.Company) -> None:
    meter = make_meter(acme.tenant)
    make_log(acme.tenant, meter)
    assert line("default partition") is None
    make_log(acme.tenant, meter, row=OLD)
    found = line("default partition")
    assert found is not None
    assert found.count == "1"
    assert str(OLD) in listed(browser, found)


def test_many_are_counted_up_to_a_bound(acme: cast.Company, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = make_meter(acme.tenant)
    monkeypatch.setattr("usage.attention.MOST", 2)
    monkeypatch.setattr("metering_site.console.MOST", 2)
    for n in range(3):
        make_log(acme.tenant, meter, row=UUID(int=OLD.int + n))
    found = line("default partition")
    assert found is not None
    assert found.count == "2 or more"


def test_what_is_old_is_no_longer_pressing(acme: cast.Company) -> None:
    assert lines(datetime(2020, 1, 1, tzinfo=UTC))  # before any price began
    assert not lines(timezone.now())
