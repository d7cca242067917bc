"""`evaluate_experiments` in a real Airflow on a simulated week of traffic: a test of nothing, and one of something."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.integration.fleet_processes import free_ports
from tests.integration.mlflow_server import mlflow_server
from tests.integration.test_airflow_dags import AIRFLOW, prepared, run
from tests.integration.test_serving import Place
from tests.integration.test_serving_deploy import running

from identity_masker import artifacts
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.result import Report
from identity_masker.experiments.simulation import Traffic, simulate
from identity_masker.serving.control import Control
from identity_masker.settings import PROJECT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
START, AS_OF = datetime(2026, 11, 2, tzinfo=UTC), "2026-11-10"
EFFECT = 0.2
RECEIVER = """
from airflow.sdk import DAG, Param

with DAG(dag_id="promote_canary", schedule=None, params={"version": Param("challenger", type="string")}):
    pass
"""


def design(name: str) -> dict[str, object]:
    return {
        "name": name,
        "hypothesis": "People mask more with the softer skin.",
        "status": "running",
        "variants": {"control": {"model": "champion", "weight": 0.5}, "soft": {"model": "challenger", "weight": 0.5}},
        "schedule": {"start": START.isoformat(), "days": 7, "minimum_days": 7, "units_per_day": 500},
        "metrics": [
            {
                "name": "masks", "kind": "count", "role": "goal", "covariate": "2d", "minimum_effect": 0.1,
                "baseline": {"mean": 4.0, "sd": 3.5},
            },
            {
                "name": "latency_p95", "kind": "quantile", "quantile": 0.95, "outcome": "latency_ms",
                "role": "guardrail", "better": "lower", "margin": 0.2,
            },
            {"name": "retained", "kind": "proportion", "baseline": {"mean": 0.4}},
        ],
        "analysis": {"window": "1d", "segments": ["device"]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A prepared Airflow with this DAG and one that stands where winners go; both weeks of traffic are in the store."""
    home = tmp_path_factory.mktemp("experiments")
    dags = home / "dags"
    dags.mkdir()
    shutil.copy(PROJECT / "dags" / "evaluate_experiments.py", dags)
    (dags / "promote_canary.py").write_text(RECEIVER)
    config = home / "config" / "experiments"
    config.mkdir(parents=True)
    for seed, (name, effects) in enumerate({"same": {}, "softer": {"masks": EFFECT}}.items()):
        (config / f"{name}.yaml").write_text(yaml.safe_dump(design(name)))
        traffic = Traffic(start=START, days=7, units_per_day=500, effects=effects, seed=seed)
        simulate(Experiment.model_validate(design(name)), traffic, str(home / name))
    return prepared(home, dags) | {"MASKER_CONFIG_DIR": str(config.parent)}


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[str]:
    """The address of a registry with two versions; a fleet serves those that are asked for."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_ports()
    with mlflow_server(folder, port) as uri:
        ports = {"MASKER_SERVER_PORT": str(port + 1), "MASKER_FLEET_PORT": str(port + 7)}
        made = {**environment, "MASKER_MLFLOW_URI": uri, **ports}
        registering = [sys.executable, "-m", "tests.integration.registered_models", str(folder), "2"]
        subprocess.run(registering, cwd=PROJECT, env=made, check=True, timeout=200)
        with running(Place(folder, made), "fleet"):
            yield uri


def evaluated(environment: dict[str, str], mlflow: str, name: str) -> tuple[Report, str, dict[str, str]]:
    """The report, the log of the DAG run, and the states of its tasks."""
    store = Path(environment["MASKER_CONFIG_DIR"]).parent / name
    made = {**environment, "MASKER_STORE_URI": f"file://{store}", "MASKER_MLFLOW_URI": mlflow}
    done = run(made, "evaluate_experiments", experiments=name, as_of=AS_OF)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    folder = store / "experiments" / name
    assert (folder / "latest.html").stat().st_size < 500_000
    return (
        Report.model_validate(artifacts.read_json(str(folder / "latest.report.json"))),
        done.stdout + done.stderr,
        made,
    )


def promotions(environment: dict[str, str]) -> list[dict[str, str]]:
    command = [AIRFLOW, "dags", "list-runs", "promote_canary", "--output", "json"]
    listed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout
    found: list[dict[str, str]] = json.loads(listed.strip().splitlines()[-1])
    return found


def test_a_week_of_the_same_masker_twice_has_no_winner(environment: dict[str, str], mlflow: str) -> None:
    report, log, made = evaluated(environment, mlflow, "same")
    assert report.health.ok
    assert report.decision in ("inconclusive", "stop_futility")
    assert all(each.verdict in ("undecided", "non_inferior") for each in report.metrics)
    assert "experiment same" in log
    assert promotions(made) == []
    # The other experiment still runs: the variant that is not the champion has its model server.
    with Control(f"sqlite:///{made['MASKER_HOME']}/control.db") as control:
        assert [(each.version, each.replicas) for each in control.deployments()] == [("2", 1)]


def test_a_known_effect_is_found_and_the_winner_is_handed_over(environment: dict[str, str], mlflow: str) -> None:
    report, log, made = evaluated(environment, mlflow, "softer")
    goal = next(each for each in report.metrics if each.name == "masks")
    assert (report.decision, report.decision_details.winner, goal.verdict) == ("ship", "soft", "better")
    assert goal.interval is not None
    low, high = goal.interval
    assert low is not None
    assert high is not None
    assert 0.0 < low < EFFECT < high
    assert "Ship soft" in log
    (promotion,) = promotions(made)
    assert promotion["run_id"] == "experiment__softer__20261110T000000Z"
    weights = subprocess.run(
        [str(Path(AIRFLOW).with_name("masker")), "experiments", "weights", "softer", "--json"],
        env=made, check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    assert json.loads(weights)["state"] == "stopped"
    with Control(f"sqlite:///{made['MASKER_HOME']}/control.db") as control:
        assert control.deployments() == []
