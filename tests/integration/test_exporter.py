"""The exporter as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


def environment(home: Path, **more: str) -> dict[str, str]:
    nobody = {"MASKER_MLFLOW_URI": "http://127.0.0.1:9", "MASKER_AIRFLOW_URL": "http://127.0.0.1:9"}
    return {**os.environ, **nobody, "MASKER_HOME": str(home), **more}


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "identity_masker.cli", "exporter", *options]


@contextmanager
def exporter(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running exporter and the URL of its metrics."""
    with subprocess.Popen(
        command("--port", "0", "--json"), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def read_all(url: str, count: int, seconds: float = 60.0) -> str:
    """The metrics once every source was read."""
    deadline = time.monotonic() + seconds
    while (shown := httpx.get(url, timeout=30).text).count("\nmasker_exporter_source_up{") < count:
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return shown


def test_what_answers_is_shown_and_what_does_not_is_named_and_sigterm_ends_it(tmp_path: Path) -> None:
    with exporter(tmp_path) as (process, url):
        shown = read_all(url, count=10)
        assert 'masker_exporter_source_up{source="release"} 1.0' in shown
        assert 'masker_exporter_source_up{source="models"} 0.0' in shown
        assert 'masker_experiment_running{experiment="same-masker"} 0.0' in shown
        assert 'masker_airflow_healthy{component="scheduler"} 0.0' in shown
        process.terminate()
        assert process.wait(30) == 0


def test_a_taken_port_is_refused_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    with exporter(tmp_path) as (_, url):
        port = url.rpartition(":")[2].partition("/")[0]
        second = command("--port", port)
        done = subprocess.run(
            second, env=environment(tmp_path), capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 2
    assert "MASKER_EXPORTER_PORT" in done.stderr


def test_a_wrong_file_of_metrics_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "metrics.yaml").write_text("metrics: [{name: masker_x, help: X., sql: SELECT 1 AS x}]")
    variables = environment(tmp_path, MASKER_CONFIG_DIR=str(tmp_path))
    done = subprocess.run(command(), env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "masker_x" in done.stderr
