"""A real MLflow server on SQLite, with its artifacts behind its own proxy, as the stack runs it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

READY_SECONDS = 240.0


@contextlib.contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[str]:
    """The URI of a server that keeps everything in `folder`."""
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    environment = {
        **os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(uri, process)
            yield uri
        finally:
            process.terminate()
            process.wait(30)


def _wait(uri: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the MLflow server ended"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{uri}/health", timeout=2).is_success:
                return
        time.sleep(0.2)
    raise AssertionError("the MLflow server did not become healthy")
