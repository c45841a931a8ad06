"""Receivers on this machine, which webhooks may reach here."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.mailbox import Mailbox, mailbox


@pytest.fixture
def private_targets(settings: Settings) -> None:
    settings.ALERTS_ALLOW_PRIVATE_TARGETS = True


@pytest.fixture
def sink(private_targets: None) -> Iterator[HTTPServer]:
    """A web server that takes webhooks as the test says, several at once."""
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as kept:
        yield kept
