"""What the database itself does and refuses, whatever Python thinks of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction


def run(sql: str, *params: Any) -> int:
    """Run one statement and all constraints that wait for the transaction's end; how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: int = cursor.rowcount
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return rows


@contextmanager
def refused_by(*constraints: str) -> Iterator[None]:
    """The database refuses what is done inside, at once or at the transaction's end, by one of these constraints."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():  # noqa: PT012 - the block is the test's
        yield
        run("SELECT 1")
    assert caught.value.__cause__.diag.constraint_name in constraints  # type: ignore[union-attr]  # psycopg's error
