"""Column types that Django does not have."""

from typing import Any

from django.db import models


class Xid8Field(models.Field[int, int]):
    """PostgreSQL's 64-bit transaction id; it never wraps, so rows can be read below a snapshot's xmin."""

    def db_type(self, connection: Any) -> str:  # noqa: ANN401 - Django's own signature
        return "xid8"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:  # noqa: ANN401 - Django's own signature
        return None if value is None else int(value)
