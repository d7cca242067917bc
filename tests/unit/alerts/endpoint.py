"""A local HTTP endpoint that keeps what it gets, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

Kind = TypeVar("Kind", bound="Endpoint")


class Got(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Endpoint:
    """`answers` is used up first, then `always`: status, headers and body. While `gate` is closed it answers nobody."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Got] = []
        self.accepted: list[Got] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.always: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()

    def documents(self) -> list[dict[str, Any]]:
        """The JSON bodies that were accepted."""
        return [json.loads(each.body) for each in self.accepted]

    def answer(self, got: Got) -> tuple[int, dict[str, str], bytes]:
        with self.lock:
            self.requests.append(got)
        self.gate.wait(30)
        with self.lock:
            found = self.answers.pop(0) if self.answers else self.always
            if found[0] < 300:
                self.accepted.append(got)
            return found


class SlackApi(Endpoint):
    """chat.postMessage as Slack has it: a timestamp a message, errors as `{"ok": false}`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.error = ""
        self.posts: list[dict[str, Any]] = []

    def answer(self, got: Got) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = super().answer(got)
        if status >= 300:
            return status, headers, body
        with self.lock:
            form = dict(parse_qsl(got.body.decode()))
            sent = json.loads(got.body) if got.body.startswith(b"{") else form
            if self.error:
                return 200, {}, json.dumps({"ok": False, "error": self.error}).encode()
            blocks = sent.get("blocks", [])
            sent["blocks"] = json.loads(blocks) if isinstance(blocks, str) else blocks
            self.posts.append(sent)
            answer = {"ok": True, "channel": "C0123456789", "ts": f"1700000000.{len(self.posts):06d}"}
            return 200, {}, json.dumps(answer).encode()


@contextmanager
def endpoint(port: int = 0) -> Iterator[Endpoint]:
    """Serve on loopback; port 0 takes any."""
    yield from _serving(Endpoint, port)


@contextmanager
def slack_api(port: int = 0) -> Iterator[SlackApi]:
    """A stand-in of Slack's API on loopback."""
    yield from _serving(SlackApi, port)


def _serving(kind: type[Kind], port: int) -> Iterator[Kind]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answered, content = made.answer(Got(self.path, headers, body))
            with suppress(ConnectionError):  # the sender was killed
                self.send_response(status)
                for name, value in {"content-type": "application/json", **answered}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        made = kind(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
