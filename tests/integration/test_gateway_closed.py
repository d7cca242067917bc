"""A gateway and a model server as processes that ask for tokens: what strangers reach, and what the logs hold.

Every log line of both processes is searched for what was planted in requests.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.integration import service_processes
from tests.integration.service_processes import Home, Process
from tests.unit.serving.support import noise, poisoned

from identity_masker.cli.logs import command as logs_command
from identity_masker.security.keys import KeyFolder
from identity_masker.security.tokens import issue
from identity_masker.serving.pictures import encode
from identity_masker.serving.routing import only
from identity_masker.telemetry import trace_context

PNG = {"content-type": "image/png"}
PICTURE = encode(noise(), "PNG")
TRACE = "0af7651916cd43dd8448eb211c80319c"


class World(NamedTuple):
    made: Home
    server: Process
    gateway: Process

    def token(self, role: str) -> str:
        return issue(KeyFolder(self.made.folder / "keys"), "planted-subject", role, seconds=600).token

    def mask(self, token: str, content: bytes = PICTURE, **headers: str) -> httpx.Response:
        bearer = {"authorization": f"Bearer {token}"}
        return httpx.post(f"{self.gateway.url}/v1/mask", content=content, headers={**PNG, **bearer, **headers})

    def written(self) -> str:
        """Everything that both wrote: logs, and the segments of the event log."""
        files = list(self.made.folder.glob("logs/*.log"))
        files += [path for path in (self.made.folder / "events").rglob("*") if path.is_file()]
        return "".join(path.read_text(errors="replace") for path in files)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(service_processes.home(tmp_path_factory.mktemp("home")))
        server = stack.enter_context(service_processes.null_server(made))
        service_processes.ready(server)
        stack.enter_context(service_processes.alive(made, {"0": server}))
        service_processes.route(made, only("1", "1.0.1"))
        words = ("gateway", "--port", "0", "--admin-port", "0", "--drain-seconds", "0")
        gateway = stack.enter_context(service_processes.command(made, *words))
        service_processes.ready(gateway)
        yield World(made, server, gateway)


def test_a_model_server_answers_programs_of_the_project_alone(world: World) -> None:
    url = f"{world.server.url}/v1/mask"
    assert httpx.post(url, content=PICTURE, headers=PNG).json()["reason"] == "token_missing"
    for role in ("client", "admin"):
        bearer = {"authorization": f"Bearer {world.token(role)}"}
        assert httpx.post(url, content=PICTURE, headers={**PNG, **bearer}).json()["reason"] == "forbidden"
    assert httpx.get(f"{world.server.url}/v2/models/masker").status_code == 401
    assert httpx.get(f"{world.server.url}/health/ready").status_code == 200
    # The gateway has a token of its own, and keeps that of its client.
    assert world.mask(world.token("client")).status_code == 200


def test_operations_have_a_port_of_their_own_and_want_a_token_there_too(world: World) -> None:
    viewer = {"authorization": f"Bearer {world.token('viewer')}"}
    for path in ("/metrics", "/v1/routing", "/v1/release"):
        assert httpx.get(world.gateway.url + path, headers=viewer).status_code == 404
        assert httpx.get(world.gateway.operations + path).status_code == 401
    assert "masker_gateway_requests_total" in httpx.get(f"{world.gateway.operations}/metrics", headers=viewer).text
    assert httpx.get(f"{world.gateway.operations}/v1/routing", headers=viewer).json()["revision"] == 1
    assert httpx.get(f"{world.gateway.operations}/v1/mask", headers=viewer).status_code == 404
    for url in (world.gateway.url, world.gateway.operations):
        assert httpx.get(f"{url}/health/ready").status_code == 200


def test_pages_of_other_sites_get_nothing(world: World) -> None:
    origin = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    preflight = httpx.options(f"{world.gateway.url}/v1/mask", headers=origin)
    simple = world.mask(world.token("client"), origin="https://elsewhere.example")
    assert preflight.status_code == 405
    for answer in (preflight, simple):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("given", ["a b", "x" * 65, "ä", "", "a\tb", '{"a":1}'])
def test_a_request_id_that_is_not_well_formed_is_replaced(world: World, given: str) -> None:
    headers = [(b"x-request-id", given.encode()), (b"content-type", b"image/png")]
    answer = httpx.post(f"{world.gateway.url}/v1/mask", content=PICTURE, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["x-request-id"] not in ("", given)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_every_line_of_a_request_is_found_with_its_trace_and_dag_run(world: World) -> None:
    sent = {
        "x-request-id": "found-me", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
        "x-correlation-id": "manual__2026-11-25T00:00:00+00:00",
    }  # fmt: skip
    assert world.mask(world.token("client"), **sent).status_code == 200
    deadline = time.monotonic() + 10
    while True:
        words = ["--request", "found-me", "--json", "--folder", str(world.made.folder / "logs")]
        done = CliRunner().invoke(logs_command, words)
        lines = json.loads(done.output)["lines"] if done.exit_code == 0 else []
        if {line["source"] for line in lines} == {"gateway", "server"}:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for line in lines:
        assert line["fields"]["trace_id"] == TRACE
        assert line["fields"]["correlation_id"] == sent["x-correlation-id"]
    assert len({line["fields"]["span_id"] for line in lines}) == 2
    shown = CliRunner().invoke(logs_command, [*words[:2], *words[3:]]).output
    assert len(shown.splitlines()) == 2


def planted_picture() -> bytes:
    """A picture with a name in its metadata."""
    target, info = io.BytesIO(), PngInfo()
    info.add_text("Title", "planted-title.png")
    Image.fromarray(noise(seed=7)).save(target, "PNG", pnginfo=info)
    return target.getvalue()


def test_nothing_that_was_planted_is_written_anywhere(world: World) -> None:
    token, picture = world.token("client"), planted_picture()
    headers = {
        "x-user-id": "planted-user", "x-consistency-key": "planted-key",
        "content-disposition": 'attachment; filename="planted-file.png"', "cookie": "session=planted-cookie",
    }  # fmt: skip
    bodies = (picture, b"planted-body" * 9, picture[:200], encode(poisoned(), "PNG"), b"\x89PNG\r\n\x1a\nplanted")
    statuses = [
        world.mask(token, body, **headers, **{"x-request-id": f"r-{n}"}).status_code for n, body in enumerate(bodies)
    ]
    assert statuses == [200, 422, 422, 500, 422]
    bearer = {**PNG, "authorization": f"Bearer {token}"}
    for path in (
        "/v1/mask?key=planted-query",
        "/v1/planted-path.png",
        "/v1/mask?token=" + token,
        "/planted/../metrics",
    ):
        httpx.post(world.gateway.url + path, content=picture, headers={**bearer, **headers})
    httpx.post(f"{world.gateway.url}/v1/mask", content=picture, headers={**PNG, "authorization": token})
    httpx.request("PLANTED", f"{world.gateway.url}/v1/mask")
    outcome = {"events": [{"name": "kept"}]}
    httpx.post(
        f"{world.gateway.url}/v1/events",
        json=outcome,
        headers={**bearer, **headers, "content-type": "application/json"},
    )
    time.sleep(1.5)  # the segments of the event log are written
    written = world.written()
    assert written.count('"request_id": "r-0"') >= 2
    assert "planted-subject" not in written
    assert [word for word in ("planted", "PLANTED", "poison 1-2-3") if word in written] == []
    signature = token.split(".")[2]
    assert signature[:20] not in written
    pixels = np.asarray(noise(seed=7))
    for encoded in (
        base64.b64encode(picture).decode(),
        picture.hex(),
        str(pixels[0, 0].tolist()),
        repr(picture)[20:60],
    ):
        assert encoded[:40] not in written


def test_the_trace_goes_on_to_the_model_server_below_the_span_of_the_gateway(world: World) -> None:
    assert trace_context.parse(f"00-{TRACE}-b7ad6b7169203331-01") is not None
    assert world.mask(world.token("client"), **{"x-request-id": "traced", "traceparent": "nonsense"}).status_code == 200
    time.sleep(0.3)
    lines = [json.loads(line) for line in world.written().splitlines() if '"traced"' in line and line.startswith("{")]
    found = {line["trace_id"] for line in lines if "trace_id" in line}
    assert len(found) == 1
    assert TRACE not in found


def test_resident_memory_stays_bounded_while_bodies_come_slowly(world: World) -> None:
    """Sixty clients say that 20 MB come, send a little, and stop."""
    before = world.gateway.resident_mib()
    with contextlib.ExitStack() as stack:
        url = httpx.URL(world.gateway.url)
        token = world.token("client")
        for _ in range(60):
            connection = stack.enter_context(socket.create_connection((url.host, url.port or 80), timeout=20))
            head = f"POST /v1/mask HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: image/png\r\n"
            connection.sendall(f"{head}content-length: {20 * 2**20}\r\n\r\n".encode() + bytes(1000))
        time.sleep(0.5)
        assert world.mask(token).status_code in (200, 503)
        assert world.gateway.resident_mib() - before < 100
