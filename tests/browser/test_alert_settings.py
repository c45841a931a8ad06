"""Who is told what, set in a browser."""

import pytest
from playwright.sync_api import Page, expect

from alerts import deliveries
from tests import cast
from tests.browser.checks import check
from tests.browser.people import sign_in
from tests.mailbox import mailbox


def test_a_channel_is_added_tried_and_switched_off(page: Page, acme: cast.Company) -> None:
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/alerts/settings/")
    check(page)
    add = page.locator("#add")
    add.get_by_label("Name").fill("On call")
    add.get_by_label("Address").fill("oncall@acme.example")
    add.get_by_label("Info").uncheck()
    add.get_by_role("button", name="Add the channel").click()
    row = page.locator("tr", has_text="On call").first
    expect(row).to_contain_text("On")
    check(page)
    row.get_by_text("Change").click()
    check(page)
    row.get_by_role("button", name="Send a test").click()
    with mailbox() as box:
        deliveries.send_due()
    assert box.letters[0]["To"] == "oncall@acme.example"
    page.goto("/t/ACME/alerts/settings/")
    expect(page.get_by_role("heading", name="Latest messages")).to_be_visible()
    check(page)
    row = page.locator("tr", has_text="On call").first
    row.get_by_text("Change").click()
    row.get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("status")).to_contain_text("“On call” is off.")


@pytest.mark.parametrize("address", ["https://169.254.169.254/latest/meta-data/", "http://example.com/"])
def test_an_address_that_is_refused_says_why_beside_it(desktop: Page, acme: cast.Company, address: str) -> None:
    sign_in(desktop, acme.owner.user)
    desktop.goto("/t/ACME/alerts/settings/")
    add = desktop.locator("#add")
    add.get_by_label("How").select_option("Signed webhook")
    add.get_by_label("Name").fill("Inside")
    add.get_by_label("Address").fill(address)
    add.get_by_role("button", name="Add the channel").click()
    expect(add.locator(".errorlist")).to_be_visible()
    check(desktop)
