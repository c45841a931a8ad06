"""Browser tests: `desktop` and `phone` are windows on the site, `page` runs a test in both.

They run on one process, one after the other: each is a `committed` test with the site served to a real Chromium.
A window whose page logged an error, broke the content policy or failed to load something fails its test.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from django.db import connections
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright
from pytest_django import Settings

from tests import throttled
from tests.browser.live import served

PATIENCE_MS = 15_000  # a machine with two cores does other things too
expect.set_options(timeout=PATIENCE_MS)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDTHS = {"desktop": 1280, "phone": 390}
FOLDER = Path(__file__).parent


class Opened(Protocol):
    """Opens a window of a kind, with or without JavaScript."""

    def __call__(self, kind: str, scripts: bool = True) -> Page: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


def chromium_program() -> str | None:
    """Where Debian's browser is, None where it is not installed."""
    return shutil.which("chromium")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser, for all tests of this folder."""
    program = chromium_program()
    if program is None:
        pytest.skip("browser tests need Chromium: install the package chromium (Debian: apt install chromium)")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, in which Django would not touch the database.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
        connections.close_all()  # beside that loop this thread has connections of its own


@pytest.fixture
def site(committed: None, settings: Settings) -> Iterator[str]:
    """The address of the site, with quick passwords and nobody throttled yet."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    throttled.forget()
    with served() as address:
        yield address


@pytest.fixture
def opened(chromium: Browser, site: str) -> Iterator[Opened]:
    """Opens windows, "desktop" or "phone", each as another person's browser; addresses begin at the site's."""
    watches: list[_Watch] = []
    contexts = []

    def open_window(kind: str, scripts: bool = True) -> Page:
        context = chromium.new_context(
            base_url=site, viewport={"width": WIDTHS[kind], "height": 900}, reduced_motion="reduce",
            java_script_enabled=scripts,
        )  # fmt: skip
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        watches.append(_Watch(page))
        return page

    yield open_window
    for context in contexts:
        context.close()
    complaints = [complaint for watch in watches for complaint in watch.complaints]
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def desktop(opened: Opened) -> Page:
    """A window 1280 pixels wide."""
    return opened("desktop")


@pytest.fixture
def unscripted(opened: Opened) -> Page:
    """A wide window that runs no JavaScript."""
    return opened("desktop", scripts=False)


@pytest.fixture
def phone(opened: Opened) -> Page:
    """A window 390 pixels wide."""
    return opened("phone")


@pytest.fixture(params=list(WIDTHS))
def page(request: pytest.FixtureRequest, opened: Opened) -> Page:
    """One window after the other."""
    return opened(request.param)


class _Watch:
    """Hears what a page complains of. A page that is itself a refusal (403, 404, 429) is no complaint."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self._refused: set[str] = set()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"script error: {error}"))
        page.on("response", self._response)
        page.on("requestfailed", self._failed)

    def _response(self, response: Response) -> None:
        if not response.request.is_navigation_request():
            if response.status >= 400:
                self.complaints.append(f"{response.status} {response.url}")
        elif 400 <= response.status < 500:
            self._refused.add(response.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and message.location.get("url") not in self._refused:
            self.complaints.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        # A page that is left takes its polling with it.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.failure} {request.url}")
