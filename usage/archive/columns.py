"""The columns of the log as they are in the files."""

from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

from usage.fields import Xid8Field
from usage.models import UsageLog

COUNTERS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "api_calls",
    "items", "units", "cost", "latency_ms",
)  # fmt: skip
"""What a manifest sums up."""

_TYPES: tuple[tuple[type[Any], str], ...] = (
    (models.UUIDField, "UUID"),
    (models.CharField, "VARCHAR"),
    (models.BooleanField, "BOOLEAN"),
    (models.PositiveSmallIntegerField, "INTEGER"),
    (models.BigIntegerField, "BIGINT"),
    (models.DateTimeField, "TIMESTAMPTZ"),
    (models.JSONField, "JSON"),
    (Xid8Field, "UBIGINT"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the log: its name, its type in a file, and whether it is a list of those."""

    name: str
    kind: str
    is_list: bool

    @property
    def type(self) -> str:
        """The type as DuckDB spells it."""
        return f"{self.kind}[]" if self.is_list else self.kind

    @property
    def sent(self) -> str:
        """What PostgreSQL sends of it as text."""
        return f"to_json({self.name})" if self.is_list else self.name

    @property
    def read(self) -> str:
        """What DuckDB makes of that text."""
        through = "::JSON" if self.is_list else ""
        return f'"{self.name}"{through}::{self.type} AS "{self.name}"'


def _kind(field: Any) -> str:  # noqa: ANN401 - a field of any type
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return next(name for type_, name in _TYPES if isinstance(field, type_))


def _column(field: Any) -> Column:  # noqa: ANN401 - as above
    if isinstance(field, ArrayField):
        return Column(str(field.column), _kind(field.base_field), True)
    return Column(field.column, _kind(field), False)


COLUMNS = tuple(_column(field) for field in UsageLog._meta.concrete_fields)
NAMES = tuple(column.name for column in COLUMNS)
SENT = ", ".join(column.sent for column in COLUMNS)
READ = ", ".join(column.read for column in COLUMNS)
TYPES = {column.name: column.type for column in COLUMNS}
# Null is nothing at all, an empty text is a pair of quotes.
CSV = (
    f"columns = {dict.fromkeys(NAMES, 'VARCHAR')}, header = false, auto_detect = false, delim = ',', quote = '\"', "
    "escape = '\"', nullstr = '', allow_quoted_nulls = false, parallel = false, max_line_size = 33554432"
)
