"""What steps used, in a real Pushgateway: pushed by `masker` as Airflow runs it, and kept after it has ended."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.test_alerts_alertmanager import free_port, process

from identity_masker.settings import PROJECT

pytestmark = pytest.mark.skipif(shutil.which("prometheus-pushgateway") is None, reason="needs Debian's pushgateway")
STEP = {"DAG_ID": "keep_house", "RUN_ID": "manual__1", "TASK_ID": "compact", "MAP_INDEX": "-1", "TRY_NUMBER": "1"}
LINE = re.compile(
    r'^(masker_step_\w+){dag="keep_house",instance="",job="step",map_index="-1",task="compact"} (\S+)$', re.M
)


@pytest.fixture(scope="module")
def pushgateway() -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    command = ["prometheus-pushgateway", f"--web.listen-address={url.removeprefix('http://')}"]
    with process(command, f"{url}/-/ready", stderr=subprocess.DEVNULL):
        yield url


def step(home: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One attempt of a step with this command."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")}
    own = {"MASKER_HOME": str(home), "MASKER_RESULT": str(home / "result.json"), "MASKER_PUSHGATEWAY_URL": url}
    environment = {**kept, **own, **{f"MASKER_STEP_{name}": value for name, value in STEP.items()}}
    command = [sys.executable, "-m", "identity_masker.cli", *arguments]
    return subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )


def figures(url: str) -> dict[str, float]:
    return {name: float(value) for name, value in LINE.findall(httpx.get(f"{url}/metrics").text)}


def test_what_a_step_used_is_pushed_and_a_failure_leaves_the_last_success(tmp_path: Path, pushgateway: str) -> None:
    before = time.time()
    assert step(tmp_path, pushgateway, "events", "compact").returncode == 0
    done = figures(pushgateway)
    assert (done["masker_step_exit_code"], done["masker_step_cpu_seconds"] > 0.05) == (0, True)
    assert 0 < done["masker_step_duration_seconds"] <= time.time() - before
    assert 20e6 < done["masker_step_peak_memory_bytes"] < 4e9
    assert step(tmp_path, pushgateway, "events", "show", "--kind", "nothing").returncode == 2
    failed = figures(pushgateway)
    assert failed["masker_step_exit_code"] == 2
    assert (
        failed["masker_step_succeeded_timestamp_seconds"] == done["masker_step_succeeded_timestamp_seconds"] >= before
    )
    assert failed["masker_step_ended_timestamp_seconds"] > done["masker_step_ended_timestamp_seconds"]
