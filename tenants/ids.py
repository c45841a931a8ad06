"""Identifiers: UUIDv7, so that primary keys grow with time and index pages stay warm."""

from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> UUID:
    """A new UUIDv7 from this process's clock (rows of the ledger get theirs from the database)."""
    return _uuid7()
