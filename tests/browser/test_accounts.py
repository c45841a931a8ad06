"""Sign up, log in, log out and get a new password, at both widths and once by the keyboard alone."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tenants import tokens
from tenants.models import Role, Tenant, TokenStatus, User
from tests import cast
from tests.browser.checks import check
from tests.browser.people import log_in, sign_in
from tests.mailbox import mailbox

PASSWORD = "a long and quiet road"
EMAIL = "ann@people.example"


def sign_up(page: Page, invitation: str) -> None:
    page.goto("/accounts/signup/")
    page.get_by_label("Invitation").fill(invitation)
    fill_in(page)
    page.get_by_role("button", name="Sign up").click()


def fill_in(page: Page) -> None:
    page.get_by_label("Name").fill("Ann")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)


def test_the_first_with_a_root_invitation_is_the_owner_and_stands_on_the_overview(page: Page) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    root = tokens.issue_root(tenant, cast.plan("PRO"), starts_at=datetime.now(UTC) - timedelta(hours=1))
    page.goto("/")
    page.get_by_role("link", name="Sign up with an invitation").click()
    check(page)
    sign_up(page, root.text)
    expect(page).to_have_url(re.compile("/t/NEWCO/$"))
    expect(page.get_by_text("You have signed up. Your role is owner.")).to_be_visible()
    expect(page.get_by_role("link", name="People")).to_be_visible()
    assert User.objects.get(email=EMAIL).role == Role.OWNER


def test_a_link_carries_an_employees_invitation_where_no_server_sees_it(page: Page, acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant).text
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url + str(request.headers)))
    page.goto(f"/accounts/signup/#invitation={invitation}")
    expect(page.get_by_label("Invitation")).to_have_value(invitation)
    expect(page).to_have_url(re.compile("/accounts/signup/$"))
    fill_in(page)
    page.get_by_role("button", name="Sign up").click()
    expect(page).to_have_url(re.compile("/t/ACME/$"))
    expect(page.get_by_role("link", name="People")).to_have_count(0)
    assert User.objects.get(email=EMAIL).role == Role.VIEWER
    assert not any(invitation in each for each in asked)


def test_a_second_click_does_no_harm(page: Page, acme: cast.Company) -> None:
    invitation = tokens.issue_invitation(acme.tenant, max_uses=1)
    page.goto(f"/accounts/signup/#invitation={invitation.text}")
    fill_in(page)
    page.get_by_role("button", name="Sign up").dblclick()
    expect(page).to_have_url(re.compile("/t/ACME/$"))
    invitation.record.refresh_from_db()
    assert (invitation.record.usage_count, User.objects.filter(email=EMAIL).count()) == (1, 1)


@pytest.mark.parametrize(
    ("state", "told"), [("used up", "as often as it allows"), ("expired", "has expired"), ("revoked", "was withdrawn")]
)
def test_why_an_invitation_is_refused_stands_beside_it(page: Page, acme: cast.Company, state: str, told: str) -> None:
    invitation = tokens.issue_invitation(
        acme.tenant,
        max_uses=0 if state == "used up" else None,
        expires_at=datetime.now(UTC) if state == "expired" else None,
    )
    if state == "revoked":
        tokens.set_status(invitation.record, TokenStatus.REVOKED)
    sign_up(page, invitation.text)
    field = page.get_by_label("Invitation")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile(told))
    expect(page.get_by_text(re.compile(told))).to_be_visible()
    check(page)


def test_people_log_out_and_in_again(page: Page, acme: cast.Company) -> None:
    acme.owner.user.set_password(PASSWORD)
    acme.owner.user.save(update_fields=["password"])
    page.goto("/t/ACME/tokens/")
    expect(page.get_by_text("Log in to see that page.")).to_be_visible()
    check(page)
    log_in(page, acme.owner.user.email, "not my password")
    expect(page.get_by_text("do not belong together")).to_be_visible()
    check(page)
    page.goto("/t/ACME/tokens/")
    page.get_by_label("E-mail").fill(acme.owner.user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile("/t/ACME/tokens/$"))
    page.locator("details.menu summary").click()
    check(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    page.goto("/t/ACME/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_new_password_comes_by_mail(page: Page, acme: cast.Company) -> None:
    with mailbox() as post:
        page.goto("/accounts/login/")
        page.get_by_role("link", name="Forgotten your password?").click()
        check(page)
        page.get_by_label("E-mail").fill(acme.owner.user.email)
        page.get_by_role("button", name="Send the link").click()
        expect(page.get_by_role("heading", name="Look at your mail")).to_be_visible()
        check(page)
        page.goto(post.link())
        expect(page).to_have_url(re.compile("-set-password/$"))
        check(page)
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Save and log in").click()
        expect(page).to_have_url(re.compile("/t/ACME/$"))
        page.goto(post.link())
        expect(page.get_by_role("heading", name="This link has ended")).to_be_visible()
        check(page)


def test_a_profile_names_who_can_change_it(page: Page, acme: cast.Company) -> None:
    sign_in(page, acme.people[0].user)
    page.goto("/accounts/profile/")
    expect(page.get_by_role("link", name="Change your password")).to_be_visible()
    expect(page.get_by_text("Ask owner@acme.example.")).to_be_visible()
    check(page)
    page.get_by_label("Name").fill("Ann")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your name is saved.")).to_be_visible()
    page.get_by_role("link", name="Back to Acme").click()
    expect(page.locator("details.menu summary")).to_have_text("Ann")


@pytest.mark.parametrize(
    "path", ["/nothing-here/", "/t/RIVAL/", "/t/ACME/people/", "/accounts/suspended/", "/accounts/logout/"]
)
def test_a_page_that_says_no_is_a_page_too(page: Page, acme: cast.Company, rival: cast.Company, path: str) -> None:
    sign_in(page, acme.people[0].user)
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    check(page)


def test_the_sixth_wrong_password_is_answered_by_a_page(page: Page, acme: cast.Company) -> None:
    for _ in range(6):
        log_in(page, acme.owner.user.email, "not my password")
    expect(page.get_by_text("Wait 10 minutes, then try again.")).to_be_visible()
    check(page)


def tab_to(page: Page, role: str, name: str) -> None:
    """Press Tab until that element has the focus."""
    wanted = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]  # one of its many literals
    expect(wanted).to_be_visible()
    for _ in range(30):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"no Tab leads to {name}")


def test_the_keyboard_is_enough(desktop: Page, acme: cast.Company) -> None:
    page = desktop
    invitation = tokens.issue_invitation(acme.tenant)
    page.goto("/accounts/signup/")
    for label, text in {"Invitation": invitation.text, "Name": "Ann", "E-mail": EMAIL}.items():
        tab_to(page, "textbox", label)
        page.keyboard.type(text)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/t/ACME/$"))

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.goto("/t/ACME/")
    page.locator("details.menu summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Profile")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Profile")).to_be_hidden()
    page.locator("details.menu summary").focus()
    page.keyboard.press("Enter")
    tab_to(page, "button", "Log out")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You are logged out.")).to_be_visible()


def test_the_forms_can_be_read_in_the_dark(page: Page, acme: cast.Company) -> None:
    page.emulate_media(color_scheme="dark")
    sign_up(page, "ati_nothing")
    expect(page.get_by_text("not an invitation we know")).to_be_visible()
    check(page)
    sign_in(page, acme.owner.user)
    page.goto("/accounts/profile/")
    check(page)
