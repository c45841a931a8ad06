"""Prices that nobody may have meant, each beside those that are as ever."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts import detectors
from alerts.detectors import QUARTERLY, prices
from alerts.models import AlertKind, QuotaAlert
from plans.models import LLMModel, ModelPrice
from tests.cast import Company
from usage.models import TenantDayRollup, TenantRollup

NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
USD = 10**9
pytestmark = pytest.mark.django_db


def entered(model: LLMModel, usd: float, valid_from: datetime, **fields: Any) -> ModelPrice:
    return ModelPrice.objects.create(
        **{
            "model": model, "unit": "INPUT", "nano_usd_per_million": int(usd * USD), "valid_from": valid_from,
            "above_input_tokens": 77,  # a tier of its own, so that the seeded prices are not the ones before
        } | fields
    )  # fmt: skip


@pytest.fixture
def model() -> LLMModel:
    found = LLMModel.objects.filter(is_active=True).first()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("before", "now", "is_told"),
    [(3, 3, False), (3, 8.9, False), (3, 9, True), (3, 1, True), (3, 1.1, False), (3, 900, True), (0, 3, True),
     (3, 0, True), (0, 0, False)],
)  # fmt: skip
def test_a_new_price_that_is_three_times_the_one_before_is_told_super_admins(
    before: float, now: float, is_told: bool, model: LLMModel
) -> None:
    assert list(prices.unusual(NOW)) == [], "the seeded prices have none before them"
    entered(model, before, NOW - 90 * DAY)
    price = entered(model, now, NOW + DAY)
    found = list(prices.unusual(NOW))
    assert len(found) == is_told
    for each in found:
        assert (each.tenant, each.kind) == (None, AlertKind.UNUSUAL_PRICE)
        assert each.numbers["lately"] == price.nano_usd_per_million
        assert each.numbers["model"] == model.model_id
    assert list(prices.unusual(NOW + 8 * DAY)) == [], "no news any more"


def test_a_price_is_compared_with_the_one_before_of_the_same_thing(model: LLMModel) -> None:
    entered(model, 3, NOW - 90 * DAY)
    entered(model, 90, NOW - DAY, unit="OUTPUT")
    entered(model, 90, NOW - DAY, above_input_tokens=78)
    entered(model, 90, NOW - DAY, is_batch=True)
    assert list(prices.unusual(NOW)) == []


def used(
    company: Company, model: type[TenantRollup] | type[TenantDayRollup], slot: datetime, usd: float, **more: Any
) -> None:
    """A million tokens of drafting with PRO_L."""
    numbers = dict.fromkeys(
        ("unpriced", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "api_calls", "items", "units",
         "latencies", "latency_ms", "held_tokens", "held_tokens_used", "held_cost", "held_cost_used"), 0,
    )  # fmt: skip
    model.objects.create(
        **numbers
        | {"tenant": company.tenant, "slot": slot, "feature_id": "PATENT_DRAFTING", "task_id": "LLM2_DRAFT",
           "model_class_id": "PRO_L", "status": "COMPLETED", "bookings": 9, "input_tokens": 900_000,
           "output_tokens": 100_000, "cost": int(usd * USD), "latency_histogram": []}
        | more
    )  # fmt: skip


def used_for_days(company: Company, days: int, usd: float = 4, **more: Any) -> None:
    for number in range(2, days + 2):
        used(company, TenantDayRollup, TODAY - number * DAY, usd + number % 3 / 10, **more)


def lately(company: Company, usd: float, **more: Any) -> None:
    used(company, TenantRollup, NOW.replace(minute=NOW.minute // 15 * 15, second=0, microsecond=0), usd, **more)


@pytest.mark.parametrize(
    ("usd", "is_told"), [(4, False), (6, False), (40, True), (4_000, True), (0.004, True), (0, True)]
)
def test_what_a_token_costs_is_told_where_it_is_far_from_what_it_cost(
    usd: float, is_told: bool, acme: Company, rival: Company
) -> None:
    used_for_days(rival, 14)
    lately(acme, usd)
    found = list(prices.unusual(NOW))
    assert len(found) == is_told
    for each in found:
        assert (each.tenant, each.kind) == (None, AlertKind.UNUSUAL_PRICE)
        assert (each.numbers["task"], each.numbers["model_class"]) == ("LLM2_DRAFT", "PRO_L")
        assert (each.numbers["lately"], each.numbers["basis"]) == (int(usd * USD), 14)


def test_a_thin_past_few_tokens_and_what_has_no_price_say_nothing(acme: Company) -> None:
    used_for_days(acme, 7)
    lately(acme, 4_000)
    assert list(prices.unusual(NOW)) == []
    used_for_days(acme, 20, usd=5, task_id="LLM1_PRIOR_ART")
    lately(acme, 4_000, task_id="LLM1_PRIOR_ART", input_tokens=9_000, output_tokens=0)
    assert list(prices.unusual(NOW)) == []
    TenantRollup.objects.filter(task="LLM1_PRIOR_ART").update(input_tokens=900_000, unpriced=1)
    assert list(prices.unusual(NOW)) == []


def test_it_is_told_once_and_resolved_when_the_price_is_as_ever(acme: Company) -> None:
    used_for_days(acme, 14)
    lately(acme, 4_000)
    rows = QuotaAlert.objects.of_operators().filter(kind=AlertKind.UNUSUAL_PRICE)
    for _ in range(2):
        detectors.detect(QUARTERLY)
        assert rows.open().count() == 1
    TenantRollup.objects.update(cost=4 * USD)
    detectors.detect(QUARTERLY)
    assert (rows.count(), rows.open().count()) == (1, 0)
