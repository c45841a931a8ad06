"""Every event of the product that is read afterwards."""

import structlog
from django.db import DatabaseError, connection

from alerts.events import denials, periods, plans, tokens
from alerts.events.telling import Source, tell
from tenants import versions

log = structlog.get_logger()

_SOURCES: tuple[Source, ...] = (denials.read, plans.read, tokens.read, periods.read)


def read() -> int:
    """Has told what happened since it was last called; how many messages were new. One source fails alone."""
    now = versions.refresh(versions.CATALOGUE)
    told = 0
    for source in _SOURCES:
        try:
            told += tell(source, now)
        except DatabaseError as error:
            if not connection.is_usable():
                raise
            log.error("events not read", source=source.__module__, error=str(error))
    return told
