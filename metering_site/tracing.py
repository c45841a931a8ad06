"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT is set: only then is this module imported.

A request is a span by the name of its address, each statement to the database a span in it, without its parameters.
The caller's `traceparent` is the parent, and its choice whether to trace is kept. Needs requirements-otel.txt.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.backends.signals import connection_created
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_parents = TraceContextTextMapPropagator()
_FAULT = 500
_providers: list[TracerProvider] = []


class TraceMiddleware:
    """One span a request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.tracer = begin()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        parent = _parents.extract({"traceparent": request.headers.get("traceparent", "")})
        method = request.method or ""
        with self.tracer.start_as_current_span(method, context=parent, kind=SpanKind.SERVER) as span:
            response = self.get_response(request)
            if not span.is_recording():
                return response
            match = request.resolver_match
            if match is not None:
                span.update_name(f"{method} {match.route}")
                span.set_attribute("http.route", match.route)
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.response.status_code", response.status_code)
            for name, value in getattr(request, "log_fields", {}).items():
                span.set_attribute(f"metering.{name}", value)
            if response.status_code >= _FAULT:
                span.set_status(Status(StatusCode.ERROR))
            return response


def begin() -> Tracer:
    """The tracer of this process, whose spans are sent by a thread of its own."""
    resource = Resource.create({"service.name": settings.DATABASES["default"]["OPTIONS"]["application_name"]})
    sampler = ParentBased(TraceIdRatioBased(settings.OTEL_TRACES_SHARE))
    provider = TracerProvider(resource=resource, sampler=sampler)
    _providers.append(provider)
    exporter = OTLPSpanExporter(endpoint=f"{settings.OTEL_ENDPOINT}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("metering")

    def traced(execute: Callable[..., Any], sql: str, params: object, many: bool, context: object) -> Any:  # noqa: ANN401 - Django's own
        if not trace.get_current_span().is_recording():
            return execute(sql, params, many, context)
        with tracer.start_as_current_span("database", kind=SpanKind.CLIENT) as span:
            span.set_attribute("db.query.text", sql)
            return execute(sql, params, many, context)

    def watch(connection: Any, **_: object) -> None:  # noqa: ANN401 - any of Django's
        connection.execute_wrappers.append(traced)

    connection_created.connect(watch, weak=False)
    return tracer


def end() -> None:
    """Send what waits; the process is about to end."""
    for provider in _providers:
        provider.shutdown()
