"""Commit, report, release and extend over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from plans.models import LLMModel
from tenants import tokens
from tenants.models import Scope, Tenant, TenantStatus
from tests.cast import Company, make_key, plan
from tests.enforcement.api import Api, fields_of
from tests.enforcement.rules import limit
from usage import ledger
from usage.models import UsageLog, UsageMeter, UsageReservation

USED = {"input_tokens": 1180, "output_tokens": 2950}


@pytest.fixture
def reservation(api: Api, acme: Company) -> str:
    """The id of an open reservation of 1,200 tokens in and 4,000 out."""
    answer = api.enforce("ACME", "LLM2_DRAFT", user="u-1", tokens_in=1200, tokens_out=4000)
    found: str = answer["reservation_id"]
    return found


def expire(tenant: Tenant) -> None:
    UsageReservation.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert ledger.expire(tenant.id) > 0


def units(tenant: Tenant) -> UsageMeter:
    return UsageMeter.objects.get(tenant=tenant, feature="PATENT_DRAFTING", measure="UNITS", period="DAY")


def test_a_commit_books_what_was_used_and_frees_the_rest(api: Api, acme: Company, reservation: str) -> None:
    response = api.commit(reservation, usage=USED)
    assert response.status_code == 200
    body = response.json()
    assert (body["reservation_id"], body["status"], body["late"]) == (reservation, "COMMITTED", False)
    charged = {(each["measure"], each["period"]): each for each in body["charged"]}
    assert charged["UNITS", "DAY"] == {
        "scope": "TENANT", "feature": "PATENT_DRAFTING", "task": None, "user": None, "measure": "UNITS",
        "unit": "TOKENS", "period": "DAY", "amount": 4130, "overrun": 0,
    }  # fmt: skip
    assert charged["COST", "MONTH"]["amount"] == body["cost"]
    meter = units(acme.tenant)
    assert (meter.used, meter.reserved, meter.overrun) == (4130, 0, 0)
    quota = next(each for each in body["quotas"] if (each["measure"], each["period"]) == ("UNITS", "DAY"))
    assert (quota["used"], quota["reserved"], quota["remaining"]) == (4130, 0, 495_870)


def test_the_same_commit_again_gets_the_first_answer(api: Api, reservation: str) -> None:
    """Defect 15: a second commit changes nothing."""
    first = api.commit(reservation, usage=USED)
    again = api.commit(reservation, usage=USED)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert UsageLog.objects.filter(reservation_id=reservation).count() == 1


def test_another_commit_or_another_ending_is_a_conflict(api: Api, acme: Company, reservation: str) -> None:
    api.commit(reservation, usage=USED)
    other = api.commit(reservation, usage=USED, latency_ms=5)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    failed = api.commit(reservation, usage=USED, status="failed")
    assert failed.status_code == 409
    release = api.post(f"/reservations/{reservation}/release")
    assert (release.status_code, release.json()["code"]) == (409, "RESERVATION_ENDED")
    assert units(acme.tenant).used == 4130


def test_a_failed_call_costs_the_tokens_it_spent_and_frees_its_slot(api: Api, acme: Company, reservation: str) -> None:
    """Defect 18: a provider's failure frees the slot at once and what it spent is billed."""
    body = api.commit(
        reservation, status="failed", usage={"input_tokens": 1180, "output_tokens": 0}, error="boom"
    ).json()
    assert body["status"] == "COMMITTED"
    assert units(acme.tenant).used == 1180
    slots = UsageMeter.objects.get(tenant=acme.tenant, measure="SLOTS")
    assert (slots.used, slots.reserved) == (0, 0)
    assert UsageLog.objects.get(reservation_id=reservation).status == "FAILED"


def test_a_commit_beyond_the_hold_is_booked_in_full_as_overrun(api: Api, acme: Company, reservation: str) -> None:
    """I4: a fact is never refused."""
    limit(acme.tenant, "DAILY_QUOTA", 5200, feature_id="PATENT_DRAFTING")
    body = api.commit(reservation, usage={"input_tokens": 1200, "output_tokens": 9000}).json()
    charged = next(each for each in body["charged"] if (each["measure"], each["period"]) == ("UNITS", "DAY"))
    assert (charged["amount"], charged["overrun"]) == (10_200, 5000)
    assert units(acme.tenant).overrun == 5000
    assert api.enforce("ACME", "LLM2_DRAFT", tokens_in=1)["code"] == "DAILY_QUOTA_EXCEEDED"


def test_a_late_commit_is_booked_and_marked(api: Api, acme: Company, reservation: str) -> None:
    """Defect 16."""
    expire(acme.tenant)
    assert units(acme.tenant).reserved == 0
    body = api.commit(reservation, usage=USED).json()
    assert (body["status"], body["late"]) == ("COMMITTED", True)
    assert units(acme.tenant).used == units(acme.tenant).overrun == 4130


