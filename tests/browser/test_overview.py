"""The first page, in a browser."""

from playwright.sync_api import Page, expect

from tests import cast
from tests.browser.checks import check
from tests.browser.people import sign_in
from tests.enforcement.api import Api
from tests.usage.pages import spend


def test_it_shows_cards_figures_and_refusals(page: Page, acme: cast.Company, svc: str) -> None:
    api = Api(svc)
    spend(api, "ACME", user="a-user-with-a-long-name-" + "x" * 100)
    api.enforce("ACME", "EMBED", tokens_in=1)
    sign_in(page, acme.owner.user)
    page.goto("/t/ACME/")
    expect(page.get_by_role("heading", name="Patent drafting")).to_be_visible()
    expect(page.get_by_text("EMBEDDINGS is not in the plan PRO")).to_be_visible()
    check(page)


def test_a_commit_shows_without_reloading(desktop: Page, acme: cast.Company, svc: str) -> None:
    """Within five seconds, which is how long the page has here."""
    sign_in(desktop, acme.owner.user)
    desktop.goto("/t/ACME/")
    card = desktop.locator(".card", has_text="Patent drafting")
    expect(card.locator(".figure")).to_have_text("0")
    spend(Api(svc), "ACME")
    expect(card.locator(".figure")).to_have_text("1,500", timeout=5_000)


def test_a_hidden_page_asks_for_nothing(desktop: Page, acme: cast.Company) -> None:
    sign_in(desktop, acme.owner.user)
    desktop.goto("/t/ACME/")
    asked: list[str] = []
    desktop.on("request", lambda request: asked.append(request.url))
    desktop.clock.install()
    hide = "Object.defineProperty(document, 'visibilityState', {value: '%s', configurable: true})"
    desktop.evaluate(hide % "hidden")
    desktop.reload()
    desktop.evaluate(hide % "hidden")
    asked.clear()
    desktop.clock.run_for(60_000)
    assert asked == []
    desktop.evaluate(hide % "visible")
    with desktop.expect_response("**/t/ACME/"):
        desktop.clock.run_for(5_000)


def test_it_is_whole_without_javascript(unscripted: Page, acme: cast.Company) -> None:
    sign_in(unscripted, acme.owner.user)
    unscripted.goto("/t/ACME/")
    expect(unscripted.get_by_role("heading", name="Patent drafting")).to_be_visible()
