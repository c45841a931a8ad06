"""The alerts as a tenant's people see them: the list, what still holds on the overview, and the count in the header."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from alerts.models import QuotaAlert
from tests import console
from tests.alerts.quotas import FEATURE, quota, use
from tests.alerts.telling import alert
from tests.cast import Company, Person
from tests.enforcement.api import Api
from tests.enforcement.rules import limit

PAGES = ["/t/ACME/alerts/", "/t/ACME/alerts/open/", "/t/ACME/alerts/bell/"]


def browser(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return console.text_of(answer)


@pytest.mark.parametrize("path", PAGES)
def test_strangers_get_404_and_nobody_logs_in_first(path: str, acme: Company, rival: Company) -> None:
    assert browser(rival.owner).get(path).status_code == 404
    assert Client().get(path).status_code == 302
    assert browser(acme.people[0]).get(path).status_code == 200
    assert console.super_admin().get(path).status_code == 200


def test_where_nothing_was_noticed_the_pages_say_so(acme: Company) -> None:
    owner = browser(acme.owner)
    assert "Nothing was noticed yet" in text(owner, PAGES[0])
    assert "Nothing needs attention" in text(owner, PAGES[1])
    assert owner.get(PAGES[2]).content.strip() == b""


def test_an_alert_is_told_in_words_counted_and_listed_when_it_is_over(acme: Company, api: Api) -> None:
    quota(acme, 10)
    use(api, 8)
    owner = browser(acme.owner)
    assert "8 of 10 API calls" in text(owner, PAGES[1])
    assert "2 open" in text(owner, PAGES[2])
    assert text(owner, PAGES[0]).count("still holds") == 2
    QuotaAlert.objects.update(resolved_at=QuotaAlert.objects.latest("created_at").created_at)
    assert "Nothing needs attention" in text(owner, PAGES[1])
    assert "still holds" not in text(owner, PAGES[0])
    assert "8 of 10 API calls" in text(owner, PAGES[0])


def test_more_than_a_few_are_counted_and_linked(acme: Company, api: Api) -> None:
    for calls in (2, 4, 6):
        limit(acme.tenant, "USER_DAILY_QUOTA", calls, feature_id=FEATURE, user_key=f"u-{calls}")
        use(api, calls, user=f"u-{calls}")
    owner = browser(acme.owner)
    assert "There are more: all alerts" in text(owner, PAGES[1])


def test_who_sees_their_own_usage_alone_is_not_told_about_others(acme: Company, api: Api) -> None:
    limit(acme.tenant, "USER_DAILY_QUOTA", 2, feature_id=FEATURE, user_key="u-17")
    use(api, 1, user="u-17")
    assert "u-17" in text(browser(acme.owner), PAGES[0])
    assert "u-17" not in text(browser(acme.people[0]), PAGES[0])


def test_the_overview_leads_there_without_javascript(acme: Company) -> None:
    page = browser(acme.owner).get("/t/ACME/").content.decode()
    assert 'href="/t/ACME/alerts/"' in page
    assert 'hx-get="/t/ACME/alerts/open/"' in page
    assert 'hx-get="/t/ACME/alerts/bell/"' in page


def test_a_list_asks_as_much_for_many_as_for_one(acme: Company, api: Api) -> None:
    quota(acme, 20)
    use(api, 5)
    owner = browser(acme.owner)
    counts = []
    for _ in range(2):
        text(owner, PAGES[0])
        with CaptureQueriesContext(connection) as captured:
            text(owner, PAGES[0])
        counts.append(len(captured))
        use(api, 5)
    assert counts[0] == counts[1]


def test_what_is_critical_stands_on_every_page_until_it_is_over(acme: Company, api: Api) -> None:
    quota(acme, 10)
    use(api, 9)
    owner = browser(acme.owner)
    everywhere = ["/t/ACME/", "/t/ACME/explore/", "/t/ACME/people/", "/t/ACME/alerts/settings/", *PAGES[:1]]
    assert not any("data-hidable" in owner.get(path).content.decode() for path in everywhere)
    use(api, 1)
    for path in everywhere:
        assert "10 of 10 API calls" in banner(owner.get(path).content.decode()), path
    part = owner.get("/t/ACME/", headers={"HX-Request": "true"})
    assert "data-hidable" not in part.content.decode(), "a part of a page is put into one that has it"
    QuotaAlert.objects.update(resolved_at=QuotaAlert.objects.latest("created_at").created_at)
    assert "data-hidable" not in owner.get("/t/ACME/").content.decode()


def test_the_banner_says_two_and_that_there_are_more(acme: Company) -> None:
    for threshold in (100, 110, 120):
        alert(acme.tenant, threshold, severity="CRITICAL")
    said = banner(browser(acme.owner).get("/t/ACME/tokens/").content.decode())
    assert said.count("Acme has used") == 2
    assert "What to do, and more alerts" in said


def test_the_banner_is_about_nobody_else_and_names_are_text(acme: Company, rival: Company) -> None:
    alert(acme.tenant, severity="CRITICAL", user_key="<script>alert(1)</script>")
    said = banner(browser(acme.owner).get("/t/ACME/").content.decode())
    assert "&lt;script&gt;" in said
    assert "<script" not in said
    assert "data-hidable" not in browser(acme.people[0]).get("/t/ACME/").content.decode()
    assert "data-hidable" not in browser(rival.owner).get("/t/RIVAL/").content.decode()


def banner(page: str) -> str:
    """The banner of a page."""
    return page.partition("data-hidable")[2].partition("</section>")[0]