def test_a_commit_without_counts_books_the_hold_as_unknown(api: Api, acme: Company, reservation: str) -> None:
    api.commit(reservation)
    log = UsageLog.objects.get(reservation_id=reservation)
    assert (log.certainty, log.input_tokens, log.output_tokens) == ("UNKNOWN", 1200, 4000)


def test_an_explicit_zero_stays_zero(api: Api, acme: Company, reservation: str) -> None:
    """Defect 41."""
    body = api.commit(reservation, usage={"input_tokens": 0, "output_tokens": 0}).json()
    assert body["cost"] == "0.00"
    assert units(acme.tenant).used == 0
    assert UsageLog.objects.get(reservation_id=reservation).certainty == "FINAL"


def test_a_model_named_is_priced_by_its_own_list(api: Api, reservation: str) -> None:
    """Defect 40: cached tokens at their own price, inside the input."""
    usage = {"input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 100}
    model = LLMModel.objects.get(model_id="gpt-4o")
    base = model.prices.filter(above_input_tokens=0, is_batch=False)
    prices = {price.unit: price.nano_usd_per_million for price in base}
    body = api.commit(reservation, usage=usage, model="gpt-4o", api_code="OPENAI").json()
    nano = 600 * prices["INPUT"] + 400 * prices["CACHED_INPUT"] + 100 * prices["OUTPUT"]
    assert float(body["cost"]) == pytest.approx(nano / 10**15)


def test_a_model_without_a_price_costs_the_hold_and_needs_attention(api: Api, acme: Company, reservation: str) -> None:
    body = api.commit(reservation, usage=USED, model="unheard-of").json()
    held = UsageReservation.objects.get(pk=reservation).held_cost
    log = UsageLog.objects.get(reservation_id=reservation)
    assert (log.cost, log.certainty) == (held, "ESTIMATED")
    assert float(body["cost"]) == pytest.approx((held or 0) / 10**9)


def test_the_providers_own_object_is_read(api: Api, reservation: str) -> None:
    raw = {
        "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 200}, "completion_tokens_details": {"reasoning_tokens": 300},
    }  # fmt: skip
    assert api.commit(reservation, provider="openai", raw_usage=raw).status_code == 200
    log = UsageLog.objects.get(reservation_id=reservation)
    assert (log.input_tokens, log.cached_input_tokens, log.output_tokens, log.reasoning_tokens) == (1000, 200, 500, 300)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"usage": {"input_tokens": -1}}, "usage.input_tokens"),
        ({"usage": {"input_tokens": 1.5}}, "usage.input_tokens"),
        ({"usage": {"input_tokens": 10**9 + 1}}, "usage.input_tokens"),
        ({"usage": {"input_tokens": 1, "cached_input_tokens": 2}}, "usage.cached_input_tokens"),
        ({"usage": {"tokens": 1}}, "usage.tokens"),
        ({"provider": "openai", "raw_usage": {"prompt_tokens": "7"}}, "raw_usage.prompt_tokens"),
        ({"provider": "nobody", "raw_usage": {}}, "provider"),
        ({"raw_usage": {}}, "provider"),
        ({"usage": {}, "provider": "openai", "raw_usage": {}}, "raw_usage"),
        ({"model_class": "NOPE"}, "model_class"),
        ({"status": "done"}, "status"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_nonsense_is_refused_with_its_field_and_nothing_is_booked(
    api: Api, reservation: str, body: dict[str, Any], field: str
) -> None:
    response = api.commit(reservation, **body)
    assert response.status_code == 422, response.content
    assert fields_of(response.json()) == [field]
    assert UsageReservation.objects.get(pk=reservation).status == "OPEN"


def test_a_report_books_so_far_and_keeps_the_rest_held(api: Api, acme: Company, reservation: str) -> None:
    """Defect 42: totals so far, not differences: repeated, they book nothing more."""
    body = api.post(f"/reservations/{reservation}/report", {"usage": {"input_tokens": 1200, "output_tokens": 300}})
    left = {(each["measure"], each["period"]): each["left"] for each in body.json()["left"]}
    assert left["UNITS", "DAY"] == 3700
    again = {"usage": {"input_tokens": 1200, "output_tokens": 300}}
    assert api.post(f"/reservations/{reservation}/report", again).status_code == 200
    assert (units(acme.tenant).used, units(acme.tenant).reserved) == (1500, 3700)
    api.commit(reservation, usage={"input_tokens": 1200, "output_tokens": 1000})
    assert (units(acme.tenant).used, units(acme.tenant).reserved) == (2200, 0)
    late = api.post(f"/reservations/{reservation}/report", again)
    assert (late.status_code, late.json()["code"]) == (410, "RESERVATION_GONE")


def test_a_release_gives_everything_back(api: Api, acme: Company, reservation: str) -> None:
    answer = api.post(f"/reservations/{reservation}/release", {"reason": "the user left"})
    assert answer.json() == {"reservation_id": reservation, "status": "RELEASED"}
    assert (units(acme.tenant).used, units(acme.tenant).reserved) == (0, 0)
    assert api.post(f"/reservations/{reservation}/release", {"reason": "the user left"}).json()["status"] == "RELEASED"
    refused = api.commit(reservation, usage=USED)
    assert (refused.status_code, refused.json()["code"]) == (409, "RESERVATION_ENDED")
    assert "/usage/events" in refused.json()["detail"]


def test_a_release_after_expiry_says_so(api: Api, acme: Company, reservation: str) -> None:
    expire(acme.tenant)
    answer = api.post(f"/reservations/{reservation}/release")
    assert (answer.status_code, answer.json()["status"]) == (200, "EXPIRED")


def test_extend_moves_the_deadline_and_never_back(api: Api, acme: Company, reservation: str) -> None:
    later = api.post(f"/reservations/{reservation}/extend", {"ttl_seconds": 900}).json()
    assert (later["status"], later["ttl_seconds"]) == ("OPEN", 900)
    sooner = api.post(f"/reservations/{reservation}/extend", {"ttl_seconds": 1}).json()
    assert sooner["expires_at"] == later["expires_at"]
    api.commit(reservation, usage=USED)
    assert api.post(f"/reservations/{reservation}/extend", {"ttl_seconds": 1}).status_code == 410


def test_an_unknown_reservation_points_to_usage_events(api: Api, acme: Company) -> None:
    response = api.commit(str(uuid4()), usage=USED)
    assert response.status_code == 404
    assert "/usage/events" in response.json()["detail"]
    assert api.post("/reservations/nonsense/commit").status_code == 404


def test_a_stranger_settles_nothing(acme: Company, rival: Company, reservation: str) -> None:
    """Another tenant's id is 404 for its key and for its users."""
    for stranger in (Api(make_key(tenant=rival.tenant)), Api(rival.owner.token)):
        for path in ("commit", "report", "release"):
            assert stranger.post(f"/reservations/{reservation}/{path}").status_code == 404
        assert stranger.post(f"/reservations/{reservation}/extend", {"ttl_seconds": 5}).status_code == 404
    assert UsageReservation.objects.get(pk=reservation).status == "OPEN"


def test_a_key_for_any_tenant_may_name_the_right_one_alone(api: Api, rival: Company, reservation: str) -> None:
    assert api.commit(reservation, usage=USED, tenant="RIVAL").status_code == 404
    assert api.commit(reservation, usage=USED, tenant="ACME").status_code == 200


def test_an_ati_token_settles_its_own_users_reservations_alone(acme: Company) -> None:
    mine, other = Api(acme.owner.token), Api(acme.people[0].token)
    answer = mine.enforce(None, "LLM2_DRAFT", tokens_in=10)
    path = f"/reservations/{answer['reservation_id']}/commit"
    assert other.post(path, {"usage": USED}).status_code == 404
    assert mine.post(path, {"usage": USED}).status_code == 200


def test_a_suspended_tenant_or_an_ended_plan_loses_no_usage(api: Api, acme: Company, reservation: str) -> None:
    acme.root.plan_ends_at = datetime.now(UTC) - timedelta(seconds=1)
    acme.root.save(update_fields=["plan_ends_at"])
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    assert api.commit(reservation, usage=USED).status_code == 200
    assert units(acme.tenant).used == 4130


def test_the_quotas_of_a_commit_carry_the_limits_in_force_now(api: Api, acme: Company, reservation: str) -> None:
    """Defect 50: check, answer and page speak of the same limit."""
    tokens.change_plan(acme.root, plan("ENTERPRISE"), now=datetime.now(UTC))
    quotas = api.commit(reservation, usage=USED).json()["quotas"]
    day = next(each for each in quotas if (each["measure"], each["period"]) == ("UNITS", "DAY"))
    assert day["limit"] == 10_000_000


def test_a_replay_shows_the_limits_of_the_first_answer(api: Api, acme: Company, reservation: str) -> None:
    """I5: the same answer, whatever was edited since."""
    limit(acme.tenant, "DAILY_QUOTA", 9_000, feature_id="PATENT_DRAFTING")
    first = api.commit(reservation, usage=USED)
    tokens.change_plan(acme.root, plan("ENTERPRISE"), now=datetime.now(UTC))
    limit(acme.tenant, "MONTHLY_QUOTA", 7, feature_id="PATENT_DRAFTING")
    again = api.commit(reservation, usage=USED)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()


def test_a_commit_without_the_scope_is_403(acme: Company, reservation: str) -> None:
    response = Api(make_key(Scope.READ)).commit(reservation, usage=USED)
    assert (response.status_code, response.json()["code"]) == (403, "SCOPE_MISSING")
