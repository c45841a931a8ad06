"""Who is told what, set in a browser."""

import pytest
from playwright.sync_api import Page, expect

from alerts import deliveries
from alerts.models import ChannelKind
from tests import cast
from tests.alerts.telling import channel
from tests.browser.checks import check
from tests.browser.people import sign_in
from tests.mailbox import mailbox

URL = "/t/ACME/alerts/settings/"


def test_a_channel_is_added_tried_changed_and_removed(page: Page, acme: cast.Company) -> None:
    sign_in(page, acme.owner.user)
    page.goto(URL)
    check(page)
    page.get_by_role("button", name="Add an e-mail address").click()
    check(page)
    page.get_by_label("Name").fill("On call")
    page.get_by_label("E-mail addresses").fill("oncall@acme.example")
    page.get_by_label("Info").uncheck()
    page.get_by_text("Only some alerts").click()
    page.get_by_label("Will run out").check()
    check(page)
    page.get_by_role("button", name="Add the channel").click()
    expect(page.get_by_role("status")).to_contain_text("“On call” was added.")
    expect(page.get_by_label("Will run out")).to_be_checked()
    check(page)
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("status")).to_contain_text("A test is on its way")
    with mailbox() as box:
        deliveries.send_due()
    assert box.letters[0]["To"] == "oncall@acme.example"
    page.get_by_label("Name").fill("Night shift")
    page.get_by_role("button", name="Save the channel").click()
    expect(page.get_by_role("heading", name="Latest messages")).to_be_visible()
    check(page)
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("status")).to_contain_text("“Night shift” is off.")
    check(page)
    page.get_by_role("link", name="Alert settings").click()
    expect(page.locator("tr", has_text="Night shift").first).to_contain_text("Off")
    check(page)
    page.get_by_role("link", name="Night shift").click()
    page.get_by_role("link", name="Remove this channel").click()
    check(page)
    page.get_by_role("button", name="Remove the channel for good").click()
    expect(page.get_by_text("There is no channel yet.")).to_be_visible()


def test_a_preview_shows_the_mail_in_a_frame(page: Page, acme: cast.Company) -> None:
    mine = channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL)
    sign_in(page, acme.owner.user)
    page.goto(f"{URL}{mine.pk}/")
    page.get_by_role("link", name="See what its messages look like").click()
    page.get_by_label("Alert").select_option("Will run out")
    page.get_by_role("button", name="Show").click()
    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_contain_text("Sample: ")
    expect(page.frame_locator("iframe").locator("h1")).to_have_css("font-size", "22px")
    check(page)


def test_thresholds_of_a_quota_are_set_and_removed(page: Page, acme: cast.Company) -> None:
    sign_in(page, acme.owner.user)
    page.goto(f"{URL}thresholds/")
    check(page)
    one = page.locator("#one")
    one.get_by_label("Quota").select_option(index=1)
    one.get_by_label("Tell at these amounts").fill("nothing")
    one.get_by_role("button", name="Set for this quota").click()
    expect(page.locator("#one .errorlist")).to_be_visible()
    check(page)
    page.locator("#one").get_by_label("Tell at these amounts").fill("40")
    page.locator("#one").get_by_role("button", name="Set for this quota").click()
    expect(page.get_by_role("heading", name="Quotas with thresholds of their own")).to_be_visible()
    check(page)
    page.locator(".sheet summary").click()
    check(page)
    page.get_by_role("button", name="Remove these").click()
    expect(page.get_by_role("status")).to_contain_text("The thresholds are gone")


@pytest.mark.parametrize("address", ["https://169.254.169.254/latest/meta-data/", "http://example.com/"])
def test_an_address_that_is_refused_says_why_beside_it(desktop: Page, acme: cast.Company, address: str) -> None:
    sign_in(desktop, acme.owner.user)
    desktop.goto(URL)
    desktop.get_by_role("button", name="Add a webhook").click()
    desktop.get_by_label("Name").fill("Inside")
    desktop.get_by_label("Address of the webhook").fill(address)
    desktop.get_by_role("button", name="Add the channel").click()
    expect(desktop.locator(".errorlist")).to_be_visible()
    check(desktop)
