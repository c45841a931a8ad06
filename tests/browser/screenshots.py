"""`make screenshots`: pictures of the pages for the README, of a demo world made anew. A page more is a line more."""

import io
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import django
from django.conf import settings
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent / "docs" / "screenshots"
WIDTHS = {"desktop": 1280, "phone": 390}
TALLEST = 1300


@dataclass(frozen=True, slots=True)
class Shot:
    """A page as a picture, in both widths; `who` looks at it, nobody where it is None."""

    name: str
    path: str
    who: str | None = "owner@acme.example"
    is_dark_too: bool = False


SHOTS = (
    Shot("overview", "/t/ACME/", is_dark_too=True),
    Shot("explore", "/t/ACME/explore/?range=30d&compare=no", is_dark_too=True),
    Shot("activity", "/t/ACME/activity/"),
    Shot("people", "/t/ACME/people/"),
    Shot("limits", "/t/ACME/people/limits/"),
    Shot("tokens", "/t/ACME/tokens/"),
    Shot("alerts", "/t/ACME/alerts/"),
    Shot("alert-settings", "/t/ACME/alerts/settings/"),
    Shot("thresholds", "/t/ACME/alerts/settings/thresholds/"),
    Shot("sign-up", "/accounts/signup/", who=None),
    Shot("log-in", "/accounts/login/", who=None),
    Shot("profile", "/accounts/profile/", who="user1@acme.example"),
)


def take(browser: Browser, address: str, shot: Shot, width: str, scheme: str) -> Path:
    """Take one picture; the part of a long page that is above `TALLEST`."""
    # Django is set up before these can be imported.
    from tenants.models import User
    from tests.browser.people import sign_in

    context = browser.new_context(
        base_url=address,
        viewport={"width": WIDTHS[width], "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    if shot.who:
        sign_in(page, User.objects.get(email=shot.who))
    page.goto(shot.path)
    page.wait_for_load_state("networkidle")
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), TALLEST)
    page.set_viewport_size({"width": WIDTHS[width], "height": max(height, 844)})
    path = FOLDER / f"{shot.name}-{width}{'-dark' if scheme == 'dark' else ''}.png"
    _save(page.screenshot(), path)
    context.close()
    return path


def _save(picture: bytes, path: Path) -> None:
    """In 128 colours, which is a third of the bytes and looks the same."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(path, optimize=True)


def main() -> None:
    """Make the usage, then all pictures, in place of those of before."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "metering_site.settings", "DJANGO_ALLOW_ASYNC_UNSAFE": "true"}
    django.setup()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    from tests.browser import demo_usage
    from tests.browser.conftest import FLAGS, chromium_program
    from tests.browser.live import served
    from usage import rollups

    FOLDER.mkdir(exist_ok=True)
    with served() as address, sync_playwright() as playwright:
        demo_usage.make(address, os.environ["METERING_KEY"], datetime.now(UTC))
        rollups.fill()
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=FLAGS)
        for shot in SHOTS:
            for width in WIDTHS:
                for scheme in ("light", "dark") if shot.is_dark_too else ("light",):
                    path = take(browser, address, shot, width, scheme)
                    print(f"{path.name}  {path.stat().st_size // 1024} kB")  # noqa: T201 - a command
        browser.close()


if __name__ == "__main__":
    main()
