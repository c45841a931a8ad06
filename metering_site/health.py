"""Two questions a load balancer asks: is the process there, and can it do its work."""

from functools import lru_cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from tenants.database import repeatable, rows


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers at all."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when reservations can be made: the database answers, writes, and has every migration of this code. Else 503.

    Redis is only reported ("ok" or "degraded"): nothing that is granted depends on it.
    """
    database, migrations = _database()
    checks = {"database": database, "migrations": migrations, "redis": _redis()}
    is_ready = database == migrations == "ok"
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": checks}, status=200 if is_ready else 503
    )


def _database() -> tuple[str, str]:
    """The state of the database and of its migrations: "ok", "read-only", "unavailable", "unapplied" or "unknown"."""
    try:
        ((is_read_only,),) = repeatable(lambda: rows("SELECT current_setting('transaction_read_only')::boolean"))
        if is_read_only:
            connection.close()  # another may lead to the server that writes
            return "read-only", "unknown"
        applied = MigrationRecorder(connection).applied_migrations()
    except (DatabaseError, InterfaceError):
        return "unavailable", "unknown"
    return "ok", "ok" if _written_migrations() <= applied.keys() else "unapplied"


@lru_cache(maxsize=1)
def _written_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def _redis() -> str:
    try:
        get_redis_connection("default").ping()
    except (RedisError, OSError):
        return "degraded"
    return "ok"
