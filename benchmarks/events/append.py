"""What appending costs: one process, one kind, real events of requests."""

from __future__ import annotations

import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.events.quiet import quiet

from identity_masker.telemetry.events import EventLog, compact


def event() -> dict[str, Any]:
    texts = {"request_id": uuid.uuid4().hex, "unit": uuid.uuid4().hex, "variant": "champion", "version": "12"}
    numbers = {"latency_ms": 7.25, "brightness": 0.512, "contrast": 0.21, "sharpness": 0.034, "changed": 0.71}
    rest = {"semver": "1.4.0", "status": 200, "error": "", "experiments": '{"softer-skin":"on"}'}
    rest |= {"masked_code": "ZRIA+AfE9wUBCQMA/gMCAf8CAQD/AQABAAD/ADIAAAA="}
    return {"event_id": uuid.uuid4().hex, "time": datetime.now(UTC), **texts, **numbers, **rest}


def run(rate: int, seconds: float) -> None:
    """Append at `rate` for `seconds` from one thread, then as fast as possible, then compact all of it."""
    quiet()
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name) / "log", int(rate * seconds)
        with EventLog(folder) as log:
            writer = log.writer("requests")
            wall, cpu, slowest = time.perf_counter(), time.process_time(), 0.0
            for number in range(count):
                time.sleep(max(0.0, wall + number / rate - time.perf_counter()))
                began = time.perf_counter()
                assert writer.append(event())
                slowest = max(slowest, time.perf_counter() - began)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            burst, burst_cpu = time.perf_counter(), time.process_time()
            for _ in range(count):
                assert writer.append(event())
            burst, burst_cpu = time.perf_counter() - burst, time.process_time() - burst_cpu
        size = sum(path.stat().st_size for path in folder.rglob("*.log"))
        packed = time.perf_counter()
        result = compact(folder, str(Path(name) / "store"), datetime.now(UTC))
        packed = time.perf_counter() - packed
        assert result.events == 2 * count
        stored = sum(path.stat().st_size for path in Path(name).rglob("store/**/*.parquet"))
    print("| what | measured |\n| --- | --- |")
    print(f"| asked for {rate:,} events/s, got | {count / wall:,.0f} events/s |")
    print(f"| of one core | {cpu / wall:.0%} |")
    print(f"| slowest append | {slowest * 1000:.1f} ms |")
    print(f"| as fast as possible | {count / burst:,.0f} events/s, {burst_cpu / count * 1e6:.0f} µs of CPU each |")
    print(f"| bytes of an event, appended and compacted | {size / 2 / count:.0f}, {stored / 2 / count:.0f} |")
    print(f"| compaction | {2 * count / packed:,.0f} events/s |")
