"""What the throttles of this test process have counted."""

import os
from typing import Any

from django.conf import settings
from django.core.cache import cache

from metering_site.cache import Client

# The test processes share a Valkey; none may count, or forget, what another did.
PREFIX = f"metering-tests-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


def keep_apart() -> None:
    """Give this process counts of its own, and patience with a busy machine; before the first use of the cache."""
    cache_settings: dict[str, Any] = settings.CACHES["default"]
    cache_settings["KEY_PREFIX"] = PREFIX
    cache_settings["OPTIONS"] |= {"SOCKET_TIMEOUT": 30, "SOCKET_CONNECT_TIMEOUT": 30}


def forget() -> None:
    """Begin anew."""
    Client.away_until.clear()
    cache.delete_pattern("*")  # type: ignore[attr-defined]  # django-redis has it
