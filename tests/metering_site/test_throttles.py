"""How often an address may try to get in, and that nobody is shut out by Redis."""

import os
import signal
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.test import Client as Browser
from pytest_django import Settings

from metering_site.cache import Client
from metering_site.embedded.valkey import Valkey
from tests import cast, throttled
from tests.console import browser, text_of
from tests.mailbox import Mailbox, mailbox

LOGIN, SIGN_UP, RESET = "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"
PASSWORD = "a long and quiet road"


@pytest.fixture(autouse=True)
def _fresh(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    throttled.forget()


@pytest.fixture
def post() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


def fail(email: str = "owner@acme.example", client: Browser | None = None, forwarded: str | None = None) -> int:
    """The status of a log-in with a wrong password."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    sent = {"login": email, "password": "not my password"}
    return (client or browser()).post(LOGIN, sent, headers=headers).status_code


def test_the_sixth_wrong_password_in_ten_minutes_is_not_even_tried(acme: cast.Company) -> None:
    acme.owner.user.set_password(PASSWORD)
    acme.owner.user.save(update_fields=["password"])
    assert {fail() for _ in range(5)} == {HTTPStatus.OK}
    answer = browser().post(LOGIN, {"login": "Owner@acme.example", "password": PASSWORD})
    assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert answer.headers["Retry-After"] == "600"
    assert "Wait 10 minutes, then try again." in text_of(answer)
    # The account is not shut: its owner comes from elsewhere, and others from here.
    other = browser()
    other.defaults["REMOTE_ADDR"] = "10.9.8.7"
    assert other.post(LOGIN, {"login": "owner@acme.example", "password": PASSWORD}).status_code == HTTPStatus.FOUND
    assert fail("user1@acme.example") == HTTPStatus.OK


def test_right_passwords_are_not_counted(acme: cast.Company) -> None:
    acme.owner.user.set_password(PASSWORD)
    acme.owner.user.save(update_fields=["password"])
    for _ in range(7):
        answer = browser().post(LOGIN, {"login": "owner@acme.example", "password": PASSWORD})
        assert answer.status_code == HTTPStatus.FOUND


def test_one_address_cannot_try_many_accounts(db: None) -> None:
    answers = [fail(f"user{number}@acme.example") for number in range(31)]
    assert answers == [HTTPStatus.OK] * 30 + [HTTPStatus.TOO_MANY_REQUESTS]


def test_the_console_is_throttled_by_the_same_count(db: None) -> None:
    client = browser()
    for _ in range(5):
        page = client.get("/admin/", follow=True)
        assert fail("root@console.example", client) == HTTPStatus.OK
        assert page.redirect_chain[-1][0].startswith(LOGIN)
    assert fail("root@console.example", client) == HTTPStatus.TOO_MANY_REQUESTS


def test_the_twenty_first_sign_up_of_an_address_waits(acme: cast.Company) -> None:
    form = {"invitation": "ati_nothing", "name": "Ann", "email": "ann@people.example", "password": PASSWORD}
    answers = [browser().post(SIGN_UP, form).status_code for _ in range(21)]
    assert answers == [HTTPStatus.OK] * 20 + [HTTPStatus.TOO_MANY_REQUESTS]
    assert browser().get(SIGN_UP).status_code == HTTPStatus.OK


def test_nobody_is_flooded_with_mails_known_here_or_not(acme: cast.Company, post: Mailbox) -> None:
    for email in ("owner@acme.example", "nobody@acme.example"):
        answers = [browser().post(RESET, {"email": email}).status_code for _ in range(4)]
        assert answers == [HTTPStatus.FOUND] * 3 + [HTTPStatus.TOO_MANY_REQUESTS]
    more = [browser().post(RESET, {"email": f"{n}@acme.example"}).status_code for n in range(4)]
    assert more[-1] == HTTPStatus.TOO_MANY_REQUESTS
    assert len(post.letters) <= 10


def test_a_client_cannot_choose_its_address(db: None) -> None:
    answers = [fail(forwarded=f"10.0.0.{number}") for number in range(6)]
    assert answers[-1] == HTTPStatus.TOO_MANY_REQUESTS


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(db: None, settings: Settings) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    made_up = [fail(forwarded=f"10.0.0.{number}, 192.0.2.1") for number in range(6)]
    assert made_up == [HTTPStatus.OK] * 5 + [HTTPStatus.TOO_MANY_REQUESTS]
    assert fail(forwarded="10.0.0.1, 192.0.2.2") == HTTPStatus.OK
    assert fail(forwarded="") == HTTPStatus.OK


@pytest.fixture
def valkey(open_folder: Path, valkey_in: Callable[[Path], Valkey], settings: Settings) -> Valkey:
    """A Valkey of this test alone, as the cache."""
    made = valkey_in(open_folder)
    made.start()
    ours = settings.CACHES["default"]
    settings.CACHES = {"default": ours | {"LOCATION": made.url, "OPTIONS": ours["OPTIONS"] | {"SOCKET_TIMEOUT": 1}}}
    return made


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_nobody_is_shut_out_while_redis_is_away(acme: cast.Company, valkey: Valkey, how: str) -> None:
    acme.owner.user.set_password(PASSWORD)
    acme.owner.user.save(update_fields=["password"])
    assert [fail() for _ in range(6)][-1] == HTTPStatus.TOO_MANY_REQUESTS
    if how == "stopped":
        valkey.stop()
    else:
        assert valkey._process is not None
        os.kill(valkey._process.pid, signal.SIGSTOP)
    assert {fail() for _ in range(6)} == {HTTPStatus.OK}
    answer = browser().post(LOGIN, {"login": "owner@acme.example", "password": PASSWORD})
    assert answer.status_code == HTTPStatus.FOUND

    if how == "stopped":
        valkey.start()
    else:
        os.kill(valkey._process.pid, signal.SIGCONT)  # type: ignore[union-attr]  # as above
    Client.away_until.clear()
    assert fail() == HTTPStatus.TOO_MANY_REQUESTS, "what was counted before counts again"


def test_while_redis_is_away_only_the_first_call_waits_for_it(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    assert valkey._process is not None
    os.kill(valkey._process.pid, signal.SIGSTOP)
    asked: list[object] = []
    real: Any = redis.Redis.execute_command

    def counted(self: redis.Redis, *args: Any, **options: Any) -> Any:
        asked.append(args)
        return real(self, *args, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", counted)
    found = caches["default"]
    assert found.get("x") is None
    found.set("x", 1)
    assert found.add("x", 1) is True
    assert found.get("x") is None
    assert len(asked) == 1
