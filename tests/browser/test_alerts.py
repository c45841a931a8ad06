"""Alerts in a browser: on the overview, in the header and in their list."""

import re

from playwright.sync_api import Page, expect

from tests import cast
from tests.alerts.quotas import quota, use
from tests.browser.checks import check
from tests.browser.people import sign_in
from tests.enforcement.api import Api


def test_what_still_holds_shows_on_the_overview_and_in_the_list(page: Page, acme: cast.Company, svc: str) -> None:
    quota(acme, 10)
    use(Api(svc), 8)
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/")
    expect(page.locator("#open-alerts .card").first).to_contain_text("8 of 10 API calls")
    expect(page.locator("#bell .count")).to_contain_text("2")
    check(page)
    page.get_by_role("link", name="All alerts").click()
    expect(page.get_by_role("heading", name="Alerts", level=1)).to_be_visible()
    expect(page.get_by_text("still holds").first).to_be_visible()
    check(page)


def test_an_alert_shows_without_reloading_and_stays_while_the_page_refreshes(
    desktop: Page, acme: cast.Company, svc: str
) -> None:
    quota(acme, 2)
    sign_in(desktop, acme.owner.user)
    desktop.goto("/t/ACME/")
    expect(desktop.locator("#open-alerts")).to_contain_text("Nothing needs attention")
    use(Api(svc), 1)
    expect(desktop.locator("#open-alerts .card")).to_have_count(1, timeout=10_000)
    expect(desktop.locator("#bell .count")).to_contain_text("1")
    with desktop.expect_response("**/t/ACME/"):
        pass
    expect(desktop.locator("#open-alerts .card")).to_have_count(1)


def test_what_is_critical_is_hidden_on_this_page_alone(page: Page, acme: cast.Company, svc: str) -> None:
    quota(acme, 1)
    use(Api(svc), 1)
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/explore/")
    banner = page.get_by_role("region", name="Critical alerts")
    expect(banner).to_contain_text("1 of 1 API calls")
    check(page)
    banner.get_by_role("button", name="Hide").press("Enter")
    expect(banner).to_have_count(0)
    page.goto("/t/ACME/people/")
    expect(banner).to_be_visible()
    banner.get_by_role("link", name="What to do").click()
    expect(page).to_have_url(re.compile("/t/ACME/alerts/$"))
