"""Spans of requests, calls and batches; sent to an OpenTelemetry collector where one is configured.

Every span has ids, so that logs carry them and traceparent goes on. Without a collector nothing else is made: a span
then costs two microseconds, and OpenTelemetry is not even imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from identity_masker.telemetry import trace_context
from identity_masker.telemetry.trace_context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Kind = Literal["server", "client", "internal"]
Recorded = Any
"""A span of OpenTelemetry."""

_current: ContextVar[Span | None] = ContextVar("span", default=None)
_record: Callable[[str, TraceContext | None, Kind, Sequence[TraceContext]], Recorded] | None = None


class Span:
    """Something that takes time. `context` is what its children and its log lines refer to."""

    __slots__ = ("_recorded", "context")

    def __init__(self, context: TraceContext, recorded: Recorded = None) -> None:
        self.context = context
        self._recorded = recorded

    def set(self, **attributes: str | float) -> None:
        """Add attributes; `__` in a name stands for the `.` that OpenTelemetry writes."""
        if self._recorded is not None:
            self._recorded.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def end(self, *, name: str | None = None, failed: bool = False) -> None:
        """The span is over, and `name` is what it came to be. To be called once."""
        if self._recorded is None:
            return
        if name is not None:
            self._recorded.update_name(name)
        if failed:
            from opentelemetry.trace import StatusCode

            self._recorded.set_status(StatusCode.ERROR)
        self._recorded.end()


def begin(name: str, parent: TraceContext | None, kind: Kind, links: Sequence[TraceContext] = ()) -> Span:
    """A new span, the first of its trace where it has no parent."""
    if _record is None:
        return Span(parent.child() if parent is not None else trace_context.new())
    recorded = _record(name, parent, kind, links)
    ids = recorded.get_span_context()
    context = TraceContext(f"{ids.trace_id:032x}", f"{ids.span_id:016x}", bool(ids.trace_flags.sampled))
    return Span(context, recorded if recorded.is_recording() else None)


def enter(span: Span) -> None:
    """Make `span` the one that what follows in this task belongs to."""
    _current.set(span)


def current() -> TraceContext | None:
    """The span that the running task belongs to."""
    span = _current.get()
    return span.context if span is not None else None


def recorded() -> bool:
    """Whether a collector is configured, so that spans are more than ids."""
    return _record is not None


@contextmanager
def within(name: str) -> Iterator[None]:
    """A part of the current span; nothing where no collector is configured."""
    if _record is None:
        yield
        return
    span, failed = begin(name, current(), "internal"), True
    try:
        yield
        failed = False
    finally:
        span.end(failed=failed)


@contextmanager
def batch(requests: Sequence[TraceContext | None]) -> Iterator[None]:
    """One call of the model for the pictures of several requests: a part of the first, with links to all.

    A span has one parent, and a batch serves several: links are how OpenTelemetry says so.
    """
    if _record is None:
        yield
        return
    known = [context for context in requests if context is not None]
    span, failed = begin("batch", known[0] if known else None, "internal", known), True
    span.set(masker__batch_size=len(requests))
    try:
        yield
        failed = False
    finally:
        span.end(failed=failed)


@contextmanager
def exported(service: str, endpoint: str, share: float) -> Iterator[None]:
    """Send spans to the collector at `endpoint` (OTLP over HTTP) while the block runs; without one, nothing.

    `share` of the traces that begin here is recorded; of those that come in, what their caller records.
    """
    if not endpoint:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    with exporting(service, OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces"), share):
        yield


@contextmanager
def exporting(service: str, exporter: SpanExporter, share: float) -> Iterator[None]:
    """As `exported`, by any exporter. Spans wait in a bounded queue: a collector that is away costs spans, not time."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    global _record
    resource = Resource.create({"service.name": service})
    provider = TracerProvider(ParentBased(TraceIdRatioBased(share)), resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    before, _record = _record, _recorder(provider)
    try:
        yield
    finally:
        _record = before
        provider.shutdown()


def _recorder(provider: Any) -> Callable[[str, TraceContext | None, Kind, Sequence[TraceContext]], Recorded]:
    from opentelemetry import trace
    from opentelemetry.context import Context

    tracer = provider.get_tracer("identity_masker")
    kinds = {
        "server": trace.SpanKind.SERVER,
        "client": trace.SpanKind.CLIENT,
        "internal": trace.SpanKind.INTERNAL,
    }

    def ids(context: TraceContext) -> trace.SpanContext:
        flags = trace.TraceFlags(int(context.sampled))
        return trace.SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=True, trace_flags=flags)

    def record(name: str, parent: TraceContext | None, kind: Kind, links: Sequence[TraceContext]) -> Recorded:
        # Never the ambient context of OpenTelemetry: an Airflow or MLflow in this process has its own.
        above = trace.set_span_in_context(
            trace.NonRecordingSpan(ids(parent) if parent is not None else trace.INVALID_SPAN_CONTEXT), Context()
        )
        return tracer.start_span(name, above, kinds[kind], links=[trace.Link(ids(each)) for each in links])

    return record
