"""OpenTelemetry spans, one for each request, where the platform asks for them; without that nothing of it is loaded.

A span has the route's template, method, status, request id and key id, and continues the trace of a `traceparent` header. It has no path,
no query and no address. The service is called `plinth-api` unless OTEL_SERVICE_NAME says otherwise.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from api.http.fast import App, Receive, Scope, Send
from plinth.errors import DriverMissing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


class Traced:
    """An ASGI application whose requests are spans.

    Args:
        provider: where spans go.
    """

    def __init__(self, app: App, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind

        self._app = app
        self._provider = provider
        self._tracer = provider.get_tracer("plinth.api")
        self._kind = SpanKind.SERVER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                self._provider.shutdown()
            return
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        sent = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name[:5] == b"trace"
        }
        context = TraceContextTextMapPropagator().extract(sent)
        with self._tracer.start_as_current_span("request", context, self._kind, record_exception=False) as span:

            async def sending(message: MutableMapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    said = dict(message.get("headers", ()))
                    span.set_attribute("plinth.request", said.get(b"x-request-id", b"").decode())
                await send(message)

            await self._app(scope, receive, sending)
            route = scope.get("plinth.route", "other")
            span.update_name(f"{scope['method'][:10]} {route}")
            span.set_attributes(
                {
                    "http.request.method": scope["method"][:10],
                    "http.route": route,
                    "plinth.key": scope.get("plinth.key", ""),
                }
            )


def provider_of(exporter: str) -> TracerProvider:
    """The provider for `otlp` or `console`.

    Raises:
        DriverMissing: the extra `tracing` is not installed.
    """
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

        chosen: SpanExporter
        if exporter == "otlp":
            # By name: the extra brings it, and a type checker without the extra would not find it.
            chosen = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()
        else:
            chosen = ConsoleSpanExporter()
    except ImportError as error:
        raise DriverMissing(
            "traces are configured, but their library is not installed",
            expected="opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http",
            found=error,
            where="platform.yaml, api.tracing",
            remedy="install requirements/tracing.lock into this environment, or take api.tracing out",
        ) from None
    provider = TracerProvider(resource=Resource({SERVICE_NAME: "plinth-api"}).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(chosen))
    return provider
