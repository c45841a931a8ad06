"""The ledger of a tenant, audited after every test that had it."""

from collections.abc import Iterator

import pytest

from tests.usage.ledger_world import Books, breaches


@pytest.fixture
def books(_database: None) -> Iterator[Books]:
    """The empty ledger of a new tenant; when the test is over, the audit finds nothing wrong in it."""
    found = Books.new()
    yield found
    assert breaches(found.tenant) == ()
