"""Explore, in a browser."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests import cast
from tests.browser.checks import check
from tests.browser.people import sign_in
from tests.enforcement.api import Api
from tests.enforcement.rules import limit

_PAINTED = """(canvas) => {
  const { width, height } = canvas;
  const pen = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  pen.drawImage(canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);
  const colours = new Set();
  for (let place = 0; place < data.length; place += 4) {
    if (data[place + 3] > 200) colours.add(`${data[place]},${data[place + 1]},${data[place + 2]}`);
  }
  return [...colours];
}"""


@pytest.fixture
def used(acme: cast.Company, svc: str) -> cast.Company:
    """A tenant whose nine users used two features, this week and the one before."""
    api = Api(svc)
    events = [
        {
            "id": f"{number}-{task}-{days}", "tenant": "ACME", "task": task, "user": f"user-{number}",
            "usage": {"input_tokens": 1000 * number, "output_tokens": 500, "api_calls": 1}, "latency_ms": 900 + number,
            "occurred_at": (datetime.now(UTC) - timedelta(days=days)).isoformat(), "model": "gpt-4o",
        }
        for number in range(1, 10)
        for task in ("LLM2_DRAFT", "LLM1_PRIOR_ART")
        for days in (0, 1, 3, 8)
    ]  # fmt: skip
    assert api.post("/usage/events", events).status_code == 200
    return acme


def colours(page: Page) -> list[str]:
    found: list[str] = page.locator("canvas").evaluate(_PAINTED)
    return found


def rgb(page: Page, name: str) -> str:
    """A colour of the page as a canvas has it."""
    found: str = page.evaluate(
        """(name) => {
          const probe = document.createElement("i");
          document.body.append(probe);
          probe.style.setProperty("color", `var(${name})`);
          const found = getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).join(",");
          probe.remove();
          return found;
        }""",
        name,
    )
    return found


@pytest.mark.parametrize(
    "query",
    [
        "", "?group_by=user&range=7d", "?measure=latency_p95&group_by=task", "?measure=cost&group_by=none&range=today",
        "?measure=denials&group_by=code", "?range=custom&first=2026-02-30&task=NOPE&measure=units",
    ],
)  # fmt: skip
def test_every_state_fits_its_window_and_has_no_barrier(page: Page, used: cast.Company, query: str) -> None:
    sign_in(page, used.owner.user)
    page.goto(f"/t/ACME/explore/{query}")
    for times in page.locator("details.explore-times").all():
        times.locator("summary").click()
    check(page)


def test_the_chart_is_drawn_in_the_pages_colours_and_follows_it_into_the_dark(page: Page, used: cast.Company) -> None:
    limit(used.tenant, "DAILY_TOKEN_LIMIT", 60_000, feature_id="PATENT_DRAFTING")
    sign_in(page, used.owner.user)
    page.goto("/t/ACME/explore/?feature=PATENT_DRAFTING&group_by=user&range=7d")
    expect(page.get_by_role("heading", name="Tokens rose")).to_be_visible()
    light = {name: rgb(page, name) for name in ("--series-1", "--series-other", "--red")}
    assert set(light.values()) <= set(colours(page))
    page.emulate_media(color_scheme="dark")
    dark = {name: rgb(page, name) for name in light}
    assert dark != light
    assert set(dark.values()) <= set(colours(page))
    check(page)


def test_the_keyboard_goes_from_bar_to_bar_and_hears_the_numbers(desktop: Page, used: cast.Company) -> None:
    sign_in(desktop, used.owner.user)
    desktop.goto("/t/ACME/explore/?range=7d")
    chart = desktop.get_by_role("img")
    chart.focus()
    desktop.keyboard.press("End")
    says = desktop.locator("[data-chart-says]")
    expect(says).to_contain_text("All: 99,000; Patent drafting 49,500; Prior-art search 49,500")
    desktop.keyboard.press("ArrowLeft")
    desktop.keyboard.press("ArrowLeft")
    expect(says).to_contain_text("All: 0")
    desktop.keyboard.press("Escape")
    expect(says).to_be_empty()


def test_a_question_is_asked_by_the_form_and_stands_in_the_address(desktop: Page, used: cast.Company) -> None:
    sign_in(desktop, used.owner.user)
    desktop.goto("/t/ACME/explore/")
    expect(desktop.get_by_label("From")).to_be_hidden()
    desktop.get_by_label("Split by").select_option("Person")
    desktop.get_by_label("Time").select_option("Last 7 days")
    desktop.get_by_role("button", name="Show").click()
    assert desktop.url.endswith("/explore/?measure=tokens&group_by=user&range=7d&step=auto&compare=yes")
    desktop.get_by_role("link", name="user-9").click()
    chip = desktop.get_by_role("link", name="Person: user-9")
    expect(chip).to_be_visible()
    assert "group_by=feature&user=user-9" in desktop.url or "user=user-9&group_by=feature" in desktop.url
    chip.click()
    expect(chip).to_be_hidden()
    desktop.get_by_label("Time").select_option("Own days")
    desktop.get_by_label("From").fill("2026-11-20")
    desktop.get_by_label("To, included").fill("2026-11-01")
    desktop.get_by_role("button", name="Show").click()
    expect(desktop.get_by_label("To, included")).to_have_attribute("aria-invalid", "true")
    expect(desktop.get_by_text("It must not come before the first day.")).to_be_visible()


def test_without_javascript_it_is_a_form_and_its_tables(unscripted: Page, used: cast.Company) -> None:
    sign_in(unscripted, used.owner.user)
    unscripted.goto("/t/ACME/explore/")
    expect(unscripted.locator("canvas")).to_be_hidden()
    unscripted.get_by_label("Split by").select_option("Task")
    unscripted.get_by_role("button", name="Show").click()
    expect(unscripted.get_by_role("row", name="Draft").first).to_be_visible()
    unscripted.get_by_text("The same by day").click()
    expect(unscripted.get_by_role("heading", name="Tokens by day")).to_be_visible()


def test_what_is_shown_is_downloaded(desktop: Page, used: cast.Company) -> None:
    sign_in(desktop, used.owner.user)
    desktop.goto("/t/ACME/explore/?range=7d")
    with desktop.expect_download() as started:
        desktop.get_by_role("link", name="CSV").first.click()
    assert started.value.path().read_text().startswith("feature,name,tokens,share,before\n")
