"""What the throttles of this test process have counted."""

import os

from django.conf import settings
from django.core.cache import cache

# The test processes share a Valkey; none may count, or forget, what another did.
PREFIX = f"metering-tests-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


def keep_apart() -> None:
    """Give this process counts of its own; before the first use of the cache."""
    settings.CACHES["default"]["KEY_PREFIX"] = PREFIX


def forget() -> None:
    """Begin anew."""
    cache.delete_pattern("*")  # type: ignore[attr-defined]  # django-redis has it
