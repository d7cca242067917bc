"""A DAG in a real Airflow, with its steps as local processes: `airflow dags test` on a database of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.telemetry.events.samples import request, stored

from identity_masker import artifacts
from identity_masker.faces.ingest import PART_BLOCKS
from identity_masker.faces.plan import BLOCK
from identity_masker.settings import PROJECT
from identity_masker.stack import airflow_settings
from identity_masker.telemetry.events import EventLog

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
AIRFLOW = str(Path(sys.executable).with_name("airflow"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return prepared(tmp_path_factory.mktemp("airflow"), PROJECT / "dags")


def prepared(home: Path, dags: Path) -> dict[str, str]:
    """A prepared Airflow home with the DAGs of a folder, without the developer's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MASKER_", "AIRFLOW_"))}
    made = {
        **kept,
        **airflow_settings.environment(PROJECT / "airflow_settings.yaml"),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "MASKER_HOME": str(home / "masker"),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    pools = home / "pools.json"
    pools.write_text(json.dumps(airflow_settings.pools(PROJECT / "airflow_settings.yaml")))
    for command in (["db", "migrate"], ["pools", "import", str(pools)], ["dags", "reserialize"]):
        subprocess.run([AIRFLOW, *command], env=made, check=True, capture_output=True, timeout=180)
    return made


def run(environment: dict[str, str], dag: str, **conf: object) -> subprocess.CompletedProcess[str]:
    command = [AIRFLOW, "dags", "test", dag, "--conf", json.dumps(conf)]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=400)


def results(environment: dict[str, str], task: str) -> list[Path]:
    store = Path(environment["MASKER_HOME"]) / "store" / "results" / "ingest_faces"
    return sorted(store.glob(f"*/{task}/-1/*.json"))


def test_pools_count_deferred_tasks(environment: dict[str, str]) -> None:
    command = [AIRFLOW, "pools", "list", "--output", "json"]
    listed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout
    pools = {pool["pool"]: pool for pool in json.loads(listed[listed.index("[") :])}
    assert pools["gpu"]["include_deferred"] == "True"
    assert pools["steps"]["include_deferred"] == "True"


def test_faces_are_ingested_and_validated_by_local_processes(environment: dict[str, str]) -> None:
    done = run(environment, "ingest_faces", images=60)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    (ingested,), (validated,) = results(environment, "ingest"), results(environment, "validate")
    report = artifacts.read_json(str(ingested))
    assert report["inputs"] == 60
    assert artifacts.read_json(str(validated))["version"] == report["version"]
    assert "ingested" in done.stdout + done.stderr, "the step's log lines are in the task's log"


def test_a_large_source_is_read_in_parts_each_a_task(environment: dict[str, str]) -> None:
    images, before = PART_BLOCKS * BLOCK + 1, results(environment, "ingest")
    done = run(environment, "ingest_faces", images=images)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    (run_folder,) = {path.parents[2] for path in results(environment, "ingest")} - {path.parents[2] for path in before}
    read = [artifacts.read_json(str(path)) for path in run_folder.glob("read/*/*.json")]
    assert sorted((part["part"], part["blocks"], part["found"]) for part in read) == [(0, PART_BLOCKS, 0), (1, 1, 0)]
    (ingested,) = run_folder.glob("ingest/-1/*.json")
    assert artifacts.read_json(str(ingested))["inputs"] == images


def test_the_event_log_is_compacted_into_the_store(environment: dict[str, str]) -> None:
    home = Path(environment["MASKER_HOME"])
    with EventLog(home / "events") as log:
        log.writer("requests").append_all([request(), request()])
    done = run(environment, "keep_house")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert len(stored(home / "store", "requests")) == 2


def test_bad_input_fails_the_run_in_the_steps_own_words(environment: dict[str, str]) -> None:
    done = run(environment, "ingest_faces", source="/no/such/folder")
    assert done.returncode != 0
    assert "bad input or configuration, not retried" in done.stdout + done.stderr
    assert "/no/such/folder" in done.stdout + done.stderr


def test_a_mistyped_parameter_fails_the_run(environment: dict[str, str]) -> None:
    done = run(environment, "ingest_faces", imagez=60)
    assert done.returncode != 0
    assert "got imagez; expected config, images, source" in done.stdout + done.stderr
