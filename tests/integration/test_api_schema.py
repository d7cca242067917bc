"""What OpenAPI says is what the services do: Schemathesis asks for everything that it allows, and for what it does not.

Both ask for tokens; the model server's model inverts pixels. Not checked is that every request that the schema allows
succeeds: no schema says which bytes are a picture.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from tests.integration import service_processes
from tests.integration.service_processes import Home, Process

from identity_masker.security.keys import KeyFolder
from identity_masker.security.tokens import issue
from identity_masker.serving.routing import only

EXAMPLES = "8"
CONFIG = """
[checks.not_a_server_error]
# Busy and too late are answers, of which the schema tells.
expected-statuses = ["2xx", "3xx", "4xx", 503, 504]

[parameters]
model = "masker"
number = "1"
"""


class World(NamedTuple):
    made: Home
    services: dict[str, Process]

    def bearer(self, role: str) -> str:
        token = issue(KeyFolder(self.made.folder / "keys"), "schema", role, seconds=3600).token
        return f"Bearer {token}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(service_processes.home(tmp_path_factory.mktemp("home")))
        server = stack.enter_context(service_processes.null_server(made))
        service_processes.ready(server)
        stack.enter_context(service_processes.alive(made, {"0": server}))
        service_processes.route(made, only("1", "1.0.1"))
        gateway = stack.enter_context(service_processes.command(made, "gateway", "--port", "0"))
        service_processes.ready(gateway)
        yield World(made, {"gateway": gateway, "server": server})


@pytest.mark.parametrize(("service", "role"), [("gateway", "admin"), ("server", "service")])
def test_the_service_does_what_its_schema_says(world: World, service: str, role: str, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    words = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run",
        f"{world.services[service].url}/openapi.json", "--header", f"Authorization: {world.bearer(role)}",
        "--exclude-checks", "positive_data_acceptance", "--max-examples", EXAMPLES, "--seed", "1", "--no-color",
        "--generation-database", "none", "--continue-on-failure", "--request-timeout", "30",
    ]  # fmt: skip
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Unresolvable references" not in done.stdout
    log = (world.made.folder / "logs" / f"{service}.log").read_text()
    assert '"event": "request_failed"' not in log


@pytest.mark.parametrize("service", ["gateway", "server"])
def test_every_answer_that_is_documented_is_a_problem_with_an_example(world: World, service: str) -> None:
    paths = httpx.get(f"{world.services[service].url}/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values() if int(status) >= 400 else ():
                    assert content["example"]["status"] == int(status), (method, path, status)
