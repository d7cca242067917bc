"""Load of wrk (Debian's package): pictures over kept connections, as many at a time as asked."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method, wrk.path, wrk.body = "POST", "{path}", file:read("*a")
wrk.headers["content-type"] = "{media}"
wrk.headers["x-user-id"] = "somebody"
wrk.headers["authorization"] = "Bearer {token}"
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("found %d %d %d", summary.requests, failed, summary.duration))
  for _, p in pairs({{50, 90, 99}}) do io.write(string.format(" %d", latency:percentile(p))) end
  io.write("\\n")
end
"""


class Load(NamedTuple):
    """What came of a run. Times in milliseconds."""

    requests: int
    failed: int
    seconds: float
    p50: float
    p90: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Request(NamedTuple):
    """What is sent again and again."""

    body: bytes
    media: str
    token: str
    path: str = "/v1/mask"


def wrk(url: str, request: Request, *, connections: int, seconds: float) -> Load:
    """Send `request` to `url` for `seconds`, `connections` at a time (closed loop)."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(request.body)
        script = folder / "load.lua"
        script.write_text(
            SCRIPT.format(body=folder / "body", path=request.path, media=request.media, token=request.token)
        )
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script), url]
        output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.search(r"found (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    assert found is not None, output
    requests, failed, micros, p50, p90, p99 = map(int, found.groups())
    return Load(requests, failed, micros / 1e6, p50 / 1e3, p90 / 1e3, p99 / 1e3)
