"""Whole ingestions by `masker data ingest`: time, peak memory of the process, files left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ingest.photos import noise, show

_MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)
print(json.dumps([json.loads(done.stdout), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


def run(images: list[int]) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photos, before = Path(folder) / "photos", 0
        for count in sorted(images):
            noise(photos, before, count - before)
            before = count
            fresh = _ingested(photos, Path(folder) / f"home-{count}")
            again = _ingested(photos, Path(folder) / f"home-{count}")
            rows.append((f"{count:,}", *fresh, again[0]))
    show(("images", "wall s", "images/s", "peak MB", "files", "again, wall s"), rows)


def _ingested(photos: Path, home: Path) -> tuple[str, str, str, int]:
    command = [sys.executable, "-m", "identity_masker.cli", "data", "ingest", "--source", str(photos), "--json"]
    environment = {**os.environ, "MASKER_HOME": str(home)}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *command], env=environment, stdout=subprocess.PIPE, check=True
    )
    seconds = time.perf_counter() - started
    result, peak = json.loads(done.stdout.splitlines()[-1])
    assert result["inputs"] == result["accepted"], result
    files = sum(1 for path in (home / "data" / "folder").rglob("*.parquet"))
    return f"{seconds:.0f}", f"{result['inputs'] / seconds:,.0f}", f"{peak / 1e3:.0f}", files
