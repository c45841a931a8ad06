"""Every address of a tenant's pages, found in the URLconf: nobody else gets in, and no model's id gets out."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from plans.models import LLMModel
from tests.alerts.quotas import channel
from tests.cast import Company
from tests.enforcement.api import Api
from tests.usage.pages import browser, spend
from usage.models import UsageLog

ROOT = "t/<str:ati_id>/"
_PART = re.compile(r"<(?:(\w+):)?(\w+)>")


def routes(patterns: list[Any] | None = None, above: str = "") -> Iterator[str]:
    """The routes of the whole site."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = above + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


ROUTES = sorted(route for route in routes() if route.startswith(ROOT))


def addresses(values: dict[str, str]) -> list[str]:
    """Every address of the tenant's pages, with these values in the places of their parameters."""
    known = {"slug": "email", **values}  # a kind of channel
    return ["/" + _PART.sub(lambda part: known[part[2]], route) for route in ROUTES]


@pytest.fixture
def values(svc: str, acme: Company) -> dict[str, str]:
    """ACME with something behind every address."""
    spend(Api(svc), "ACME", user="u-1")
    row = UsageLog.objects.get()
    return {"ati_id": "ACME", "log_id": str(row.id), "decision_id": str(row.reservation_id)} | others(acme)


def others(acme: Company) -> dict[str, str]:
    """The ids of people, tokens and channels."""
    return {
        "person_id": str(acme.people[0].user.pk), "token_id": str(acme.root.pk), "rule_id": str(uuid4()),
        "channel_id": str(channel(acme).pk),
    }  # fmt: skip


def test_the_pages_are_all_found() -> None:
    assert {ROOT, f"{ROOT}explore/", f"{ROOT}activity/", f"{ROOT}people/", f"{ROOT}tokens/"} <= set(ROUTES)


def test_a_strangers_session_gets_404_everywhere(values: dict[str, str], rival: Company) -> None:
    stranger = browser(rival.owner.user)
    for address in addresses(values):
        assert (address, stranger.get(address).status_code) == (address, 404)
        assert (address, stranger.post(address).status_code) == (address, 404)


def test_the_ids_of_a_stranger_are_404_under_ones_own_name(values: dict[str, str], rival: Company) -> None:
    mine = browser(rival.owner.user)
    for address in addresses(values | {"ati_id": "RIVAL"}):
        if any(value in address for name, value in values.items() if name != "ati_id"):
            assert (address, mine.get(address).status_code) in ((address, 404), (address, 405))
            assert (address, mine.post(address).status_code) in ((address, 404), (address, 405))


def test_whoever_is_not_logged_in_is_asked_to(values: dict[str, str], db: None) -> None:
    for address in addresses(values):
        answer = Client().get(address)
        assert (address, answer.status_code) == (address, 302)
        assert answer["Location"].startswith("/accounts/login/?next=/t/ACME/")


def test_no_models_id_is_on_any_page_or_in_any_answer(values: dict[str, str], svc: str, acme: Company) -> None:
    owner, api = browser(acme.owner.user), Api(svc)
    refused = api.enforce("ACME", "LLM2_DRAFT", tokens_in=500_000)
    texts = {}
    for chosen in (values, values | {"decision_id": refused["decision_id"]}):
        for address in addresses(chosen):
            answer = owner.get(address)
            texts[address] = b"".join(iter(answer)).decode()
    token = Api(acme.owner.token)
    for path in ("/usage/logs", "/usage/summary", "/usage/meters", "/denials", "/entitlements",
                 f"/decisions/{values['decision_id']}", f"/decisions/{refused['decision_id']}",
                 f"/reservations/{values['decision_id']}"):  # fmt: skip
        texts[path] = json.dumps(token.get(path).json())
    for path in ("/usage/logs", "/denials", "/usage/summary"):
        for form in ("csv", "ndjson"):
            texts[f"{path} {form}"] = b"".join(iter(token.get(path, format=form))).decode()
    ids = {model.model_id for model in LLMModel.objects.all()}
    assert ids
    assert [
        (path, id_) for path, text in texts.items() for id_ in ids if re.search(rf"\b{re.escape(id_)}\b", text)
    ] == []
