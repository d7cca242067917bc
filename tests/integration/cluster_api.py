"""What a fleet of pods sees of a cluster's API: HTTP, one pod, and the ways in which an API fails.

Real pods of a real cluster are in tests/cluster; there, nobody can make the API server's answer break off half-way.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Document = dict[str, Any]
VERSION = "identity-masker/version"


class Api:
    """`pods` is what it lists. While `trouble` is one of TROUBLES, every answer fails so; `failed` counts them."""

    def __init__(self) -> None:
        self.pods: list[Document] = []
        self.deployments: dict[str, Document] = {}
        self.trouble = ""
        self.failed = 0

    def answer(self, method: str, path: str, body: Document) -> Document:
        if method == "PATCH":
            return self._patched(path.rpartition("/")[2], body) if "/deployments/" in path else body
        if path == "/apis":
            groups = {"policy": "v1", "autoscaling": "v2"}
            return {"groups": [{"name": name, "versions": [{"version": v}]} for name, v in groups.items()]}
        if path.endswith("/pods"):
            return {"kind": "PodList", "items": self.pods}
        return {"kind": "DeploymentList", "items": list(self.deployments.values())}

    def _patched(self, name: str, change: Document) -> Document:
        before = self.deployments.get(name, {"metadata": {"name": name, "uid": "1"}})
        old, new = before["metadata"], change.get("metadata", {})
        annotations = {**old.get("annotations", {}), **new.get("annotations", {})}
        made = {**before, **change, "metadata": {**old, **new, "annotations": annotations}}
        made["spec"] = {"replicas": 1, **before.get("spec", {}), **change.get("spec", {})}
        self.deployments[name] = made
        return made


def pod(version: str, *, ready: bool = True) -> Document:
    conditions = [{"type": "Ready", "status": str(ready)}]
    container = {"name": "server", "containerID": "containerd://1", "restartCount": 0, "state": {"running": {}}}
    status = {"phase": "Running", "podIP": "127.0.0.1", "conditions": conditions, "containerStatuses": [container]}
    return {"metadata": {"name": f"masker-v{version}-a", "annotations": {VERSION: version}}, "status": status}


class _Handler(BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.api.trouble:
            self.api.failed += 1
            TROUBLES[self.api.trouble](self)
            return
        path = self.path.partition("?")[0]
        self.say(200, json.dumps(self.api.answer(self.command, path, json.loads(body or b"{}"))).encode())

    def do_PATCH(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def say(self, status: int, body: bytes, claimed: int = 0) -> None:
        """`claimed`: bytes that the answer promises beyond what it has."""
        self.send_response(status)
        self.send_header("content-length", str(len(body) + claimed))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = claimed > 0

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def stall(self) -> None:
        """Half an answer, and then nothing for longer than anybody waits."""
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        time.sleep(1)
        self.close_connection = True

    def finish(self) -> None:
        if self.connection.fileno() >= 0:
            super().finish()

    def log_message(self, *_: object) -> None:
        pass


TROUBLES: dict[str, Callable[[_Handler], None]] = {
    "the answer breaks off": lambda handler: handler.say(200, b'{"items": [', claimed=1000),
    "the answer stalls": _Handler.stall,
    "the connection is reset": _Handler.reset,
    "the API server is overloaded": lambda handler: handler.say(429, b'{"message": "too many requests"}'),
    "the API server has no database": lambda handler: handler.say(500, b'{"message": "etcdserver: leader changed"}'),
    "a proxy answers in its place": lambda handler: handler.say(200, b"<html>back soon</html>"),
    "a proxy answers with bytes": lambda handler: handler.say(502, b"\xff\xfe"),
    "what is answered is no list": lambda handler: handler.say(200, b'{"kind": "Status"}'),
}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Api, str]]:
    """An API and the path of a kubeconfig for it."""
    api = Api()
    handler = type("Handler", (_Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(f"http://127.0.0.1:{server.server_port}")))
        try:
            yield api, str(kubeconfig)
        finally:
            server.shutdown()
            thread.join()


def _kubeconfig(url: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": url}}],
        "users": [{"name": "one", "user": {"token": "none"}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "current-context": "one",
    }
