"""Requests with credentials, and what the database refuses: shared by the tests of tenants."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, transaction
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from tenants.authentication import Credentials, credentials_of


def request(bearer: str | None = None, ati: str | None = None) -> Request:
    """A request that carries a bearer credential, an X-ATI-Token, or both."""
    headers = {}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    if ati is not None:
        headers["X-ATI-Token"] = ati
    return Request(APIRequestFactory().get("/", headers=headers))


def credentials(bearer: str | None = None, ati: str | None = None) -> Credentials:
    """The credentials of such a request."""
    return credentials_of(request(bearer, ati))


@contextmanager
def refused_by(constraint: str) -> Iterator[None]:
    """The database refuses what is done inside, and names this constraint; deferred ones are asked at the end."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():  # noqa: PT012 - the block is the test's
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert caught.value.__cause__.diag.constraint_name == constraint  # type: ignore[union-attr]  # psycopg's error
