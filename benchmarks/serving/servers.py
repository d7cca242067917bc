"""The servers that are compared, each in its own environment, which this benchmark makes."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving.processes import PROJECT, Server, server

PEERS = Path(__file__).with_name("peers")
ENVIRONMENTS = PROJECT / ".benchmark"
LITSERVE, BENTOML = "litserve==0.2.19", "bentoml==1.4.39"
SHARED = ("onnxruntime", "numpy", "pillow", "pydantic-settings", "fsspec", "structlog", "pyyaml", "scipy", "uvloop",
          "httptools")  # fmt: skip
"""What this project's masker needs to run in a peer's handler, in the versions of our lock."""


class Contender(NamedTuple):
    """A server of the comparison: its name and the path that pictures are posted to."""

    name: str
    path: str
    ready: str


OURS = Contender("identity-masker", "/v1/mask", "/health/ready")
CLOSED = Contender("identity-masker that asks for tokens and writes logs", "/v1/mask", "/health/ready")
PLAIN = Contender("FastAPI alone", "/predict", "/health")
LIT = Contender("LitServe 0.2.19", "/predict", "/health")
BENTO = Contender("BentoML 1.4.39", "/predict", "/readyz")


@contextmanager
def running(contender: Contender, folder: Path | None, batch: int = 32, home: Path | None = None) -> Iterator[Server]:
    """Serve the masker of `folder`, or without one a model that does nothing. `home`: with the keys, for `CLOSED`."""
    words = ["masker", str(folder)] if folder else ["null"]
    where = {"PYTHONPATH": f"{PROJECT / 'include'}:{PEERS}", "OMP_WAIT_POLICY": "PASSIVE"}
    if contender in (OURS, CLOSED):
        where |= {"PYTHONPATH": f"{PROJECT / 'include'}:{PROJECT}"}
        if contender is CLOSED:
            where |= {"MASKER_HOME": str(home), "MASKER_AUTH": "required"}
        with server(_ours(folder), ready=contender.ready, environment=where) as made:
            yield made
        return
    port = _free_port()
    python = environment(contender)
    if contender is BENTO:
        where |= {"BENCH_WORK": " ".join(words), "BENCH_BATCH": str(batch), "BENTOML_DO_NOT_TRACK": "true"}
        command = [str(python.with_name("bentoml")), "serve", "bento_service:Masker", "--working-dir", str(PEERS)]
        command += ["--host", "127.0.0.1", "--port", str(port)]
    elif contender is LIT:
        command = [str(python), str(PEERS / "litserve_app.py"), str(port), str(batch), *words]
    else:
        command = [str(python), str(PEERS / "plain_app.py"), str(port), *words]
    with server(command, ready=contender.ready, url=f"http://127.0.0.1:{port}", environment=where) as made:
        yield made


def _ours(folder: Path | None) -> list[str]:
    if folder is None:
        return [sys.executable, "-m", "benchmarks.serving.null_server"]
    return [sys.executable, "-m", "benchmarks.serving.masker_server", str(folder)]


def environment(contender: Contender) -> Path:
    """The interpreter of a contender's own environment, made when it is not there yet."""
    if contender in (OURS, CLOSED, PLAIN):
        return Path(sys.executable)
    package = LITSERVE if contender is LIT else BENTOML
    python = ENVIRONMENTS / package.replace("==", "-") / "bin" / "python"
    if not (python.parent / "made").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        links = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
        found = [word for link in links for word in ("--find-links", link)]
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, python.parents[1]], check=True)
        wanted = [package, *(f"{name}=={version}" for name, version in _versions().items())]
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *found, *wanted], check=True)
        (python.parent / "made").touch()
    return python


def _versions() -> Mapping[str, str]:
    from importlib.metadata import version

    return {name: version(name).partition("+")[0] for name in SHARED}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
