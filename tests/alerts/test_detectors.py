"""What is noticed beside thresholds, each beside what is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.template.loader import get_template

from alerts import detectors, messages, places
from alerts.detectors import MINUTELY, QUARTERLY, calls, catalogue, expiry, health, outlook, spikes
from alerts.models import AlertKind, Delivery, QuotaAlert
from alerts.noticing import Noticed
from plans.models import LLMModel, ModelPrice
from tenants import tokens
from tenants.ids import uuid7
from tenants.models import ATIToken, Scope, ServiceKey
from tests.alerts.quotas import TASK, channel, hold, quota, use
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit
from usage import keeper, rollups
from usage.models import Denial, DenialRollup, RollupState, TenantRollup, UsageMeter, UsageReservation

NOW = datetime.now(UTC)
QUARTER = timedelta(minutes=15)


def of_tenant(found: Any, company: Company) -> list[Noticed]:
    return [each for each in found if each.tenant == company.tenant.id]


def sums(company: Company, slot: datetime, **fields: Any) -> TenantRollup:
    """What a tenant used in a quarter of an hour, in the past."""
    numbers = dict.fromkeys(
        ("unpriced", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
         "api_calls", "items", "units", "latencies", "latency_ms", "held_tokens", "held_tokens_used", "held_cost",
         "held_cost_used"), 0,
    )  # fmt: skip
    return TenantRollup.objects.create(
        **numbers
        | {"tenant": company.tenant, "slot": slot, "feature_id": "PRIOR_ART_SEARCH", "task_id": TASK,
           "status": "COMPLETED", "bookings": 0, "cost": 0, "latency_histogram": []}
        | fields
    )  # fmt: skip


def quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


# --- calls at once, and commits that are missing -----------------------------------


def test_calls_turned_away_because_too_many_are_open_are_told_and_a_full_quota_is_not(acme: Company, api: Api) -> None:
    """Defect 30: nobody was told of concurrency."""
    channel(acme)
    held = [hold(api) for _ in range(3)]
    assert detectors.detect(MINUTELY) == 0
    assert api.enforce("ACME", TASK)["code"] == "CONCURRENCY_LIMIT"
    assert detectors.detect(MINUTELY) == 1
    assert detectors.detect(MINUTELY) == 0
    (alert,) = QuotaAlert.objects.for_tenant(acme.tenant)
    assert (alert.kind, alert.threshold, alert.numbers["refused"]) == (AlertKind.SATURATED, 3, 1)
    assert Delivery.objects.count() == 1
    Denial.objects.update(minute=NOW - timedelta(hours=1))
    detectors.detect(MINUTELY)
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert len(held) == 3


def test_holds_that_run_out_in_numbers_are_told_and_a_few_are_not(acme: Company, api: Api) -> None:
    quota(acme, 100)
    for number in range(10):
        hold(api)
        if number == 8:
            UsageReservation.objects.update(expires_at=NOW - timedelta(seconds=1))
            keeper.once()
            assert of_tenant(calls.holds_expired(datetime.now(UTC)), acme) == []
    UsageReservation.objects.filter(status="OPEN").update(expires_at=NOW - timedelta(seconds=1))
    keeper.once()
    (found,) = of_tenant(calls.holds_expired(datetime.now(UTC)), acme)
    assert (found.numbers["expired"], found.numbers["committed"]) == (10, 0)


def test_holds_that_run_out_among_many_commits_are_not_told(acme: Company, api: Api) -> None:
    quota(acme, 100)
    for _ in range(10):
        hold(api)
    UsageReservation.objects.update(expires_at=NOW - timedelta(seconds=1))
    keeper.once()
    sums(acme, quarter(NOW), bookings=41)
    assert of_tenant(calls.holds_expired(datetime.now(UTC)), acme) == []


# --- more than usual -------------------------------------------------------------


def refused(company: Company, times: int) -> None:
    now = datetime.now(UTC)
    Denial.objects.create(
        id=uuid7(), tenant=company.tenant, code="BUDGET_EXCEEDED", message="Over", decision={}, minute=now, bucket=1,
        last_at=now, count=times,
    )  # fmt: skip


def test_many_refusals_are_told_where_there_were_few_and_not_where_they_are_usual(
    acme: Company, rival: Company
) -> None:
    for company, usual in ((acme, 1), (rival, 90)):
        refused(company, 100)
        sums(company, quarter(NOW - timedelta(days=8)), bookings=1)
        for number in range(2, 400):
            DenialRollup.objects.create(
                tenant=company.tenant, slot=quarter(NOW) - number * QUARTER, code="BUDGET_EXCEEDED", count=usual
            )
    found = list(spikes.refusals(datetime.now(UTC)))
    assert [each.tenant for each in found] == [acme.tenant.id]
    assert found[0].numbers["refused"] == 100


def test_refusals_of_a_tenant_that_has_just_begun_are_not_told(acme: Company) -> None:
    refused(acme, 100)
    sums(acme, quarter(NOW - timedelta(hours=2)), bookings=1)
    assert list(spikes.refusals(datetime.now(UTC))) == []


@pytest.mark.parametrize(
    ("fields", "kind"),
    [({"bookings": 500}, AlertKind.USAGE_SPIKE), ({"input_tokens": 900_000}, AlertKind.USAGE_SPIKE),
     ({"cost": 9_000_000_000}, AlertKind.SPEND_ANOMALY)],
)  # fmt: skip
def test_far_more_than_in_the_same_hour_of_past_weeks_is_told(
    fields: dict[str, int], kind: AlertKind, acme: Company, rival: Company
) -> None:
    end = quarter(NOW)
    few = {name: value // 100 for name, value in fields.items()}
    for company, usual in ((acme, few), (rival, fields)):
        sums(company, end - QUARTER, **fields)
        sums(company, end - timedelta(weeks=5), bookings=1)
        for week in range(1, 5):
            for beside in (-1, 0, 1):
                sums(company, end - timedelta(weeks=week, hours=beside) - QUARTER, **usual)
    (found,) = spikes.usage(NOW)
    assert (found.tenant, found.kind) == (acme.tenant.id, kind)


def test_there_is_nothing_unusual_in_the_first_weeks(acme: Company) -> None:
    end = quarter(NOW)
    sums(acme, end - QUARTER, bookings=100_000)
    sums(acme, end - timedelta(weeks=2), bookings=1)
    assert list(spikes.usage(NOW)) == []


# --- the outlook -------------------------------------------------------------------


def test_a_quota_that_runs_out_before_its_month_ends_is_told_with_its_basis(acme: Company, api: Api) -> None:
    limit(acme.tenant, "MONTHLY_QUOTA", 1_001, feature_id="PRIOR_ART_SEARCH")
    assert api.commit(hold(api), status="success", usage={"api_calls": 1_000}).status_code == 200
    sums(acme, quarter(NOW - timedelta(days=2)), bookings=1)
    (found,) = of_tenant(outlook.running_out(datetime.now(UTC)), acme)
    assert (found.kind, found.numbers["left"]) == (AlertKind.RUN_OUT, 1)
    assert found.numbers["runs_out_at"] < found.numbers["resets_at"]
    assert found.numbers["basis_hours"] == 48


def test_a_quota_that_lasts_and_one_with_a_thin_past_are_not_told(acme: Company, api: Api) -> None:
    use(api, 1)
    sums(acme, quarter(NOW - timedelta(days=2)), bookings=1)
    assert of_tenant(outlook.running_out(datetime.now(UTC)), acme) == []
    TenantRollup.objects.update(slot=quarter(NOW - timedelta(hours=3)))
    limit(acme.tenant, "MONTHLY_QUOTA", 2, feature_id="PRIOR_ART_SEARCH")
    assert of_tenant(outlook.running_out(datetime.now(UTC)), acme) == []


# --- what ends, and what has no price ----------------------------------------------


@pytest.mark.parametrize(("left", "told"), [(31, None), (29, 30), (6, 7), (0.9, 1)])
def test_tokens_and_keys_are_told_30_7_and_1_days_before_they_end(left: float, told: int | None, acme: Company) -> None:
    now = datetime.now(UTC)
    until, since = now + timedelta(days=left), now - timedelta(days=300)
    ServiceKey.objects.all().delete()
    tokens.issue_key("theirs", [Scope.READ], tenant=acme.tenant, expires_at=until)
    tokens.issue_key("ours", [Scope.READ], expires_at=until)
    ServiceKey.objects.update(created_at=since)
    ATIToken.objects.filter(user=acme.owner.user).update(expires_at=until, created_at=since)
    found = list(expiry.expiring(now))
    assert {each.threshold for each in found} == ({told} if told else set())
    what = sorted((each.tenant is None, each.numbers["what"]) for each in found)
    assert what == ([(False, "key"), (False, "token"), (True, "key")] if told else [])


def test_the_end_of_a_plan_is_told(acme: Company) -> None:
    now = datetime.now(UTC)
    ATIToken.objects.filter(pk=acme.root.pk).update(plan_ends_at=now + timedelta(days=5))
    (found,) = of_tenant(expiry.expiring(now), acme)
    assert (found.numbers["what"], found.threshold) == ("plan", 7)


def test_what_lives_for_a_week_is_not_told_the_day_it_is_made(acme: Company) -> None:
    now = datetime.now(UTC)
    tokens.issue_key("short", [Scope.READ], tenant=acme.tenant, expires_at=now + timedelta(days=7))
    assert of_tenant(expiry.expiring(now), acme) == []


def test_the_nearer_call_takes_the_place_of_the_one_before(acme: Company) -> None:
    key = tokens.issue_key("theirs", [Scope.READ], tenant=acme.tenant, expires_at=NOW + timedelta(days=20)).record
    ServiceKey.objects.filter(pk=key.pk).update(created_at=NOW - timedelta(days=300))
    detectors.detect(MINUTELY)
    rows = QuotaAlert.objects.for_tenant(acme.tenant)
    assert list(rows.open().values_list("threshold", flat=True)) == [30]
    ServiceKey.objects.filter(pk=key.pk).update(expires_at=NOW + timedelta(days=6))
    detectors.detect(MINUTELY)
    assert list(rows.open().values_list("threshold", flat=True)) == [7]
    ServiceKey.objects.filter(pk=key.pk).update(revoked_at=NOW)
    detectors.detect(MINUTELY)
    assert not rows.open().exists()


def test_a_model_without_a_price_is_told_super_admins(acme: Company) -> None:
    assert list(catalogue.unpriced(NOW)) == []
    model = LLMModel.objects.filter(is_active=True).first()
    assert model is not None
    ModelPrice.objects.filter(model=model).delete()
    (found,) = catalogue.unpriced(NOW)
    assert (found.tenant, found.numbers["model"], found.numbers["is_active"]) == (None, model.model_id, True)


# --- health ------------------------------------------------------------------------


@pytest.mark.usefixtures("committed")
def test_what_is_behind_is_told_super_admins(acme: Company, api: Api) -> None:
    rollups.fill()
    now = datetime.now(UTC)
    assert [each.numbers["what"] for each in health.late(now)] == []
    RollupState.objects.update(as_of=now - timedelta(minutes=6))
    hold(api)
    UsageReservation.objects.update(expires_at=now - timedelta(minutes=2))
    quota(acme, 2)
    channel(acme)
    use(api, 1)
    Delivery.objects.update(next_attempt_at=now - timedelta(minutes=3))
    found = list(health.late(now))
    assert [each.numbers["what"] for each in found] == ["rollups", "keeper", "messages"]
    assert {each.tenant for each in found} == {None}


@pytest.mark.usefixtures("committed")
def test_a_ledger_that_does_not_add_up_is_told_super_admins(acme: Company, api: Api) -> None:
    use(api, 1)
    assert list(health.breaches(NOW)) == []
    UsageMeter.objects.for_tenant(acme.tenant).filter(measure="UNITS", period="DAY").update(used=7)
    found = list(health.breaches(NOW))
    assert {(each.tenant, each.numbers["invariant"], each.numbers["tenant"]) for each in found} == {
        (None, "I2", acme.tenant.id)
    }


# --- all of them -------------------------------------------------------------------


@pytest.mark.usefixtures("committed")
def test_one_that_fails_keeps_no_other_from_looking(acme: Company, api: Api) -> None:
    def fails(_now: datetime) -> list[Noticed]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        return []

    for _ in range(4):
        api.enforce("ACME", TASK)
    broken = detectors.Detector((AlertKind.LAG,), fails)
    assert detectors.detect([broken, *MINUTELY]) == 1


def test_nothing_is_noticed_where_nothing_happens(acme: Company) -> None:
    assert detectors.detect(MINUTELY) == 0
    assert {kind for each in (*MINUTELY, *QUARTERLY) for kind in each.kinds} == set(AlertKind) - {
        AlertKind.THRESHOLD, AlertKind.AMOUNT, AlertKind.CHANNEL_DISABLED,
    }  # fmt: skip


@pytest.mark.parametrize(
    "numbers",
    [
        (AlertKind.SATURATED, {"feature": None, "task": None, "measure": "SLOTS", "limit": 3, "refused": 2,
                               "minutes": 15}),
        (AlertKind.REFUSALS, {"refused": 100, "usual": 1, "minutes": 15, "basis": 672}),
        (AlertKind.USAGE_SPIKE, {"measure": "tokens", "lately": 9_000_000, "usual": 100, "unit": "tokens",
                                 "basis": 12}),
        (AlertKind.SPEND_ANOMALY, {"measure": "cost", "lately": 9_000_000_000, "usual": 10**9, "unit": "USD",
                                    "basis": 12}),
        (AlertKind.RUN_OUT, {"measure": "COST", "used": 10**9, "limit": 10**10, "unit": "USD", "basis_hours": 168,
                             "runs_out_at": "2026-11-28T10:00:00+00:00", "resets_at": "2026-12-01T00:00:00+00:00"}),
        (AlertKind.UNPRICED, {"model": "some-model", "is_active": True}),
        (AlertKind.UNUSUAL_PRICE, {"what": "published", "model": "some-model", "price_of": "Input tokens",
                                   "is_batch": False, "above_input_tokens": 0, "lately": 3 * 10**12,
                                   "usual": 3 * 10**9, "unit": "USD", "valid_from": "2026-11-20T00:00:00+00:00"}),
        (AlertKind.UNUSUAL_PRICE, {"what": "paid", "task": "LLM2_DRAFT", "model_class": "PRO_L", "unit": "USD",
                                   "lately": 9 * 10**9, "usual": 10**9, "basis": 20, "minutes": 60}),
        (AlertKind.EXPIRING, {"what": "key", "name": "svc", "ends_at": "2026-12-01T00:00:00+00:00", "days": 7}),
        (AlertKind.HOLDS_EXPIRED, {"expired": 30, "committed": 3, "minutes": 60}),
        (AlertKind.AUDIT_BREACH, {"invariant": "I2", "tenant": None, "breaches": 2,
                                  "first": [{"subject": "meter 1", "expected": "7", "found": "8"}]}),
        (AlertKind.LAG, {"what": "keeper", "seconds": 90}),
    ],
    ids=lambda each: each[0],
)  # fmt: skip
def test_each_kind_has_words_of_its_own(numbers: tuple[AlertKind, dict[str, Any]], acme: Company) -> None:
    kind, figures = numbers
    alert = QuotaAlert(
        tenant=acme.tenant, kind=kind, severity="WARNING", subject="x", threshold=7, episode="x", numbers=figures,
        created_at=NOW,
    )  # fmt: skip
    message = messages.of_alert(alert, places.place_of(acme.tenant, (), NOW), "msg_1")
    text = " ".join((message.title, message.happened, message.advice))
    assert all((message.title, message.happened, message.advice))
    assert [odd for odd in ("None", "  ", "{", "}") if odd in text] == []
    get_template(f"alerts/kinds/{kind.lower()}.txt")
