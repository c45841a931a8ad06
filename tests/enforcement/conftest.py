import pytest

from tests.enforcement.api import Api


@pytest.fixture
def api(svc: str) -> Api:
    """The API as a service with an any-tenant key calls it."""
    return Api(svc)
