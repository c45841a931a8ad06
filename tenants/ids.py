"""Identifiers: UUIDv7, so that primary keys grow with time and index pages stay warm."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> UUID:
    """A new UUIDv7 from this process's clock (rows of the ledger get theirs from the database)."""
    return _uuid7()


def milliseconds_of(id_: UUID) -> int:
    """When a UUIDv7 was made, in milliseconds since 1970: its first 48 bits (RFC 9562, section 5.7)."""
    return id_.int >> 80


def instant_of(id_: UUID) -> datetime:
    """When a UUIDv7 was made. Raises OverflowError for an id from elsewhere that names a time beyond calendars."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds_of(id_))
