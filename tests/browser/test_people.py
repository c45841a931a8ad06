"""People, limits and tokens, in a browser."""

from playwright.sync_api import Page, expect

from tests import cast
from tests.browser.checks import check
from tests.browser.people import sign_in


def test_an_invitation_is_issued_and_shown_once(page: Page, acme: cast.Company) -> None:
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/tokens/")
    check(page)
    page.locator("#invite").get_by_label("What for").fill("Spring hires")
    page.get_by_role("button", name="Issue an invitation").click()
    expect(page.locator("#secret")).to_contain_text("ati_")
    check(page)
    page.goto("/t/ACME/tokens/")
    expect(page.locator("#secret")).to_have_count(0)
    row = page.locator("tr", has_text="Spring hires")
    row.get_by_text("Change").click()
    check(page)
    row.get_by_role("button", name="Revoke for good").click()
    expect(page.get_by_role("status")).to_contain_text("The invitation “Spring hires” is now revoked.")


def test_a_person_is_suspended_once_it_is_meant(page: Page, acme: cast.Company) -> None:
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/people/")
    check(page)
    page.get_by_role("link", name="user1@acme.example").click()
    check(page)
    page.get_by_label("Yes, suspend user1@acme.example").check()
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_role("status")).to_contain_text("user1@acme.example is now suspended.")


def test_a_limit_is_set_and_removed(page: Page, acme: cast.Company) -> None:
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/people/limits/")
    check(page)
    page.get_by_label("User").fill("u-17")
    page.get_by_label("Feature").select_option("Prior-art search, in API calls")
    page.get_by_label("At most").fill("5")
    page.get_by_role("button", name="Set the limit").click()
    row = page.locator("tr", has_text="u-17")
    expect(row).to_contain_text("5 API calls a day")
    check(page)
    row.get_by_text("Remove", exact=True).click()
    row.get_by_role("button", name="Remove this limit").click()
    expect(row).to_have_count(0)
