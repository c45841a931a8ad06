"""Crossings on the way of a booking: told once, however many book at once, and no query where there is none."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts.models import AlertKind, AlertPolicy, Delivery, DeliveryState, QuotaAlert, Severity
from plans import entitlements
from plans.models import PolicyRule
from tests.alerts.quotas import FEATURE, TASK, USED, channel, hold, quota, told, use
from tests.cast import Company
from tests.enforcement.api import Api, body_of
from tests.enforcement.rules import limit
from tests.parallel import at_once


def status_of_commit(api: Api, reservation: str) -> int:
    status: int = api.commit(reservation, **USED).status_code
    return status


@pytest.mark.usefixtures("committed")
def test_64_commits_at_once_across_every_threshold_tell_each_once_and_in_order(acme: Company, api: Api) -> None:
    """Defects 30 and 46: found and then created by two at once, an alert came twice."""
    quota(acme, 64)
    mail = channel(acme)
    reservations = [hold(api) for _ in range(64)]

    done = at_once(*[partial(status_of_commit, api, each) for each in reservations])
    assert done == [200] * 64
    assert sorted(told(acme)) == [50, 80, 95, 100]
    used = {
        alert.threshold: alert.numbers["used"]
        for alert in QuotaAlert.objects.filter(kind=AlertKind.THRESHOLD, subject__contains="period=DAY;measure=UNITS")
    }
    assert used == {50: 32, 80: 52, 95: 61, 100: 64}
    deliveries = Delivery.objects.filter(channel=mail, alert__subject__contains="period=DAY;measure=UNITS")
    assert deliveries.count() == 4
    assert len(set(deliveries.values_list("message_id", flat=True))) == 4


def test_a_commit_without_a_crossing_makes_no_query_and_one_with_it_a_single_one(acme: Company, api: Api) -> None:
    """Defect 31: what most calls cost stays as it was."""
    quota(acme, 10)
    counts = []
    for _ in range(5):
        reservation = hold(api)
        with CaptureQueriesContext(connection) as captured:
            assert api.commit(reservation, **USED).status_code == 200
        counts.append(len(captured))
    assert counts[1:] == [1, 1, 1, 2]
    assert told(acme) == [50]


def test_a_commit_sent_again_tells_nothing_again(acme: Company, api: Api) -> None:
    quota(acme, 2)
    reservation = hold(api)
    for _ in range(3):
        assert api.commit(reservation, **USED).status_code == 200
    assert told(acme) == [50]


def test_a_batch_of_commits_across_thresholds_tells_each_once(acme: Company, api: Api) -> None:
    quota(acme, 10)
    items = [{"reservation_id": hold(api), **USED} for _ in range(9)]
    assert api.post("/reservations/commit-batch", {"items": items + items[:2]}).status_code == 200
    assert told(acme) == [50, 80]


def test_a_report_across_a_threshold_tells_it_before_the_commit(acme: Company, api: Api) -> None:
    quota(acme, 10)
    reservation = hold(api, api_calls=6)
    body = {"status": "success", "usage": {"api_calls": 5}}
    assert api.post(f"/reservations/{reservation}/report", body).status_code == 200
    assert told(acme) == [50]
    assert api.commit(reservation, status="success", usage={"api_calls": 6}).status_code == 200
    assert told(acme) == [50]


def test_a_release_tells_nothing(acme: Company, api: Api) -> None:
    quota(acme, 1)
    assert api.post(f"/reservations/{hold(api)}/release").status_code == 200
    assert told(acme) == []


def test_what_passes_a_limit_is_told_too(acme: Company, api: Api) -> None:
    """A fact is never refused: usage beyond the limit reaches its thresholds all the same."""
    quota(acme, 10)
    reservation = hold(api)
    assert api.commit(reservation, status="success", usage={"api_calls": 30}).status_code == 200
    assert told(acme) == [50, 80, 100]


def test_the_limit_in_force_counts_and_not_the_one_of_the_grant(acme: Company, api: Api) -> None:
    quota(acme, 2)
    reservation = hold(api)
    PolicyRule.objects.filter(tenant=acme.tenant, key="DAILY_QUOTA", feature=FEATURE).update(value=100)
    assert api.commit(reservation, **USED).status_code == 200
    assert told(acme) == []


def test_an_amount_is_told_without_a_limit(acme: Company, api: Api) -> None:
    """Defect 46: absolute thresholds were never told."""
    AlertPolicy.objects.create(tenant=acme.tenant, measure="UNITS", period="DAY", feature_id=FEATURE, amounts=[2, 3])
    use(api, 3)
    rows = QuotaAlert.objects.for_tenant(acme.tenant).filter(kind=AlertKind.AMOUNT)
    assert sorted(rows.values_list("threshold", flat=True)) == [2, 3]
    assert set(rows.values_list("severity", flat=True)) == {Severity.INFO}


def test_a_changed_policy_counts_from_the_next_commit_on(acme: Company, api: Api) -> None:
    quota(acme, 10)
    use(api, 1)
    AlertPolicy.objects.create(tenant=acme.tenant, percents=[20])
    use(api, 1)
    assert told(acme) == [20]
    AlertPolicy.objects.filter(tenant=acme.tenant).update(percents=[30, 50])
    use(api, 1)
    assert told(acme) == [20, 30]


def test_the_quota_of_a_user_is_told_with_whose_it_is(acme: Company, api: Api) -> None:
    limit(acme.tenant, "USER_DAILY_QUOTA", 2, feature_id=FEATURE, user_key="u-17")
    assert api.commit(hold(api, user="u-17"), **USED).status_code == 200
    assert api.commit(hold(api, user="u-18"), **USED).status_code == 200
    (alert,) = QuotaAlert.objects.for_tenant(acme.tenant)
    assert (alert.threshold, alert.user_key) == (50, "u-17")
    assert alert.subject == f"feature={FEATURE};task=;period=DAY;measure=UNITS;user=u-17"


def test_the_budget_and_the_quota_of_a_task_are_told_each(acme: Company, api: Api) -> None:
    quota(acme, 100)
    price = entitlements.catalogue().tasks[TASK].price_per_unit
    assert price is not None
    limit(acme.tenant, "DAILY_BUDGET", 4 * price)
    limit(acme.tenant, "DAILY_QUOTA", 2, task_id=TASK)
    use(api, 2)
    rows = QuotaAlert.objects.for_tenant(acme.tenant).order_by("subject", "threshold")
    assert list(rows.values_list("subject", "threshold")) == [
        ("feature=;task=;period=DAY;measure=COST;user=", 50),
        (f"feature=;task={TASK};period=DAY;measure=UNITS;user=", 50),
        (f"feature=;task={TASK};period=DAY;measure=UNITS;user=", 100),
    ]
    assert rows[0].numbers["unit"] == "USD"


def test_an_alert_keeps_the_figures_of_its_instant(acme: Company, api: Api) -> None:
    quota(acme, 2)
    other = hold(api)
    use(api, 1)
    (alert,) = QuotaAlert.objects.for_tenant(acme.tenant)
    numbers = alert.numbers
    assert (numbers["used"], numbers["held"], numbers["limit"], numbers["left"]) == (1, 1, 2, 0)
    assert (numbers["unit"], numbers["period"], numbers["feature"]) == ("API_CALLS", "DAY", FEATURE)
    assert alert.episode == f"{numbers['starts_at']};2"
    assert api.post(f"/reservations/{other}/release").status_code == 200


def test_a_message_goes_to_each_channel_that_wants_it_and_to_no_other(acme: Company, rival: Company, api: Api) -> None:
    wanted = channel(acme)
    chosen = channel(acme, name="chosen", kinds=["THRESHOLD"], severities=["INFO"])
    channel(acme, name="critical", severities=["CRITICAL"])
    channel(acme, name="others", kinds=["REFUSALS"])
    channel(acme, name="off", is_active=False)
    channel(rival, name="rival")
    channel(acme, name="operators", tenant=None)
    quota(acme, 2)
    use(api, 1)
    rows = Delivery.objects.all()
    assert {row.channel_id for row in rows} == {wanted.id, chosen.id}
    (alert,) = QuotaAlert.objects.for_tenant(acme.tenant)
    for row in rows:
        assert (row.tenant_id, row.alert_id, row.state) == (acme.tenant.id, alert.id, DeliveryState.PENDING)
        assert row.next_attempt_at == alert.created_at


def test_who_is_told_nothing_is_told_nothing(acme: Company, api: Api) -> None:
    AlertPolicy.objects.create(tenant=acme.tenant, percents=[])
    quota(acme, 2)
    use(api, 1)
    assert told(acme) == []


def test_the_permit_stays_one_query(acme: Company, api: Api) -> None:
    quota(acme, 10)
    hold(api)
    with CaptureQueriesContext(connection) as captured:
        api.post("/enforce", body_of("ACME", TASK), Idempotency_Key="again")
    assert len(captured) == 1


def test_events_across_thresholds_tell_each_once(acme: Company, api: Api) -> None:
    """Facts are booked in one go, beside what reservations hold."""
    quota(acme, 10)
    held = hold(api)
    events: list[dict[str, Any]] = [
        {"id": f"e{number}", "tenant": "ACME", "task": TASK, "usage": {"api_calls": 1}} for number in range(7)
    ]
    events.append({"id": "of-hold", "tenant": "ACME", "reservation_id": held, "usage": {"api_calls": 1}})
    for _ in range(2):
        answer = api.post("/usage/events", events)
        assert {each["status"] for each in answer.json()["results"]} == {200}, answer.content
        assert told(acme) == [50, 80]
    numbers = QuotaAlert.objects.for_tenant(acme.tenant).filter(threshold=80).values_list("numbers", flat=True)
    assert {each["used"] for each in numbers if each["period"] == "DAY"} == {8}


def test_events_without_a_crossing_cost_as_many_queries_as_before(acme: Company, api: Api) -> None:
    quota(acme, 10)
    counts = []
    for number in range(4):
        event = {"id": f"e{number}", "tenant": "ACME", "task": TASK, "usage": {"api_calls": 1}}
        with CaptureQueriesContext(connection) as captured:
            assert api.post("/usage/events", event).status_code == 200
        counts.append(len(captured))
    assert counts[1:] == [1, 1, 1]


def test_usage_of_a_period_that_is_over_is_told_nobody(acme: Company, api: Api) -> None:
    limit(acme.tenant, "DAILY_QUOTA", 1, feature_id=FEATURE)
    event = {
        "id": "late", "tenant": "ACME", "task": TASK, "usage": {"api_calls": 5},
        "occurred_at": (datetime.now(UTC) - timedelta(days=2)).isoformat(),
    }  # fmt: skip
    assert api.post("/usage/events", event).status_code == 200
    assert told(acme) == []
