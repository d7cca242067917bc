"""A whole release as people run it: registry, `masker fleet`, `masker gateway`, `masker traffic`, Airflow's DAGs.

The policy is over in seconds; nothing else is made for the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.fleet_processes import free_ports
from tests.integration.test_airflow_dags import AIRFLOW
from tests.integration.test_release import DRILL, load
from tests.integration.test_serving import FACE, PNG, Place
from tests.integration.test_serving_deploy import REGISTER
from tests.integration.test_serving_deploy import running as process
from tests.unit.serving.support import eventually

from identity_masker.release.rollout_log import Entry, RolloutLog
from identity_masker.serving.control import Control
from identity_masker.settings import PROJECT
from identity_masker.stack import airflow_settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]
CANARY = "1.0.1"
ASTRAY = "tests.integration.astray_candidate"
REPLAY = {
    "pairs": 300,
    "minimum_pairs": 40,
    "metrics": {"leak": {"margin": 1.5}, "face_missed": {"margin": 2.0}, "change_outside": {"margin": 1.5}},
}
LEASE_SECONDS, PATIENCE_SECONDS = 20.0, 5.0
SLOW = {
    "canary": {"steps": [{"share": 0.5, "soak_seconds": 600}, {"share": 1.0, "soak_seconds": 4}]},
    "lease_seconds": LEASE_SECONDS,
}


class Installation(Place):
    """Two registered versions, the first of which serves."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['MASKER_GATEWAY_PORT']}"

    def json(self, *words: str) -> dict[str, Any]:
        done = self.masker(*words, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def aliases(self) -> dict[str, str]:
        code = (
            "from identity_masker.registry import models; import json;"
            "print(json.dumps({a: v.version for v in map(models.get, [v.version for v in models.versions()])"
            " for a in v.aliases}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=True
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MASKER_", "AIRFLOW"))}
    port, config = free_ports(), tmp_path / "config"
    shutil.copytree(PROJECT / "include" / "config", config)
    # A busy machine may take a while from one step to the next, which the lease must outlive, and to start a server.
    document = {**DRILL.model_dump(mode="json", exclude_none=True), "lease_seconds": 60, "ready_seconds": 400}
    for name, changes in {"drill": {}, "paired": {"replay": REPLAY}, "slow": SLOW}.items():
        (config / "release" / f"{name}.yaml").write_text(yaml.safe_dump({**document, **changes}))
    environment = {
        **kept,
        "MASKER_HOME": str(tmp_path / "home"),
        "MASKER_CONFIG_DIR": str(config),
        "MASKER_MLFLOW_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MASKER_GATEWAY_PORT": str(port),
        "MASKER_SERVER_PORT": str(port + 1),
        "MASKER_FLEET_PORT": str(port + 7),
        "OMP_NUM_THREADS": "1",
    }
    made = Installation(tmp_path, environment)
    registering = [sys.executable, "-m", REGISTER, str(tmp_path), "2"]
    subprocess.run(registering, cwd=PROJECT, env=environment, check=True, timeout=600)
    with process(made, "fleet"), process(made, "gateway"):
        assert made.json("deploy", "--version", "1", "--timeout", "500")["version"] == "1"
        eventually(f"{made.url}/health/ready", seconds=60)
        yield made


def test_a_driver_killed_after_every_step_ends_where_one_that_lived_ends(installation: Installation) -> None:
    with load(installation.url, rate=25) as traffic:
        installation.json("release", "start", "--version", "2", "--policy", "drill")
        kills = 0
        with Control(f"sqlite:///{installation.environment['MASKER_HOME']}/control.db") as control:
            log = RolloutLog(control)
            while not _newest(log).rollout.ended:
                kills += _killed_after_one_step(installation, log)
    status = installation.json("release", "status")
    assert status["progress"]["outcome"] == "promoted", status
    assert status["shares"] == {"1.0.1": 1.0}
    assert traffic.failed == 0
    assert installation.aliases() == {"champion": "2", "previous": "1"}
    assert kills > 5
    looks = installation.json("release", "replay", status["progress"]["rollout"])["looks"]
    assert len(looks) == status["progress"]["looks"]


def _newest(log: RolloutLog) -> Entry:
    entry = log.newest()
    assert entry is not None
    return entry


def _killed_after_one_step(installation: Installation, log: RolloutLog) -> int:
    """Run a driver until it has recorded a step, and kill it at once: it is in the act of the next."""
    before = _newest(log).number
    command = [sys.executable, "-m", "identity_masker.cli", "release", "advance", "--for", "60"]
    with subprocess.Popen(command, cwd=PROJECT, env=installation.environment, stdout=subprocess.DEVNULL) as driver:
        while driver.poll() is None:
            if _newest(log).number > before:
                driver.send_signal(signal.SIGKILL)
                return 1
            time.sleep(0.01)
    return 0


@contextlib.contextmanager
def airflow(installation: Installation) -> Iterator[dict[str, str]]:
    """The environment of an Airflow that knows the DAGs; `run_dag` runs one in it."""
    environment = {
        **installation.environment,
        **airflow_settings.environment(PROJECT / "airflow_settings.yaml"),
        "AIRFLOW_HOME": str(installation.folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_MASKER_GATEWAY": installation.url,
    }
    pools = installation.folder / "pools.json"
    pools.write_text(json.dumps(airflow_settings.pools(PROJECT / "airflow_settings.yaml")))
    for command in (["db", "migrate"], ["pools", "import", str(pools)], ["dags", "reserialize"]):
        subprocess.run([AIRFLOW, *command], env=environment, check=True, capture_output=True, timeout=600)
    yield environment


def test_the_dags_promote_a_healthy_version_and_roll_it_back(installation: Installation) -> None:
    with airflow(installation) as environment, load(installation.url, rate=25) as traffic:
        promoted = run_dag(environment, "promote_canary", version="2", policy="drill")
        assert promoted.returncode == 0, promoted.stdout[-6000:]
        status = installation.json("release", "status")
        assert (status["progress"]["outcome"], status["shares"]) == ("promoted", {"1.0.1": 1.0})
        assert installation.aliases() == {"champion": "2", "previous": "1"}
        began = time.monotonic()
        back = run_dag(environment, "roll_back")
        assert back.returncode == 0, back.stdout[-6000:]
        print(f"rolled back by the DAG in {time.monotonic() - began:.0f} s")
    assert installation.aliases() == {"champion": "1", "previous": "2"}
    assert traffic.failed == 0


def test_a_version_that_is_worse_on_the_same_pictures_meets_no_user(installation: Installation) -> None:
    making = [sys.executable, "-m", ASTRAY, str(installation.folder / "astray")]
    made = subprocess.run(
        making, cwd=PROJECT, env=installation.environment, check=True, capture_output=True, text=True, timeout=900
    )
    version = made.stdout.split()[-1]
    with airflow(installation) as environment, load(installation.url, rate=25) as traffic:
        refused = run_dag(environment, "promote_canary", version=version, policy="paired")
    assert refused.returncode != 0
    assert "is not released: the candidate is worse on the same pictures" in refused.stdout, refused.stdout[-6000:]
    assert "there is no rollout" in installation.masker("release", "status").stderr
    assert installation.aliases() == {"champion": "1", "examiner": "1"}
    with Control(f"sqlite:///{installation.environment['MASKER_HOME']}/control.db") as control:
        assert [deployment.version for deployment in control.deployments()] == ["1"]
    assert {name for summary in traffic.summaries for name in summary["by_version"]} == {"1.0.0"}
    assert traffic.failed == 0
    (evidence,) = (Path(installation.environment["MASKER_HOME"]) / "store" / "replays").glob("*/*/evidence.json")
    again = installation.json(
        "release", "judge", "--policy", str(evidence.with_name("policy.json")), "--evidence", str(evidence)
    )
    assert again["verdict"] == "roll_back"
    assert again == json.loads(evidence.with_name("verdict.json").read_text())
    print(f"\n{again['reasons'][0]}; {traffic.sent} requests meanwhile")


def test_when_airflow_is_killed_for_good_all_traffic_is_the_champions_after_the_lease(
    installation: Installation,
) -> None:
    command = [AIRFLOW, "dags", "test", "promote_canary", "--conf", json.dumps({"version": "2", "policy": "slow"})]
    with airflow(installation) as environment, httpx.Client(base_url=installation.url, timeout=30) as http:
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as run:
            _until_the_canary_answers(http, within=900)
            os.killpg(run.pid, signal.SIGKILL)
        killed = last = time.monotonic()
        answers = 0
        while time.monotonic() < killed + LEASE_SECONDS + PATIENCE_SECONDS + 5:
            answers += 1
            if _version(http, answers) == CANARY:
                last = time.monotonic()
        assert last - killed < LEASE_SECONDS + PATIENCE_SECONDS
        print(f"\nthe last answer of the canary came {last - killed:.1f} s after the end of Airflow, of {answers}")
        installation.json("release", "rollback")
    assert installation.json("release", "status")["shares"] == {"1.0.0": 1.0}


def _until_the_canary_answers(http: httpx.Client, within: float) -> None:
    deadline, asked = time.monotonic() + within, 0
    while _version(http, asked := asked + 1) != CANARY:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _version(http: httpx.Client, user: int) -> str:
    """Of the answer that this user gets."""
    answer = http.post("/v1/mask", content=FACE, headers={**PNG, "x-user-id": f"user-{user}"})
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.headers["x-model-version"])


def run_dag(environment: dict[str, str], dag: str, **conf: object) -> subprocess.CompletedProcess[str]:
    command = [AIRFLOW, "dags", "test", dag, "--conf", json.dumps(conf)]
    return subprocess.run(
        command, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
