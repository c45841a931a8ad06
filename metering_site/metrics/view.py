"""GET /metrics, for Prometheus alone."""

import os
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from metering_site.metrics import files, folder
from metering_site.metrics.tables import Tables

_tables = CollectorRegistry(auto_describe=False)
_tables.register(Tables())


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """What is counted, to whoever has METRICS_TOKEN; there is nothing here where none is set."""
    if not settings.METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not compare_digest(token.encode(), settings.METRICS_TOKEN.encode()):
        return HttpResponse(
            "Send METRICS_TOKEN as “Authorization: Bearer …”.\n", status=HTTPStatus.UNAUTHORIZED,
            headers={"WWW-Authenticate": 'Bearer realm="metrics"'}, content_type="text/plain; charset=utf-8",
        )  # fmt: skip
    return HttpResponse(_counted() + generate_latest(_tables), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _counted() -> bytes:
    """What the processes of this server counted together; of this one where it is alone."""
    place = os.environ.get(folder.VARIABLE)
    if not place:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=place)  # type: ignore[no-untyped-call]  # prometheus-client's
    with folder.held(Path(place)):
        files.gather_dead(Path(place))
        return generate_latest(registry)
