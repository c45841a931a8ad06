"""What every page owes its reader; call `check` on each page, in each state that it has."""

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
_GRAVE = {"serious", "critical"}


def check(page: Page) -> None:
    """A page fits its window and has no grave barrier; that its console is silent, its fixture checks."""
    axe(page)
    assert_fits(page)


def axe(page: Page) -> None:
    """No serious or critical violation is found by axe-core; the message names rule, element and remedy."""
    page.evaluate(f"{_source()}; null")
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    grave = [_told(each) for each in found["violations"] if each["impact"] in _GRAVE]
    assert not grave, f"{page.url}\n" + "\n".join(grave)


def assert_fits(page: Page) -> None:
    """Nothing makes the page wider than its window."""
    wide = page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          const all = [...document.querySelectorAll("body *")];
          const beyond = all.filter((e) => e.getBoundingClientRect().right > width);
          return beyond.slice(0, 5).map((e) => e.outerHTML.slice(0, 120));
        }"""
    )
    assert not wide, f"{page.url} is wider than its window:\n" + "\n".join(wide)


@cache
def _source() -> str:
    return _AXE.read_text()


def _told(violation: dict[str, Any]) -> str:
    nodes = "; ".join(f"{node['html'][:160]} ({node['failureSummary']})" for node in violation["nodes"][:3])
    return f"{violation['impact']} {violation['id']}: {violation['help']}: {nodes}"
