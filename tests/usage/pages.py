"""A tenant's people at their pages, and calls for them to look at."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from django.test import Client

from tenants.models import User
from tests.enforcement.api import Api

USED = {"input_tokens": 1_000, "output_tokens": 500, "api_calls": 1, "items": 1}


def browser(user: User) -> Client:
    """Somebody logged in."""
    client = Client()
    client.force_login(user)
    return client


def words(client: Client, path: str, query: Mapping[str, str] | None = None, *, expected: int = 200) -> str:
    """What a page says, in one line."""
    response = client.get(path, query or {})
    assert response.status_code == expected, response
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", response.content.decode())))


def spend(
    api: Api, tenant: str, task: str = "LLM2_DRAFT", *, user: str | None = None, status: str = "success", **usage: int
) -> dict[str, Any]:
    """One call, permitted and committed; the commit's answer."""
    held = api.enforce(tenant, task, user=user, tokens_in=2_000, tokens_out=1_000)
    done = api.commit(held["reservation_id"], status=status, usage=USED | usage, model_class="PRO_M", latency_ms=1_234)
    assert done.status_code == 200, done.content
    answer: dict[str, Any] = done.json()
    return answer
