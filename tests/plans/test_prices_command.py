"""`manage.py prices`: the installed list beside ours."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.utils import timezone
from genai_prices.data import providers
from genai_prices.types import ModelPrice as ListedPrice

from plans.models import LLMModel, ModelPrice, PriceUnit

pytestmark = pytest.mark.django_db

BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)


def prices(action: str, *options: str) -> str:
    """What the command says, on one line."""
    out = StringIO()
    call_command("prices", action, *options, stdout=out)
    return " ".join(out.getvalue().split())


def of(model_id: str, unit: str = "INPUT", *, is_batch: bool = False) -> "QuerySet[ModelPrice]":
    """A model's base prices of a unit, the latest first."""
    found = ModelPrice.objects.filter(model__model_id=model_id, unit=unit, is_batch=is_batch, above_input_tokens=0)
    return found.order_by("-valid_from")


def in_order() -> list[tuple[object, ...]]:
    """Every price, without its id."""
    fields = ("model__model_id", "unit", "is_batch", "above_input_tokens", "valid_from", "nano_usd_per_million")
    return sorted(ModelPrice.objects.values_list(*fields))


def test_what_was_seeded_is_the_list() -> None:
    before = in_order()
    assert prices("diff") == "Every price is the list's."
    assert prices("check") == ""
    prices("update")
    assert in_order() == before


def test_a_changed_price_is_shown_and_written_from_now_on() -> None:
    of("gpt-4o").update(nano_usd_per_million=2 * 10**9)
    said = prices("diff")
    assert "OPENAI gpt-4o" in said
    for part in ("2.00", "2.50", "× 1.25", f"{timezone.now():%Y-%m-%d}"):
        assert part in said
    assert "reprice" not in said, "nothing begins in the past"
    with pytest.raises(SystemExit) as told:
        prices("check")
    assert told.value.code == 1

    before = timezone.now()
    assert "Prices written: 1." in prices("update")
    new, old = of("gpt-4o")
    assert (new.nano_usd_per_million, old.nano_usd_per_million) == (2_500_000_000, 2 * 10**9)
    assert before <= new.valid_from <= timezone.now()
    assert old.valid_from == BEGINNING
    assert prices("check") == ""
    prices("update")
    assert of("gpt-4o").count() == 2


def test_a_dated_change_begins_on_its_date() -> None:
    before = in_order()
    dated = ModelPrice.objects.filter(model__model_id="gemini-3.6-flash", valid_from__gt=BEGINNING)
    batched = ModelPrice.objects.filter(model__model_id="gpt-4o", is_batch=True)
    assert dated.exists()
    assert batched.exists()
    dated.delete()
    batched.delete()
    said = prices("diff")
    assert "2027-01-01 00:00" in said
    assert "batched" in said
    assert "reprice --from" in said
    prices("update")
    assert in_order() == before


def test_a_price_agreed_with_the_vendor_stays_in_the_history() -> None:
    """What the list said all along takes its place from now on, and in no time before."""
    ours = ModelPrice.objects.filter(model__model_id="gpt-4o", is_batch=False)
    ours.update(nano_usd_per_million=1_000_000_000)
    prices("update", "--yes")
    assert {row.valid_from for row in ours.filter(nano_usd_per_million=1_000_000_000)} == {BEGINNING}
    assert all(row.valid_from > timezone.now() - timedelta(minutes=1) for row in of("gpt-4o")[:1])


@pytest.mark.parametrize("ours", [249_999_999, 25_000_000_001, 0])
def test_more_than_tenfold_asks_to_be_sure(ours: int) -> None:
    of("gpt-4o").update(nano_usd_per_million=ours)
    before = in_order()
    with pytest.raises(CommandError, match=r"Nothing was written.*tenfold: 1"):
        prices("update")
    assert in_order() == before
    prices("update", "--yes")
    assert of("gpt-4o")[0].nano_usd_per_million == 2_500_000_000


@pytest.mark.parametrize("ours", [250_000_000, 25_000_000_000])
def test_tenfold_is_not_more_than_tenfold(ours: int) -> None:
    of("gpt-4o").update(nano_usd_per_million=ours)
    prices("update")
    assert of("gpt-4o").count() == 2


def test_a_model_without_a_price_gets_the_lists_from_the_beginning() -> None:
    """Defect 39: what was called before somebody looked can be priced as well."""
    before = in_order()
    ModelPrice.objects.filter(model__model_id="gpt-4o").delete()
    assert "new" in prices("diff")
    prices("update")
    assert in_order() == before


def test_an_active_model_that_is_not_listed_is_told() -> None:
    model = LLMModel.objects.create(provider_id="OPENAI", model_id="in-house", model_class_id="BASE_S")
    assert "OPENAI in-house (openai lists no model in-house)" in prices("diff")
    with pytest.raises(SystemExit):
        prices("check")
    model.is_active = False
    model.save(update_fields=["is_active"])
    assert prices("check") == ""


@pytest.mark.parametrize("broken", ["NaN", "Infinity", "-1", "1001", "1E+400", "0.0000000001"])
def test_a_model_whose_list_is_broken_is_told_and_none_of_it_written(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its other prices; other models are not held up."""
    (listed,) = (
        model for vendor in providers if vendor.id == "openai" for model in vendor.models if model.id == "gpt-4o"
    )
    monkeypatch.setattr(listed, "prices", ListedPrice(input_mtok=Decimal(3), output_mtok=Decimal(broken)))
    other = of("gemini-3.6-flash")
    known = other.update(nano_usd_per_million=10**9)
    assert f"OPENAI gpt-4o (USD {Decimal(broken)}" in prices("diff")
    prices("update")
    assert (of("gpt-4o").count(), other.count()) == (1, known + 1)


def test_a_price_that_only_stands_in_for_another_is_no_change() -> None:
    """Written to the cache costs as input where nobody says otherwise, here and on the list."""
    assert not of("gpt-4o", PriceUnit.CACHE_WRITE).exists()
    of("claude-opus-5-5", PriceUnit.CACHE_WRITE).delete()
    assert "Input tokens written to the cache" in prices("diff")
