"""`manage.py reprice`: what calls cost is put right by further rows, once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from plans import entitlements
from plans.models import LLMModel, ModelPrice, PriceUnit
from tenants import versions
from tests.cast import Company
from tests.enforcement.api import Api
from tests.parallel import at_once
from tests.usage.ledger_world import breaches
from usage import ledger, repricing
from usage.entries import End, Ending
from usage.models import UsageLog, UsageMeter, UsageReservation

BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
SOON = datetime.now(UTC) + timedelta(days=1)
USED = {"input_tokens": 1_000, "output_tokens": 100}
NOTHING = "there is nothing to correct"


def reprice(*options: str) -> str:
    """What the command says, on one line."""
    out = StringIO()
    call_command("reprice", "--from", "2026-01-01", "--to", f"{SOON:%Y-%m-%d}", *options, stdout=out)
    return " ".join(out.getvalue().split())


def price(model_id: str, unit: str, usd: float, **fields: Any) -> None:
    """Enter a price that began long ago."""
    values = {"above_input_tokens": 0, "valid_from": datetime(2026, 1, 1, tzinfo=UTC)} | fields
    model = LLMModel.objects.get(model_id=model_id)
    ModelPrice.objects.create(model=model, unit=unit, nano_usd_per_million=int(usd * 10**9), **values)


def hold(api: Api, tenant: str = "ACME") -> str:
    return str(api.enforce(tenant, "LLM2_DRAFT", tokens_in=2_000, tokens_out=1_000)["reservation_id"])


def call(api: Api, tenant: str = "ACME", **body: Any) -> UUID:
    """A call that was permitted and committed: its log row."""
    reservation = hold(api, tenant)
    assert api.commit(reservation, **({"usage": USED, "model": "gpt-4o"} | body)).status_code == 200
    row: UUID = UsageLog.objects.get(reservation_id=reservation).id
    return row


def spent(acme: Company) -> int:
    """What the tenant's month says."""
    used: int = UsageMeter.objects.get(tenant=acme.tenant, measure="COST", period="MONTH", feature=None, task=None).used
    return used


@pytest.fixture(autouse=True)
def _books_are_right(request: pytest.FixtureRequest) -> Iterator[None]:
    """The audit finds nothing after any of these tests."""
    acme: Company = request.getfixturevalue("acme")
    yield
    assert not breaches(acme.tenant.id)


def test_what_was_priced_right_is_left_alone(api: Api, acme: Company) -> None:
    price("gpt-4o", PriceUnit.REASONING, 30)
    price("gpt-4o", PriceUnit.CALL, 5_000)
    price("gpt-4o", PriceUnit.INPUT, 7, above_input_tokens=1_500)
    call(api)
    call(api, is_batch=True)
    call(api, usage=USED | {"cached_input_tokens": 7, "cache_write_tokens": 5, "reasoning_tokens": 3})
    call(api, usage=USED | {"api_calls": 3, "web_searches": 2, "input_tokens": 1_600})
    call(api, usage=USED | {"cache_write_tokens": 5, "cache_write_1h_tokens": 3}, model="claude-opus-5-5")
    call(api, status="failed", usage={"input_tokens": 10})
    call(api, status="failed", usage=None)
    call(api, usage=None)
    call(api, model="gpt-4o-unheard-of")
    call(api, model=None)
    reported = hold(api)
    api.post(f"/reservations/{reported}/report", {"usage": {"input_tokens": 900}, "model": "gpt-4o"})
    api.commit(reported, usage=USED | {"input_tokens": 1_700}, model="gpt-4o")
    late = hold(api)
    UsageReservation.objects.filter(id=late).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    ledger.expire(acme.tenant.id)
    api.commit(late, usage=USED, model="gpt-4o")
    event = {"tenant": "ACME", "task": "LLM2_DRAFT", "usage": USED, "model": "gpt-4o"}
    api.post("/usage/events", [event | {"id": "1"}, event | {"id": "2", "reservation_id": late, "usage": USED}])
    before = UsageLog.objects.count()
    said = reprice()
    assert NOTHING in said
    assert "had no price, and have none now: 1 (gpt-4o-unheard-of)" in said
    assert UsageLog.objects.count() == before


def test_a_price_that_began_earlier_is_booked_as_a_correction(api: Api, acme: Company) -> None:
    row = call(api)
    call(api, model="claude-opus-5-5")
    before = spent(acme)
    price("gpt-4o", PriceUnit.INPUT, 3)
    said = reprice("--dry-run")
    assert "│ ACME │ 1 │ 0.0005 │ 0.00 │ 0.0005 │" in said
    assert spent(acme) == before

    assert "Corrections booked: 1." in reprice()
    right = UsageLog.objects.get(status="CORRECTION")
    first = UsageLog.objects.get(id=row)
    assert (right.refers_to, right.cost, first.cost) == (row, 500_000, 3_500_000)
    assert (right.occurred_at, right.model, right.reservation_id) == (first.occurred_at, "gpt-4o", first.reservation_id)
    assert right.price is not None
    assert right.price["rates"]["input"] == 3 * 10**9
    assert spent(acme) == before + 500_000


