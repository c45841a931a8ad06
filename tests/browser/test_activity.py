"""The list of calls and refusals, in a browser."""

from playwright.sync_api import Page, expect

from tests import cast
from tests.browser.checks import check
from tests.browser.people import sign_in
from tests.enforcement.api import Api
from tests.usage.pages import spend


def test_a_call_opens_in_a_drawer_with_its_story(page: Page, acme: cast.Company, svc: str) -> None:
    spend(Api(svc), "ACME", user="u-17")
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/activity/")
    check(page)
    page.locator("tbody a").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("heading", name="What it counts against")).to_be_visible()
    expect(drawer.get_by_role("heading", name="Permitted")).to_be_visible()
    check(page)
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_a_refusal_opens_in_a_drawer(page: Page, acme: cast.Company, svc: str) -> None:
    Api(svc).enforce("ACME", "EMBED", tokens_in=1)
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/activity/?show=refusals")
    check(page)
    page.locator("tbody a").first.click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="Refused: FEATURE_UNAVAILABLE")).to_be_visible()


def test_a_call_is_a_page_of_its_own_without_javascript(unscripted: Page, acme: cast.Company, svc: str) -> None:
    spend(Api(svc), "ACME")
    page = unscripted
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/activity/")
    page.locator("tbody a").click()
    expect(page.get_by_role("heading", name="What was used")).to_be_visible()
    page.get_by_role("link", name="Why it was permitted").click()
    expect(page.get_by_role("heading", name="Permitted")).to_be_visible()


def test_filters_stay_in_the_address(desktop: Page, acme: cast.Company, svc: str) -> None:
    spend(Api(svc), "ACME", user="u-1")
    spend(Api(svc), "ACME", "LLM1_PRIOR_ART", user="u-2")
    sign_in(desktop, acme.owner.user)
    desktop.goto("/t/ACME/activity/")
    desktop.get_by_label("Task").select_option("LLM1_PRIOR_ART")
    desktop.get_by_role("button", name="Show").click()
    expect(desktop.locator("tbody tr")).to_have_count(1)
    assert "task=LLM1_PRIOR_ART" in desktop.url
