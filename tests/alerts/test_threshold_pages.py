"""Owners and admins say at what they are told: of every quota, and of single ones."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from alerts import rules
from alerts.models import AlertPolicy, QuotaAlert
from plans.models import Feature
from tests.alerts.quotas import FEATURE, quota, told, use
from tests.cast import Company
from tests.enforcement.api import Api

URL = "/t/ACME/alerts/settings/thresholds/"
DAY = f"{FEATURE};UNITS;DAY"
SPEND = ";COST;MONTH"


@pytest.fixture
def owner(acme: Company) -> Client:
    client = Client()
    client.force_login(acme.owner.user)
    return client


def test_thresholds_of_a_tenant_take_the_place_of_everybodys(acme: Company, rival: Company, owner: Client) -> None:
    assert rules.shares(acme.tenant) == [50, 80, 95, 100]
    owner.post(URL, {"percents": "90, 75%, 90"})
    assert rules.shares(acme.tenant) == [75, 90]
    assert rules.shares(rival.tenant) == [50, 80, 95, 100]
    assert owner.post(URL, {"percents": "0, many"}).status_code == 422
    owner.post(URL, {"percents": ""})
    own = AlertPolicy.objects.for_tenant(acme.tenant).get()
    assert own.percents == []
    owner.post(f"{URL}{own.pk}/remove/")
    assert rules.shares(acme.tenant) == [50, 80, 95, 100]
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Every quota: Told at 75 %, 90 %.", "Every quota: Told at nothing.", "Every quota: Removed.",
    ]  # fmt: skip


def test_one_quota_is_told_at_shares_and_amounts_of_its_own(acme: Company, owner: Client, api: Api) -> None:
    quota(acme, 10)
    owner.post(URL, {"quota": DAY, "percents": "30", "amounts": "4 2"})
    use(api, 5)
    assert told(acme) == [2, 30, 4]
    assert "API calls a day" in owner.get(URL).content.decode()
    owner.post(f"{URL}{AlertPolicy.objects.for_tenant(acme.tenant).get().pk}/remove/")
    use(api, 3)
    assert told(acme) == [2, 30, 4, 80], "half of it was passed before"
    assert QuotaAlert.objects.for_tenant(acme.tenant).exists()


def test_amounts_of_money_are_in_usd(acme: Company, owner: Client) -> None:
    owner.post(URL, {"quota": SPEND, "percents": "", "amounts": "25 40.5"})
    own = AlertPolicy.objects.for_tenant(acme.tenant).get()
    assert (own.feature, own.measure, own.period, own.amounts) == (None, "COST", "MONTH", [25 * 10**9, 40_500_000_000])
    page = owner.get(f"{URL}?quota={SPEND}")
    assert "USD 40.50" in page.content.decode()
    assert page.context["closer"]["amounts"].value() == "25.00 40.50"


@pytest.mark.parametrize(
    ("quota_key", "amounts", "said"),
    [
        (SPEND, "-1", "Amounts above 0, in USD."),
        (SPEND, "0", "Amounts above 0"),
        (DAY, "1.5", "Amounts above 0, in API calls."),
        (DAY, "1,000", "no commas"),
        (DAY, " ".join(str(each) for each in range(1, 12)), "At most 10"),
        ("NOTHING;UNITS;DAY", "5", "Select a valid choice"),
        (";TOKENS;MINUTE", "5", "Select a valid choice"),
    ],
)
def test_amounts_that_cannot_be_are_refused_in_words(
    acme: Company, owner: Client, quota_key: str, amounts: str, said: str
) -> None:
    page = owner.post(URL, {"quota": quota_key, "percents": "50", "amounts": amounts})
    assert page.status_code == 422
    assert said in page.content.decode()
    assert not AlertPolicy.objects.for_tenant(acme.tenant).exists()


def test_a_rule_of_a_super_admin_about_more_than_a_quota_is_listed_and_another_tenants_is_not_there(
    acme: Company, rival: Company, owner: Client
) -> None:
    feature = Feature.objects.get(code=FEATURE)
    mine = AlertPolicy.objects.create(tenant=acme.tenant, feature=feature, percents=[10])
    theirs = AlertPolicy.objects.create(tenant=rival.tenant, percents=[10])
    assert FEATURE in owner.get(URL).content.decode()
    everybodys = AlertPolicy.objects.of_everybody().first()
    assert everybodys
    for rule in (theirs, everybodys):
        assert owner.post(f"{URL}{rule.pk}/remove/").status_code == 404
    owner.post(f"{URL}{mine.pk}/remove/")
    assert set(AlertPolicy.objects.values_list("tenant", flat=True)) == {None, rival.tenant.pk}


@pytest.mark.parametrize("percents", ["0000000019999", "000000000" + "9" * 80, "0", "1001"])
def test_shares_that_cannot_be_are_refused_in_words(acme: Company, owner: Client, percents: str) -> None:
    page = owner.post(URL, {"percents": percents})
    assert page.status_code == 422
    assert "Whole numbers from 1 to 1,000" in page.content.decode()
