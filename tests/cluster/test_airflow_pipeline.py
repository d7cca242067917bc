"""The main job with its heavy steps as pods: faces in, a masker that serves out."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
from PIL import Image
from tests.cluster.kube import container, ended
from tests.cluster.world import BUCKET, World
from tests.unit.media.footage import scene, write

from identity_masker import artifacts
from identity_masker.registry import tracking
from identity_masker.stack import follow
from identity_masker.stack.airflow_api import Run

STEPS = {
    "ingest_faces": ["plan", "ingest", "validate", "describe"],
    "train_masker": ["train", "evaluate", "register", "reference"],
    "deploy_masker": ["deploy"],
}


@pytest.fixture(scope="module")
def runs(world: World, serving: str) -> dict[str, Run]:
    """The run of each DAG; the assets start all but the first."""
    run = world.airflow.api.trigger("ingest_faces", {"images": 400})
    chain = {run.dag_id: run}
    for event in follow.chain(world.airflow.api, run, list(STEPS), timeout=1500):
        if isinstance(event, follow.Finished):
            chain[event.run.dag_id] = event.run
    return chain


def test_every_heavy_step_was_one_pod_that_ended_well(world: World, runs: dict[str, Run]) -> None:
    for dag, steps in STEPS.items():
        pods = {pod["metadata"]["labels"]["task_id"]: pod for pod in world.namespace.pods(dag_id=dag)}
        assert len(world.namespace.pods(dag_id=dag)) == len(steps)
        assert {name: ended(pod)["exitCode"] for name, pod in pods.items()} == dict.fromkeys(steps, 0)


@pytest.mark.usefixtures("runs")
def test_only_training_and_evaluation_held_a_gpu(world: World) -> None:
    limits = {
        pod["metadata"]["labels"]["task_id"]: container(pod)["resources"]["limits"].get("nvidia.com/gpu")
        for dag in STEPS
        for pod in world.namespace.pods(dag_id=dag)
    }
    assert {task for task, gpus in limits.items() if gpus == "1"} == {"train", "evaluate"}


@pytest.fixture
def store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process reaches the store too."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, world.variables[name])


@pytest.mark.usefixtures("store")
def test_results_are_in_airflow_and_in_the_store(world: World, runs: dict[str, Run]) -> None:
    for dag, steps in STEPS.items():
        for task in steps:
            stored = artifacts.join(
                world.variables["MASKER_STORE_URI"], "results", dag, runs[dag].run_id, task, "-1", "1.json"
            )
            assert artifacts.read_json(stored) == world.airflow.api.xcom(runs[dag], task)


def test_versions_lead_from_the_deployment_back_to_the_dataset(world: World, runs: dict[str, Run]) -> None:
    xcom = world.airflow.api.xcom
    ingested, trained = xcom(runs["ingest_faces"], "ingest"), xcom(runs["train_masker"], "train")
    registered, deployed = xcom(runs["train_masker"], "register"), xcom(runs["deploy_masker"], "deploy")
    assert trained["dataset"] == ingested["version"]
    assert registered["run_id"] == trained["run_id"]
    assert (deployed["version"], deployed["semver"]) == (registered["version"], registered["semver"])
    client = tracking.client_of(world.variables["MASKER_MLFLOW_URI"])
    run = client.get_run(trained["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["dag_run_id"] == runs["train_masker"].run_id


def test_deployed_masker_answers(runs: dict[str, Run], world: World, serving: str) -> None:
    picture = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((64, 64)).save(picture, "PNG")
    sent = picture.getvalue()
    answer = httpx.post(f"{serving}/v1/mask", content=sent, headers={"content-type": "image/png"}, timeout=30)
    assert answer.status_code == httpx.codes.OK
    deployed = world.airflow.api.xcom(runs["deploy_masker"], "deploy")
    assert answer.headers["x-model-version"] == deployed["semver"]
    assert answer.content != sent


@pytest.mark.usefixtures("store")
def test_a_video_is_masked_in_pods(runs: dict[str, Run], world: World, tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", scene(12)).read_bytes()
    source = f"s3://{BUCKET}/media/film.mp4"
    artifacts.write_bytes(source, film)
    version = world.airflow.api.xcom(runs["deploy_masker"], "deploy")["version"]
    run = world.airflow.api.trigger("mask_media", {"source": source, "version": version})
    for _ in follow.chain(world.airflow.api, run, ["mask_media"], timeout=600):
        pass
    pods = {pod["metadata"]["labels"]["task_id"]: pod for pod in world.namespace.pods(dag_id="mask_media")}
    gpus = {task: container(pod)["resources"]["limits"].get("nvidia.com/gpu") for task, pod in pods.items()}
    assert gpus == {"plan": None, "detect": None, "track": None, "mask": "1", "assemble": None}
    report = world.airflow.api.xcom(run, "assemble")
    assert (report["counts"]["frames"], report["written"], report["skipped_count"]) == (12, 1, 0)
    assert report["counts"]["faces"] > 0
    masked = artifacts.read_bytes(f"s3://{BUCKET}/media/film.masked.mp4")
    assert masked[4:8] == film[4:8] == b"ftyp"
    assert masked != film
