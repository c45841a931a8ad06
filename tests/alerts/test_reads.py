"""GET /api/v1/alerts, and the console's list."""

import pytest
from django.test import Client

from alerts.models import AlertKind, AlertPolicy, QuotaAlert
from tenants.models import Scope
from tests import console
from tests.alerts.quotas import FEATURE, quota, use
from tests.cast import Company, make_key
from tests.enforcement.api import Api
from tests.enforcement.rules import limit


@pytest.fixture
def alerts(acme: Company, rival: Company, api: Api) -> Api:
    """ACME has used 80 % of a day's quota and u-17 half of theirs; RIVAL half of its own."""
    quota(acme, 10)
    limit(acme.tenant, "USER_DAILY_QUOTA", 16, feature_id=FEATURE, user_key="u-17")
    use(api, 8, user="u-17")
    limit(rival.tenant, "DAILY_QUOTA", 2, feature_id=FEATURE)
    assert api.commit(api.enforce("RIVAL", "PATENT_OPEN")["reservation_id"]).status_code == 200
    return api


def test_a_tenants_alerts_come_newest_first_with_their_figures(alerts: Api, acme: Company) -> None:
    answer = alerts.get("/alerts", tenant="ACME").json()
    assert answer["next"] is None
    first, second, third = answer["results"]
    assert [first["threshold"], second["threshold"], third["threshold"]] == [80, 50, 50] or first["user"] == "u-17"
    day = next(each for each in answer["results"] if each["user"] is None and each["threshold"] == 80)
    assert (day["kind"], day["severity"], day["resolved_at"]) == ("THRESHOLD", "WARNING", None)
    assert day["subject"] == f"feature={FEATURE};task=;period=DAY;measure=UNITS;user="
    assert (day["numbers"]["used"], day["numbers"]["limit"], day["numbers"]["unit"]) == (8, 10, "API_CALLS")
    assert set(day) >= {"id", "kind", "severity", "subject", "threshold", "created_at", "resolved_at"}


def test_pages_follow_each_other(alerts: Api) -> None:
    found = []
    answer = alerts.get("/alerts", tenant="ACME", page_size="1").json()
    while True:
        found += [each["id"] for each in answer["results"]]
        if answer["next"] is None:
            break
        answer = alerts.client.get(answer["next"], headers=alerts.headers).json()
    assert found == [each["id"] for each in alerts.get("/alerts", tenant="ACME").json()["results"]]
    assert len(set(found)) == 3


def test_a_list_may_be_narrowed_and_says_what_it_knows(alerts: Api) -> None:
    def count(**sent: str) -> int:
        return len(alerts.get("/alerts", tenant="ACME", **sent).json()["results"])

    assert (count(), count(severity="WARNING"), count(kind="THRESHOLD"), count(kind="UNPRICED")) == (3, 1, 3, 0)
    assert (count(state="open"), count(state="over")) == (3, 0)
    refused = alerts.get("/alerts", tenant="ACME", kind="NONSENSE")
    assert refused.status_code == 422
    assert "THRESHOLD" in refused.json()["errors"][0]["message"]
    assert alerts.get("/alerts", tenant="ACME", knd="THRESHOLD").status_code == 422


def test_who_sees_their_own_usage_alone_sees_no_alert_about_others(alerts: Api, acme: Company) -> None:
    owner, analyst = Api(acme.owner.token), Api(acme.people[0].token)
    users = [{each["user"] for each in caller.get("/alerts").json()["results"]} for caller in (owner, analyst)]
    assert "u-17" in users[0]
    assert "u-17" not in users[1] or acme.people[0].user.sees_all


def test_a_stranger_gets_404_and_no_credential_401(alerts: Api, acme: Company, rival: Company) -> None:
    assert alerts.get("/alerts", tenant="NOBODY").status_code == 404
    assert Api(make_key(Scope.READ, tenant=rival.tenant)).get("/alerts", tenant="ACME").status_code == 404
    assert Api(None).get("/alerts").status_code == 401
    assert Api(make_key(Scope.ENFORCE)).get("/alerts", tenant="ACME").status_code == 403
    theirs = Api(rival.owner.token).get("/alerts").json()["results"]
    assert len(theirs) == 1


def test_money_is_a_decimal_string(acme: Company, api: Api) -> None:
    AlertPolicy.objects.create(tenant=acme.tenant, measure="COST", period="DAY", amounts=[1_000])
    use(api, 1)
    (alert,) = api.get("/alerts", tenant="ACME", kind="AMOUNT").json()["results"]
    assert alert["threshold"] == "0.000001"
    assert alert["numbers"]["unit"] == "USD"
    assert float(alert["numbers"]["used"]) > 0
    assert alert["numbers"]["limit"] is None


def test_the_console_lists_them_and_counts_what_is_open_and_critical(alerts: Api, acme: Company) -> None:
    browser: Client = console.super_admin()
    page = browser.get("/admin/alerts/quotaalert/?when=any")
    assert page.status_code == 200
    assert "ACME" in page.content.decode()
    row = QuotaAlert.objects.filter(kind=AlertKind.THRESHOLD).first()
    assert row is not None
    assert browser.get(f"/admin/alerts/quotaalert/{row.pk}/change/").status_code == 200
    assert browser.get("/admin/alerts/alertpolicy/").status_code == 200
