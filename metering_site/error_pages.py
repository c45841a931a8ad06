"""docs/errors.md as pages: one for each code, which is where the `type` of a problem leads, and a list of all."""

import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt

# The pages have one style sheet and nothing that runs.
CONTENT_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_A_DAY = 86_400
_SECTION = re.compile(r"^### (?P<code>\w+)\n+(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(#(\w+)\)")  # from one section of the document to another


@cache
def document() -> str:
    """docs/errors.md; it changes only with the code."""
    return (settings.BASE_DIR / "docs" / "errors.md").read_text(encoding="utf-8")


@cache
def sections() -> Mapping[str, str]:
    """The text of each code's section, in the document's order."""
    return {found["code"]: found["text"].strip() for found in _SECTION.finditer(document())}


@require_safe
@cache_control(public=True, max_age=_A_DAY)
def index(request: HttpRequest) -> HttpResponse:
    """Every code with its first sentence."""
    return _page("Errors", _listed(), is_index=True)


@require_safe
@cache_control(public=True, max_age=_A_DAY)
def error(request: HttpRequest, code: str) -> HttpResponse:
    """What one code means and what to do about it; 404 with the list of all where there is no such code."""
    text = sections().get(code)
    if text is None:
        return _page("There is no such code", _listed(), is_index=True, status=HTTPStatus.NOT_FOUND)
    return _page(code, text)


@cache
def _listed() -> str:
    """The document with each section cut down to a line that links to its page."""
    _, _, text = document().partition("\n")

    def line(found: re.Match[str]) -> str:
        first = re.split(r"(?<=\.)\s", found["text"].strip(), maxsplit=1)[0].replace("\n", " ")
        return f"- [{found['code']}](#{found['code'].lower()}) {first}\n"

    return _SECTION.sub(line, text)


def _page(title: str, text: str, *, is_index: bool = False, status: int = HTTPStatus.OK) -> HttpResponse:
    linked = _LINK.sub(lambda found: f"]({found[1].upper()})", text)
    html = MarkdownIt("commonmark", {"html": False}).render(linked)
    # Without the request: neither a session nor anything else about who asks has a place here.
    page = render_to_string("error_pages/page.html", {"title": title, "html": html, "is_index": is_index})
    return HttpResponse(page, status=status, headers={"Content-Security-Policy": CONTENT_POLICY})
