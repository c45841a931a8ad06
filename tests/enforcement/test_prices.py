"""What calls cost by what they used, which price that was, and what happens where there is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plans.models import LLMModel, ModelPrice, PriceUnit
from tenants.models import Tenant
from tests.cast import Company
from tests.enforcement.api import Api, body_of
from tests.enforcement.rules import limit, roll_out
from usage.models import Denial, UsageLog, UsageReservation

NOW = datetime.now(UTC)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def price(model_id: str, unit: PriceUnit, usd_per_million: int, *, is_batch: bool = False) -> ModelPrice:
    """A price of a model from long ago on."""
    return ModelPrice.objects.update_or_create(
        model=LLMModel.objects.get(model_id=model_id), unit=unit, is_batch=is_batch, above_input_tokens=0,
        valid_from=LONG_AGO, defaults={"nano_usd_per_million": usd_per_million * 10**9},
    )[0]  # fmt: skip


def hold(api: Api, **fields: Any) -> str:
    """The reservation of a draft of up to 1,000 tokens in and 1,000 out, of PRO_L."""
    answer = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1_000, tokens_out=1_000, **fields)
    return str(answer["reservation_id"])


def commit(api: Api, reservation: str, **body: Any) -> UsageLog:
    """The log row of a commit."""
    response = api.commit(reservation, **body)
    assert response.status_code == 200, response.content
    return UsageLog.objects.get(reservation_id=reservation, status__in=["COMPLETED", "FAILED"])


USED = {"input_tokens": 1_000, "output_tokens": 100}


# --- kinds of prices


def test_a_batched_call_costs_its_own_price(api: Api, acme: Company) -> None:
    single = commit(api, hold(api), usage=USED, model="gpt-4o")
    batched = commit(api, hold(api), usage=USED, model="gpt-4o", is_batch=True)
    assert (single.cost, batched.cost) == (3_500_000, 1_750_000)
    assert batched.price is not None
    assert batched.price["is_batch"] is True


def test_a_model_without_batch_prices_costs_batched_as_ever(api: Api, acme: Company) -> None:
    ModelPrice.objects.filter(is_batch=True).delete()
    assert commit(api, hold(api), usage=USED, model="gpt-4o", is_batch=True).cost == 3_500_000


def test_what_is_cached_for_an_hour_and_searches_cost_their_own_price(api: Api, acme: Company) -> None:
    """Defect 40: an hour of cache is dearer than five minutes, and neither is counted twice."""
    raw = {
        "input_tokens": 100, "cache_creation_input_tokens": 50, "cache_read_input_tokens": 20, "output_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20},
        "server_tool_use": {"web_search_requests": 2},
    }  # fmt: skip
    rates = {
        row.unit: row.nano_usd_per_million
        for row in ModelPrice.objects.filter(model__model_id="claude-opus-5-5", is_batch=False, above_input_tokens=0)
    }
    row = commit(api, hold(api), provider="anthropic", raw_usage=raw, model="claude-opus-5-5")
    used = {"INPUT": 100, "CACHED_INPUT": 20, "CACHE_WRITE": 30, "CACHE_WRITE_1H": 20, "OUTPUT": 10, "WEB_SEARCH": 2}
    assert row.cost == sum(rates[unit] * count for unit, count in used.items()) // 10**6
    assert (row.cache_write_tokens, row.input_tokens) == (50, 170)
    assert rates["CACHE_WRITE_1H"] > rates["CACHE_WRITE"]


def test_reasoning_and_calls_cost_their_own_price_where_they_have_one(api: Api, acme: Company) -> None:
    usage = USED | {"reasoning_tokens": 60}
    assert commit(api, hold(api), usage=usage, model="gpt-4o").cost == 3_500_000
    price("gpt-4o", PriceUnit.REASONING, 20)
    price("gpt-4o", PriceUnit.CALL, 5_000)
    one = commit(api, hold(api), usage=usage, model="gpt-4o")
    three = commit(api, hold(api), usage=usage | {"api_calls": 3}, model="gpt-4o")
    assert (one.cost, three.cost) == (3_500_000 + 60 * 10_000 + 5_000_000, 3_500_000 + 60 * 10_000 + 15_000_000)
    assert one.price is not None
    assert (one.price["api_calls"], one.price["rates"]["call"]) == (1, 5_000 * 10**9)


def test_an_explicit_zero_of_calls_or_searches_costs_nothing(api: Api, acme: Company) -> None:
    """Defect 41: 0 is not a missing number."""
    price("gpt-4o", PriceUnit.CALL, 5_000)
    assert commit(api, hold(api), usage=USED | {"api_calls": 0, "web_searches": 0}, model="gpt-4o").cost == 3_500_000


def test_a_failed_call_that_says_nothing_costs_nothing(api: Api, acme: Company) -> None:
    price("gpt-4o", PriceUnit.CALL, 5_000)
    assert commit(api, hold(api), status="failed", model="gpt-4o").cost == 0


# --- the hold


def test_a_hold_covers_calls_and_searches_that_are_asked_for(api: Api, acme: Company) -> None:
    """Defect 36: what stays within the permit stays within the hold, whatever it was used for."""
    plain = UsageReservation.objects.get(id=hold(api)).held_cost or 0
    body = body_of("ACME", "LLM2_DRAFT", tokens_in=1_000, tokens_out=1_000)
    body["estimate"]["web_searches"] = 3
    asked = api.post("/enforce", body, Idempotency_Key="searching").json()
    held = UsageReservation.objects.get(id=asked["reservation_id"])
    dearest = max(ModelPrice.objects.filter(unit="WEB_SEARCH").values_list("nano_usd_per_million", flat=True))
    assert plain + 3 * 10_000_000 <= (held.held_cost or 0) <= plain + 3 * dearest // 10**6
    spent = commit(api, str(held.id), usage=USED | {"web_searches": 3}, model="gpt-4o")
    assert set(spent.overruns) == {0}

    price("gpt-4o", PriceUnit.CALL, 5_000)
    assert UsageReservation.objects.get(id=hold(api, api_calls=2)).held_cost == plain + 10_000_000


def test_searches_without_a_price_are_refused_under_a_budget(api: Api, acme: Company) -> None:
    """Defect 39."""
    ModelPrice.objects.filter(unit="WEB_SEARCH", model__model_id="gpt-4o").delete()
    body = body_of("ACME", "LLM2_DRAFT", tokens_in=1, tokens_out=1)
    body["estimate"]["web_searches"] = 1
    assert api.post("/enforce", body, Idempotency_Key="a").json()["code"] == "PRICE_UNKNOWN"
    body["estimate"]["web_searches"] = 0
    assert api.post("/enforce", body, Idempotency_Key="b").json()["code"] == "OK"


def test_a_commit_that_names_no_model_is_priced_by_the_dearest_of_the_class(api: Api, acme: Company) -> None:
    price("gpt-4o", PriceUnit.CALL, 5_000)
    ModelPrice.objects.filter(unit="WEB_SEARCH").update(nano_usd_per_million=10_000 * 10**9)
    for model in LLMModel.objects.filter(model_class="PRO_L"):
        price(model.model_id, PriceUnit.WEB_SEARCH, 10_000)
    reservation = hold(api)
    rates = UsageReservation.objects.get(id=reservation).rates or []
    row = commit(api, reservation, usage=USED | {"web_searches": 2})
    assert row.cost == (1_000 * rates[0] + 100 * rates[3]) // 10**6 + 5_000_000 + 2 * 10_000_000
    assert (row.certainty, row.price) == ("FINAL", rates)


def test_searches_that_nobody_has_a_price_for_make_a_cost_unsure(api: Api, acme: Company) -> None:
    """Defect 39."""
    ModelPrice.objects.filter(unit="WEB_SEARCH").delete()
    for named in ({}, {"model": "gpt-4o"}):
        row = commit(api, hold(api), usage=USED | {"web_searches": 2}, **named)
        assert row.certainty == "ESTIMATED"
        assert (row.cost or 0) >= 3_500_000


# --- which price it was


def test_the_log_says_which_price_it_was_and_tenants_do_not_see_it(api: Api, acme: Company) -> None:
    row = commit(api, hold(api), usage=USED, model="gpt-4o", api_code="OPENAI")
    assert row.price == {
        "provider": "OPENAI",
        "model": "gpt-4o",
        "valid_from": row.price["valid_from"] if row.price else None,
        "above_input_tokens": 0,
        "rates": {
            "input": 2_500_000_000, "cached_input": 1_250_000_000, "output": 10_000_000_000,
            "web_search": 10_000_000_000_000,
        },
    }  # fmt: skip
    began = datetime.fromisoformat(row.price["valid_from"])
    assert ModelPrice.objects.filter(model__model_id="gpt-4o", valid_from=began).exists()
    for path in ("/usage/logs", f"/decisions/{row.reservation_id}", f"/reservations/{row.reservation_id}"):
        answer = api.get(path, tenant="ACME")
        assert answer.status_code == 200
        assert b"gpt-4o" not in answer.content


def test_a_late_commit_is_priced_as_of_its_reservation(api: Api, acme: Company) -> None:
    reservation = hold(api)
    model = LLMModel.objects.get(model_id="gpt-4o")
    ModelPrice.objects.create(
        model=model, unit="INPUT", nano_usd_per_million=10**12, valid_from=datetime.now(UTC) + timedelta(milliseconds=5)
    )
    assert commit(api, reservation, usage=USED, model="gpt-4o").cost == 3_500_000


def test_an_unpriced_model_keeps_with_the_log_what_its_price_will_need(api: Api, acme: Company) -> None:
    usage = USED | {"cache_write_tokens": 9, "cache_write_1h_tokens": 7, "web_searches": 2}
    row = commit(api, hold(api), usage=usage, model="brand-new", is_batch=True)
    assert row.price == {"cache_write_1h_tokens": 7, "web_searches": 2, "is_batch": True}
    assert row.certainty == "ESTIMATED"


# --- no price at all


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("DAILY_BUDGET", {}),
        ("MONTHLY_BUDGET", {}),
        ("DAILY_BUDGET", {"task_id": "LLM2_DRAFT"}),
        ("MONTHLY_BUDGET", {"task_id": "LLM2_DRAFT"}),
        ("MONTHLY_BUDGET", {"feature_id": "PATENT_DRAFTING"}),
    ],
)
def test_an_unknown_price_is_refused_under_each_money_limit(
    api: Api, acme: Company, key: str, fields: dict[str, str]
) -> None:
    """Defect 39: never taken as 0."""
    plans_budget_is_off = limit(acme.tenant, "MONTHLY_BUDGET", None)
    if (key, fields) == ("MONTHLY_BUDGET", {}):
        plans_budget_is_off.delete()
    else:
        limit(acme.tenant, key, 10**12, **fields)
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "OK"
    ModelPrice.objects.filter(model__model_class="PRO_L", model__model_id="gpt-4o").delete()
    refused = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)
    assert (refused["code"], refused["retryable"], refused["reservation_id"]) == ("PRICE_UNKNOWN", False, None)
    assert Denial.objects.get(code="PRICE_UNKNOWN").tenant == acme.tenant
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1, model_class="BASE_S")["code"] == "OK"


def test_an_unknown_price_is_only_told_where_the_budget_is_observed(api: Api, acme: Company) -> None:
    ModelPrice.objects.all().delete()
    roll_out("BUDGET", "OBSERVE", NOW - timedelta(hours=1), acme.tenant)
    answer = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1_000, tokens_out=1_000)
    assert (answer["allowed"], answer["estimated_cost"]) == (True, None)
    assert [each["code"] for each in answer["would_deny"]] == ["PRICE_UNKNOWN"]
    row = commit(api, answer["reservation_id"], usage=USED, model="gpt-4o")
    assert (row.cost, row.certainty) == (None, "ESTIMATED")

    Tenant.objects.update(enforcement_mode="OBSERVE")
    again = api.enforce("ACME", "LLM2_DRAFT", tokens_in=1_000, tokens_out=1_000)
    assert [each["code"] for each in again["would_deny"]] == ["PRICE_UNKNOWN"]
