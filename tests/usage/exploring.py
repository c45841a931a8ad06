"""Explore as its reader sees it: what it draws, its table and its files."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import count
from typing import Any

from django.test import Client

from tenants.models import User
from tests.cast import Company, Person
from tests.console import browser
from tests.enforcement.api import Api

_ids = count(1)


def book(api: Api, user: str | None = "u-1", *, days_ago: float = 0, **fields: Any) -> None:
    """Books usage without a reservation."""
    body = {
        "id": f"x-{next(_ids)}", "tenant": "ACME", "task": "LLM2_DRAFT", "usage": {"input_tokens": 100},
        "occurred_at": (datetime.now(UTC) - timedelta(days=days_ago)).isoformat(), "model": "gpt-4o",
    } | ({"user": user} if user else {}) | fields  # fmt: skip
    answer = api.post("/usage/events", body)
    assert answer.status_code == 200, answer.content


def at_page(person: Person | User, ati_id: str = "ACME", **query: str) -> Any:
    client: Client = browser()
    client.force_login(person.user if isinstance(person, Person) else person)
    return client.get(f"/t/{ati_id}/explore/", query)


def text_of(answer: Any) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


def shown(answer: Any) -> dict[str, Any]:
    """What the page draws."""
    assert answer.status_code == 200, text_of(answer)[:500]
    found = re.search(r'<script id="explore-chart" type="application/json">(.*?)</script>', answer.content.decode())
    assert found, text_of(answer)
    data: dict[str, Any] = json.loads(found[1])
    return data


def table(answer: Any) -> dict[str, list[str]]:
    """The table under the chart: the cells of each row by its heading."""
    above = answer.content.decode().split('<details class="explore-times')[0]
    rows = re.findall(r'<tr><th scope="row"[^>]*>(.*?)</th>(.*?)</tr>', above)
    strip = re.compile(r"<[^>]+>")
    return {
        unescape(strip.sub("", name)): [unescape(strip.sub("", cell)) for cell in re.findall(r"<td.*?</td>", cells)]
        for name, cells in rows
    }  # fmt: skip


def csv_of(person: Person, **query: str) -> list[dict[str, str]]:
    answer = at_page(person, format="csv", **query)
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(answer.getvalue().decode().splitlines()))


def figure(number: int) -> str:
    return f"{number:,}"


def use(api: Api, acme: Company) -> Company:
    """Some usage of two features, by three users and nobody, and two refusals."""
    book(
        api, "u-1", usage={"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 300}, model_class="PRO_L"
    )
    book(api, "u-2", usage={"input_tokens": 50, "output_tokens": 5}, status="failed")
    book(api, "u-1", task="PATENT_OPEN", usage={"api_calls": 3})
    book(api, None, usage={"input_tokens": 7, "output_tokens": 70}, latency_ms=800)
    book(api, str(acme.people[0].user.id), usage={"input_tokens": 11}, latency_ms=1200)
    permit = api.enforce("ACME", "LLM2_DRAFT", user="u-1", tokens_in=100, tokens_out=900)
    api.commit(permit["reservation_id"], usage={"input_tokens": 100, "output_tokens": 150}, model="gpt-4o")
    for _ in range(2):
        assert not api.enforce("ACME", "LLM2_DRAFT", user="u-1", tokens_in=10**6)["allowed"]
    return acme
