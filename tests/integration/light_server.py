"""What a fleet sees of a model server, in a process (or a pod) that starts fast. `--version` says how it behaves.

Imports nothing but the standard library.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def png(side: int) -> bytes:
    """A black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * side) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class Handler(BaseHTTPRequestHandler):
    version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.version == "loading":
            self.answer(503, json.dumps({"detail": "the server is loading"}).encode())
        else:
            self.answer(200, b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(500 if self.version == "weak" else 200, png(32 if self.version == "shrinks" else 64))

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("version", "host", "port", "report", "parent", "drain-seconds", "grace-seconds"):
        parser.add_argument(f"--{name}")
    options, _ = parser.parse_known_args()
    if options.version in ("refused", "unlucky"):
        words = {"reason": f"it was {options.version}", "final": options.version == "refused"}
        Path(options.report).write_text(json.dumps(words))
        sys.exit(1)
    if options.version == "crashes":
        sys.exit(7)
    if options.version == "short-lived":
        threading.Timer(0.5, lambda: os._exit(3)).start()
    Handler.version = options.version
    ThreadingHTTPServer((options.host, int(options.port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
