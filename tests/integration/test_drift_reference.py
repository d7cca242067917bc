"""The reference of a registered version, from a real dataset through a real masker into a real MLflow and back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.integration.fleet_processes import free_ports
from tests.integration.mlflow_server import mlflow_server
from tests.integration.test_serving import untrained
from tests.integration.validated_dataset import validated_dataset
from tests.unit.telemetry.events.samples import request

from identity_masker import artifacts
from identity_masker.cli.main import main
from identity_masker.drift import archive, reference, reference_store
from identity_masker.drift.collect_step import collect_step, watch_step
from identity_masker.drift.dataset_rows import HELD_OUT
from identity_masker.drift.group_test import check_group
from identity_masker.drift.model_reference import ReferenceResult, make_model_reference
from identity_masker.drift.night_check import judge_window
from identity_masker.drift.policy import DriftPolicy
from identity_masker.errors import NotFoundError
from identity_masker.faces.snapshot import open_snapshot
from identity_masker.masking import artifact
from identity_masker.registry import flavor, models, runs, tracking
from identity_masker.registry.semver import Lineage
from identity_masker.serving.appearance import appearance
from identity_masker.serving.pictures import encode
from identity_masker.settings import settings
from identity_masker.telemetry.events import EventLog, compact

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings(
        "ignore:_NoneStep.value will soon raise:DeprecationWarning",
        "ignore:unclosed:ResourceWarning",
        "ignore:.*:FutureWarning:mlflow",
        "ignore:.*AnyType:UserWarning",  # MLflow warns of the type hints of its own classes
    ),
]
POLICY = DriftPolicy.model_validate(
    {"embeddings": {"rows": 200, "permutations": 99}, "traffic": {"masked": 200, "run_length": 300}}
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("drift-reference")
    with mlflow_server(folder, free_ports(1)) as uri, pytest.MonkeyPatch.context() as patch:
        for name, value in {"MASKER_HOME": str(folder), "MASKER_MLFLOW_URI": uri, "MASKER_THREADS": "1"}.items():
            patch.setenv(name, value)
        _forget()
        yield folder
    _forget()


def _forget() -> None:
    settings.cache_clear()
    tracking.client.cache_clear()


@pytest.fixture(scope="module")
def made(home: Path) -> ReferenceResult:
    """A registered masker with random weights, and the reference of the dataset that it says it was trained on."""
    dataset = validated_dataset(people=60, images=600)
    folder = untrained(home / "masker", 0)
    run = runs.open_run("drift-reference", "test", {"dataset": dataset})
    flavor.save(folder, artifact.load(folder).size, home / "model")
    run.log_folder(home / "model", "model")
    tags = {"artifact_sha256": artifacts.sha256_folder(folder)}
    models.register(run.run_id, run.uri("model"), Lineage("factor-bottleneck", dataset), "accepted", tags)
    return make_model_reference("challenger", POLICY)


def traffic(made: ReferenceResult, start: datetime, rows: int, shade: float = 1.0) -> None:
    """Events of `rows` test pictures, masked and described as the gateway describes them; `shade` darkens them."""
    version = models.resolve(made.version)
    pictures = open_snapshot(made.dataset).load(HELD_OUT, 64).images[:rows]
    pictures = (pictures * shade).astype(np.uint8)
    masked = artifact.load(models.download(version)).mask(pictures, [f"user-{row}" for row in range(len(pictures))])
    looks = [
        appearance(encode(before, "PNG"), encode(after, "PNG"))._asdict()
        for before, after in zip(pictures, masked, strict=True)
    ]
    events = [
        request(start + timedelta(minutes=row), request_id=uuid.uuid4().hex, version=made.version, **each)
        for row, each in enumerate(looks)
    ]
    with EventLog(settings().events) as log:
        log.writer("requests").append_all(events)


def test_the_reference_is_kept_with_the_run_and_in_the_store(made: ReferenceResult) -> None:
    with tracking.calls() as mlflow:
        kept = {item.path.rsplit("/", 1)[-1] for item in mlflow.list_artifacts(made.run_id, "drift/reference")}
    assert kept >= {"reference.json", "sketches.npz", "rows.parquet", "examples.parquet", "detector.npz"}
    stored = reference.load(archive.reference_uri(made.version), model_version=made.version)
    assert stored.summary.rows == made.rows
    assert stored.summary.columns["brightness"].rows > stored.summary.columns["changed"].rows == made.masked
    assert stored.summary.kinds["masked_code"] == "embedding"
    assert made.stream == ["brightness", "contrast", "sharpness", "changed"]


def test_a_store_that_lost_its_copy_gets_it_back_from_mlflow(made: ReferenceResult) -> None:
    uri = archive.reference_uri(made.version)
    before = {name: artifacts.read_bytes(artifacts.join(uri, name)) for name in artifacts.names(uri)}
    artifacts.remove(uri)
    day = datetime(2026, 11, 2, tzinfo=UTC)
    traffic(made, day, 60)
    compact(settings().events, settings().store, day + timedelta(days=1))
    found = collect_step(made.version, day, day + timedelta(days=1), POLICY)
    assert (found.pictures, found.embeddings) == (60, True)
    after = {name: artifacts.read_bytes(artifacts.join(uri, name)) for name in artifacts.names(uri)}
    assert after == before


def test_pictures_of_the_dataset_are_no_drift_and_darker_ones_are(made: ReferenceResult) -> None:
    outcomes = []
    for offset, shade in enumerate((1.0, 0.6)):
        day = datetime(2026, 11, 10 + offset, tzinfo=UTC)
        traffic(made, day, 90, shade)
        compact(settings().events, settings().store, day + timedelta(days=1))
        found = collect_step("challenger", day, day + timedelta(days=1), POLICY)
        for group in [*found.tables, *(["embeddings"] if found.embeddings else [])]:
            check_group(found.window, group, POLICY)  # type: ignore[arg-type]
        outcomes.append(judge_window(found.window, POLICY))
    assert outcomes[0].verdict == "no_drift"
    assert outcomes[1].verdict == "drift"
    assert "brightness" in outcomes[1].drifted["inputs"]
    with tracking.calls() as mlflow:
        folder = outcomes[1].window.rsplit("/", 1)[-1]
        kept = mlflow.list_artifacts(str(outcomes[1].mlflow_run), folder)
    assert {item.path.rsplit("/", 1)[-1] for item in kept} == {"report.html", "verdict.json", "evidence.json"}


def test_the_stream_detector_sees_darker_pictures_within_the_hour(made: ReferenceResult) -> None:
    now = datetime.now(UTC)
    traffic(made, now - timedelta(minutes=100), 90, 0.6)
    found = watch_step(made.version, now - timedelta(minutes=101), POLICY)
    assert found.rows == 90
    assert found.alarms >= 2
    assert found.drift
    assert found.alert is not None
    assert found.first_alarm is not None
    assert found.strongest["brightness"] < 0


def test_a_version_without_a_reference_says_what_to_do(
    made: ReferenceResult, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs.open_run("no-reference", "test", {})
    tags = {"artifact_sha256": "0" * 64}
    bare = models.register(run.run_id, run.uri("model"), Lineage("factor-bottleneck", "other-1"), "accepted", tags)
    with pytest.raises(NotFoundError, match="no drift reference"):
        watch_step(bare.version, datetime(2026, 11, 2, tzinfo=UTC), POLICY)
    assert main(["drift", "reference", "--model-version", "9.9.9"]) == 2
    assert "no such model version" in capsys.readouterr().err


def test_before_a_champion_there_is_an_empty_window(made: ReferenceResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "collect", "--night", "2026-11-02", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["tables"], found["embeddings"]) == ("", [], False)
    assert judge_window(found["window"], POLICY).verdict == "not_enough_data"


def test_forgetting_a_person_removes_the_references_of_models_that_saw_them(
    made: ReferenceResult, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The last test of the module: the dataset is gone after it."""
    uri, run = archive.reference_uri(made.version), runs.get_run(made.run_id)
    kept = run.fetch("drift/reference", tmp_path)
    person = str(open_snapshot(made.dataset).manifest["identity"].iloc[0])
    assert main(["data", "forget", person, "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["drift_references"] == [made.version]
    assert told["models"] == [f"{made.semver} (trained on {made.dataset})"]
    assert artifacts.names(uri) == []
    assert not run.has("drift/reference")
    # As when MLflow did not answer then: the copy that it still has is not taken.
    run.log_folder(kept, "drift/reference")
    with pytest.raises(NotFoundError, match="asked to be forgotten"):
        reference_store.at_hand(made.version, made.run_id)
    assert artifacts.names(uri) == []
    assert not run.has("drift/reference")