def test_again_there_is_nothing_to_correct(api: Api, acme: Company) -> None:
    call(api)
    price("gpt-4o", PriceUnit.INPUT, 3)
    reprice()
    assert NOTHING in reprice()
    price("gpt-4o", PriceUnit.OUTPUT, 5, valid_from=BEGINNING + timedelta(days=500))
    assert "0.0005" in reprice()
    assert [row.cost for row in UsageLog.objects.order_by("recorded_at")] == [3_500_000, 500_000, -500_000]
    assert spent(acme) == 3_500_000


def test_a_model_that_had_no_price_is_priced_once_it_has_one(api: Api, acme: Company) -> None:
    """Defect 39: what it costs is known later, and booked then: with its searches, batched as it was."""
    row = call(api, model="brand-new", usage=USED | {"web_searches": 2}, is_batch=True)
    held = UsageLog.objects.get(id=row).cost or 0
    assert "none now: 1 (brand-new)" in reprice()
    LLMModel.objects.create(provider_id="OPENAI", model_id="brand-new", model_class_id="PRO_L", is_active=False)
    for unit, usd in ((PriceUnit.INPUT, 1), (PriceUnit.OUTPUT, 2), (PriceUnit.WEB_SEARCH, 1_000)):
        price("brand-new", unit, usd)
    price("brand-new", PriceUnit.INPUT, 0.5, is_batch=True)
    reprice()
    right = 1_000 * 500 + 100 * 2_000 + 2 * 1_000_000
    assert UsageLog.objects.get(status="CORRECTION").cost == right - held
    assert spent(acme) == right


def test_reports_belong_to_the_call_that_they_led_to(api: Api, acme: Company) -> None:
    """The tier is that of the whole call, however many rows it has."""
    reservation = hold(api)
    for tokens in (600, 1_200):
        api.post(f"/reservations/{reservation}/report", {"usage": {"input_tokens": tokens}, "model": "gpt-4o"})
    api.commit(reservation, usage=USED | {"input_tokens": 1_600}, model="gpt-4o")
    assert spent(acme) == 1_600 * 2_500 + 1_000_000
    price("gpt-4o", PriceUnit.INPUT, 7, above_input_tokens=1_500)
    reprice()
    assert spent(acme) == 1_600 * 7_000 + 1_000_000
    assert NOTHING in reprice()


def test_a_correction_of_the_counts_is_priced_too(api: Api, acme: Company) -> None:
    row = call(api)
    said = End(kind=Ending.COMPLETED, totals=(2_000, *[None] * 6), fingerprint="", cost=None)
    ledger.correct(acme.tenant.id, row, said)
    reprice()
    assert spent(acme) == 2_000 * 2_500 + 1_000_000


def test_a_cheaper_price_gives_back(api: Api, acme: Company) -> None:
    call(api)
    price("gpt-4o", PriceUnit.INPUT, 0.5)
    assert "0.002 │ -0.002" in reprice()
    assert spent(acme) == 1_500_000


def test_what_happened_outside_the_time_or_to_another_tenant_stays(api: Api, acme: Company, rival: Company) -> None:
    for tenant in ("ACME", "RIVAL"):
        call(api, tenant)
    ago = datetime.now(UTC) - timedelta(days=20)
    event = {"id": "1", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": USED, "model": "gpt-4o"}
    api.post("/usage/events", event | {"occurred_at": ago.isoformat()})
    price("gpt-4o", PriceUnit.INPUT, 3)
    day = f"{ago + timedelta(days=1):%Y-%m-%d}"
    assert "booked: 1" in reprice("--to", day)
    assert UsageLog.objects.get(status="CORRECTION").occurred_at == ago
    assert "booked: 1" in reprice("--tenant", "RIVAL")
    assert not breaches(rival.tenant.id)
    assert "│ ACME │ 1 │" in reprice()


def test_tasks_with_their_own_price_are_passed_over(api: Api, acme: Company) -> None:
    reservation = api.enforce("ACME", "PATENT_OPEN")["reservation_id"]
    api.commit(reservation, usage={"api_calls": 1, "input_tokens": 5}, model="gpt-4o")
    price("gpt-4o", PriceUnit.INPUT, 3)
    assert NOTHING in reprice()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--from", "yesterday"], "neither a date nor an instant"),
        (["--from", "0001-01-01"], "not in the years"),
        (["--to", "2025-01-01"], "--from must be before --to"),
        (["--tenant", "NOBODY"], "There is no tenant NOBODY"),
    ],
)
def test_what_cannot_be_is_told(acme: Company, options: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        reprice(*options)


def test_a_page_after_another_finds_every_call(api: Api, acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "PAGE", 2)
    for _ in range(5):
        call(api)
    price("gpt-4o", PriceUnit.INPUT, 3)
    assert "booked: 5" in reprice()
    assert NOTHING in reprice()


def test_many_at_once_correct_each_call_once(committed: None, api: Api, acme: Company) -> None:
    for _ in range(3):
        call(api)
    price("gpt-4o", PriceUnit.INPUT, 3)
    try:
        versions.refresh(versions.CATALOGUE)
        catalogue = entitlements.catalogue()

        def correct() -> int:
            pages = repricing.pages(acme.tenant.id, BEGINNING, SOON, catalogue)
            return sum(repricing.book(acme.tenant.id, each) for page in pages for each in page.differing)

        assert sum(at_once(*[correct] * 4)) == 3
        assert spent(acme) == 3 * 4_000_000
        assert NOTHING in reprice()
    finally:
        ModelPrice.objects.filter(valid_from=datetime(2026, 1, 1, tzinfo=UTC)).delete()
