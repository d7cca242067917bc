"""The spans of a picture: gateway, the way to the model server, the server and its stages, and the batch."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.integration.test_gateway import World
from tests.unit.serving.support import eventually

from identity_masker.serving.routing import only
from identity_masker.telemetry import tracing

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_one_trace_runs_from_the_caller_to_the_batch(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    with tracing.exporting("test", exporter, share=0.0), contextlib.ExitStack() as stack:
        world = World(tmp_path, stack)
        world.start("1")
        world.route(only("1", "1.0.1"))
        eventually(f"{world.base}/health/ready")
        asked = world.mask(traceparent=f"00-{TRACE}-{CALLER}-01", **{"x-request-id": "traced"})
        assert asked.status_code == 200
        time.sleep(0.2)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    servers = [span for span in exporter.get_finished_spans() if span.name == "POST /v1/mask"]
    assert {f"{span.context.trace_id:032x}" for span in exporter.get_finished_spans()} == {TRACE}
    gateway, server = sorted(servers, key=lambda span: span.start_time or 0)
    assert above(gateway) == CALLER
    assert above(spans["POST"]) == its(gateway)
    assert above(server) == its(spans["POST"])
    for stage in ("read", "decode", "wait_and_mask", "encode", "batch"):
        assert above(spans[stage]) == its(server), stage
    attributes = dict(gateway.attributes or {})
    assert attributes["http.response.status_code"] == 200
    assert attributes["masker.request_id"] == "traced"


def its(span: ReadableSpan) -> str:
    return f"{span.context.span_id:016x}"


def above(span: ReadableSpan) -> str:
    return f"{span.parent.span_id:016x}" if span.parent else ""
