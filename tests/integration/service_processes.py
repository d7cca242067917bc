"""A model server, with or without a model, and a gateway as processes, with everything on: tokens, limits, logs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml
from tests.unit.serving.support import eventually, served_model

from identity_masker.cli.authority import server_guard
from identity_masker.security.keys import KeyFolder
from identity_masker.security.tokens import issue
from identity_masker.serving.control import Control, Endpoint
from identity_masker.serving.routing import RoutingTable
from identity_masker.serving.serve import Listening, ServeOptions, serve
from identity_masker.settings import PROJECT
from identity_masker.telemetry import logs

PLENTY = {"per_second": 1e6, "burst": 1_000_000}


class Process(NamedTuple):
    """A running service. `operations`: where it answers what is not for the public."""

    pid: int
    url: str
    operations: str

    def cpu_seconds(self) -> float:
        """User and system time of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Home(NamedTuple):
    """A home with a control database, keys, roles, and quotas that nobody reaches."""

    folder: Path
    control: Control
    token: str

    def environment(self) -> Mapping[str, str]:
        return {
            **os.environ, "MASKER_HOME": str(self.folder), "MASKER_AUTH": "required", "MASKER_EXAMINER": "",
            "MASKER_CONFIG_DIR": str(self.folder / "config"),
        }  # fmt: skip


@contextlib.contextmanager
def home(folder: Path) -> Iterator[Home]:
    """`folder` made ready; the token is one of a service."""
    shutil.copytree(PROJECT / "include" / "config", folder / "config")
    (folder / "config" / "quota.yaml").write_text(yaml.safe_dump({"default": PLENTY}))
    token = issue(KeyFolder(folder / "keys"), "benchmark", "service", seconds=86_400).token
    with Control(f"sqlite:///{folder}/control.db") as control:
        yield Home(folder, control, token)


@contextlib.contextmanager
def command(made: Home, *words: str) -> Iterator[Process]:
    """A `masker` command that serves; it has announced its address. Its log goes to a file, as in production."""
    with _started(words[0], [sys.executable, "-m", "identity_masker.cli", *words, "--json"], made) as process:
        yield process


@contextlib.contextmanager
def null_server(made: Home, version: str = "1") -> Iterator[Process]:
    """A model server whose model inverts the pixels."""
    words = [sys.executable, "-m", "tests.integration.service_processes", "--version", version]
    with _started("server", words, made) as process:
        yield process


@contextlib.contextmanager
def _started(name: str, words: list[str], made: Home) -> Iterator[Process]:
    (made.folder / "logs").mkdir(exist_ok=True)
    with (
        (made.folder / "logs" / f"{name}.log").open("ab") as log,
        subprocess.Popen(words, env=made.environment(), stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield Process(process.pid, told["url"], told.get("operations_url", told["url"]))
        finally:
            process.terminate()


@contextlib.contextmanager
def alive(made: Home, servers: Mapping[str, Process], version: str = "1") -> Iterator[None]:
    """Say that `servers` (slot → process) serve `version`, again every second as a fleet does."""
    stop = threading.Event()

    def beat() -> None:
        while True:
            for slot, server in list(servers.items()):
                made.control.record_endpoint(endpoint(slot, server, version))
            if stop.wait(1.0):
                return

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()


def route(made: Home, table: RoutingTable) -> None:
    expected = made.control.revision_number()
    made.control.write_routing(table, expected=expected, author="test", reason="test")


def endpoint(slot: str, server: Process, version: str) -> Endpoint:
    return Endpoint(owner="b", slot=slot, version=version, url=server.url, pid=server.pid, state="ready")


def ready(process: Process) -> None:
    eventually(f"{process.url}/health/ready", seconds=120)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--version", required=True)
    version = parser.parse_args().version
    logs.configure(level="INFO", correlation_id="", stream=sys.stderr, json_lines=True)

    def announce(listening: Listening) -> None:
        print(listening.model_dump_json(), flush=True)

    serve(
        ServeOptions(port=0, drain_seconds=0),
        lambda: served_model(version=version),
        announce=announce,
        guard=server_guard(),
    )


if __name__ == "__main__":
    main()
