"""Traces by OpenTelemetry, off unless OTEL_EXPORTER_OTLP_ENDPOINT is set (OTLP over HTTP).

A span says what was done, how long it took and how much of it there was: never an id of a record, a value, a text or
an error's words. What language models were asked and said is in their spans only with WATCHTOWER_TRACE_CONTENT.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from watchtower.settings import tracing_wanted

FLUSH_MS = 5_000
"""How long spans that are not sent yet may hold up a process that ends."""

_tracer = trace.get_tracer("watchtower")
_provider: Any = None


def begin(command: str, version: str) -> None:
    """Send the spans of this process to the receiver that the environment names; nothing where it names none."""
    global _provider
    if _provider is not None or not tracing_wanted():
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = {"service.version": version, "watchtower.command": command}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        own["service.name"] = "watchtower"
    _provider = TracerProvider(resource=Resource.create(own))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(_provider)


def flush() -> None:
    """Send what is not sent yet: for a process that ends without its exit handlers."""
    if _provider is not None:
        _provider.force_flush(FLUSH_MS)


@contextmanager
def span(
    name: str, *, parent: str | None = None, server: bool = False, **attributes: str | int | float | bool
) -> Iterator[Span]:
    """A step of the work; `parent` is a W3C traceparent. A fault leaves its class in the span, not its words."""
    after = propagate.extract({"traceparent": parent}) if parent else None
    with _tracer.start_as_current_span(
        name, context=after, kind=SpanKind.SERVER if server else SpanKind.INTERNAL, attributes=attributes,
        record_exception=False, set_status_on_exception=False,
    ) as current:  # fmt: skip
        try:
            yield current
        except Exception as fault:
            current.set_status(Status(StatusCode.ERROR, type(fault).__name__))
            raise


def carried() -> str:
    """The current span as a W3C traceparent, to be handed on; empty where nothing is traced."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def attached(current: context.Context) -> Iterator[None]:
    """Go on in a thread with the context of the one that began it."""
    token = context.attach(current)
    try:
        yield
    finally:
        context.detach(token)
