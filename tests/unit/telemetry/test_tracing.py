"""Contexts of traces, and spans with real exporters."""

from __future__ import annotations

import contextlib
import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from identity_masker.telemetry import trace_context, tracing
from identity_masker.telemetry.trace_context import TraceContext

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEX = st.text("0123456789abcdef")


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_sent_is_read_back(trace: int, span: int, sampled: bool) -> None:
    context = TraceContext(f"{trace:032x}", f"{span:016x}", sampled)
    assert trace_context.parse(context.header()) == context


@given(st.one_of(st.text(), st.builds("-".join, st.lists(HEX, min_size=1, max_size=6))))
def test_any_header_is_read_or_passed_over(header: str) -> None:
    found = trace_context.parse(header)
    assert found is None or (len(found.trace_id), len(found.span_id)) == (32, 16)


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
        (f"00-{TRACE}-{SPAN}-01-extra", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
    ],
)
def test_headers_of_the_recommendation(header: str, valid: bool) -> None:
    assert (trace_context.parse(header) is not None) == valid


def test_a_header_that_comes_twice_is_no_header() -> None:
    pair = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())
    assert trace_context.received([pair]) == TraceContext(TRACE, SPAN, True)
    assert trace_context.received([pair, pair]) is None


def test_without_a_collector_spans_have_ids_of_their_own_and_their_parents_trace() -> None:
    first = tracing.begin("a", None, "server")
    second = tracing.begin("b", first.context, "client")
    assert second.context.trace_id == first.context.trace_id
    assert second.context.span_id != first.context.span_id
    with tracing.within("c"), tracing.batch([None, first.context]):
        second.set(http__route="x")
    second.end(failed=True)


def test_a_batch_is_a_part_of_its_first_request_and_links_to_all() -> None:
    exporter = InMemorySpanExporter()
    with tracing.exporting("test", exporter, share=1.0):
        one, two = (tracing.begin("request", None, "server") for _ in range(2))
        with tracing.batch([one.context, two.context, None]):
            pass
        with contextlib.suppress(ValueError), tracing.batch([]):
            raise ValueError
        one.end(name="POST /v1/mask")
        two.end(failed=True)
    batch, failed, first, second = exporter.get_finished_spans()
    assert batch.parent is not None
    assert f"{batch.parent.span_id:016x}" == one.context.span_id
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == [one.context.trace_id, two.context.trace_id]
    assert dict(batch.attributes or {}) == {"masker.batch_size": 3}
    assert [span.status.is_ok or span.status.is_unset for span in (batch, failed, first, second)] == [1, 0, 1, 0]
    assert first.name == "POST /v1/mask"


@pytest.mark.parametrize(("flags", "sent"), [("01", True), ("00", False)])
def test_the_caller_decides_whether_a_trace_is_recorded(flags: str, sent: bool) -> None:
    exporter = InMemorySpanExporter()
    with tracing.exporting("test", exporter, share=0.5):
        span = tracing.begin("request", trace_context.parse(f"00-{TRACE}-{SPAN}-{flags}"), "server")
        span.end()
    assert (span.context.trace_id, span.context.sampled) == (TRACE, sent)
    assert len(exporter.get_finished_spans()) == sent
    assert tracing.begin("after", None, "server").context.sampled is False


def test_spans_reach_a_collector() -> None:
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                content = gzip.decompress(content)
            received.append(ExportTraceServiceRequest.FromString(content))
            assert self.path == "/v1/traces"
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with tracing.exported("masker-test", f"http://127.0.0.1:{server.server_port}/", 1.0):
            tracing.begin("request", None, "server").end()
        server.shutdown()
        thread.join()
    (resource,) = received[0].resource_spans
    names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert names["service.name"] == "masker-test"
    assert resource.scope_spans[0].spans[0].name == "request"
