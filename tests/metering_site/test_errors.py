"""docs/errors.md and the pages made of it: one section for each code, where the `type` of each problem leads."""

import json
import re
from contextlib import closing
from http import HTTPStatus

import pytest
from django.conf import settings
from django.test import Client

from enforcement.errors import ProblemCode
from metering_site import error_pages, problems
from plans.codes import Code

CODES = [*Code, *ProblemCode]
QUESTIONS = ["What to do:", "Retry:", "Who can fix it:", "Tell your client:"]
SHAPE = re.compile(r"(?P<meaning>\S.+?)\n\n> (?P<example>.+)\n\n(?P<answers>(?:- .+\n?(?:  .+\n?)*)+)", re.DOTALL)


def test_each_code_has_one_section_and_none_is_left_over() -> None:
    headings = re.findall(r"^### (.+)$", error_pages.document(), re.MULTILINE)
    assert headings == CODES
    assert list(error_pages.sections()) == CODES


@pytest.mark.parametrize("code", CODES)
def test_each_section_answers_the_same_questions(code: str) -> None:
    found = SHAPE.fullmatch(error_pages.sections()[code])
    assert found, "a meaning, an example, a list"
    assert re.findall(r"^- \*\*(.+?)\*\* \S", found["answers"], re.MULTILINE) == QUESTIONS


# Design: what a web application answers its own client.
TOLD = {
    401: [Code.TENANT_UNRESOLVED, Code.INVALID_ATI_TOKEN],
    403: [Code.TENANT_SUSPENDED, Code.PLAN_EXPIRED, Code.FEATURE_UNAVAILABLE, Code.TASK_UNAVAILABLE,
          Code.MODEL_CLASS_UNAVAILABLE, Code.POLICY_VIOLATION, Code.PRICE_UNKNOWN],
    413: [Code.INPUT_TOO_LARGE],
    402: [Code.DAILY_QUOTA_EXCEEDED, Code.MONTHLY_QUOTA_EXCEEDED, Code.TOKEN_LIMIT_EXCEEDED, Code.USER_QUOTA_EXCEEDED,
          Code.BUDGET_EXCEEDED],
    429: [Code.CONCURRENCY_LIMIT, Code.RATE_LIMITED],
    200: [Code.OK],
}  # fmt: skip


@pytest.mark.parametrize(("code", "status"), [(code, status) for status, codes in TOLD.items() for code in codes])
def test_a_refusal_says_which_status_the_callers_client_gets(code: Code, status: int) -> None:
    """Defects 29 and 45: 429 is for what comes back by itself within a minute, and for nothing else."""
    assert f"**Tell your client:** {status}" in error_pages.sections()[code]


def test_links_between_sections_lead_to_sections() -> None:
    links = re.findall(r"\]\(#(\w+)\)", error_pages.document())
    assert {link.upper() for link in links} <= set(CODES)


# --- the pages ----------------------------------------------------------------


@pytest.mark.parametrize("code", ProblemCode)
def test_the_type_of_each_problem_is_a_page(client: Client, code: ProblemCode) -> None:
    """Without the database: it has to answer when nothing else does."""
    answer = client.get(json.loads(problems.problem(code, "").content)["type"])
    assert answer.status_code == HTTPStatus.OK
    assert f"<h1>{code}</h1>" in answer.content.decode()


@pytest.mark.parametrize("code", Code)
def test_each_refusal_has_a_page(client: Client, code: Code) -> None:
    page = client.get(f"/errors/{code}").content.decode()
    assert all(f"<strong>{question}</strong>" in page for question in QUESTIONS)
    assert "**" not in page


def test_the_list_links_to_every_page_with_a_sentence(client: Client) -> None:
    page = client.get("/errors/").content.decode()
    assert re.findall(r'<li><a href="(\w+)">\1</a> \S.*\.', page) == CODES


def test_an_unknown_code_is_404_and_lists_those_there_are(client: Client) -> None:
    for path in ("/errors/NOPE", "/errors/not_found", "/errors/%00", "/errors/<script>"):
        answer = client.get(path)
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert answer.content.count(b"<li>") == len(CODES)
        assert b"<script" not in answer.content


def test_the_pages_are_for_anybody_and_say_nothing_of_them(client: Client) -> None:
    for path in ("/errors/", "/errors/OK"):
        answer = client.get(path, headers={"Host": "10.1.2.3:8000"})
        assert answer.status_code == HTTPStatus.OK
        assert answer["Content-Security-Policy"] == error_pages.CONTENT_POLICY
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"] == "public, max-age=86400"
        assert not answer.cookies
        assert "Vary" not in answer
        assert client.post(path).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_the_pages_load_their_style_from_here(client: Client, db: None) -> None:
    page = client.get("/errors/OK").content.decode()
    (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
    with closing(client.get(style)) as answer:
        assert answer.status_code == HTTPStatus.OK
        assert "prefers-color-scheme: dark" in b"".join(answer).decode()
    assert '<meta name="viewport"' in page
    assert "<script" not in page


def test_the_document_is_part_of_the_image() -> None:
    ignored = (settings.BASE_DIR / ".dockerignore").read_text().splitlines()
    assert not {"docs", "docs/", "docs/errors.md", "*.md", "**/*.md", "templates"} & set(ignored)
