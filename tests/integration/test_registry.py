"""Trainings, evaluations and registrations against a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.integration.fleet_processes import PROJECT, free_ports
from tests.integration.registry_place import LIBRARIES, Place, forget_settings, masker, registry_place, trained

from identity_masker import artifacts
from identity_masker.cli import models as cli_models
from identity_masker.errors import BadInputError, MaskerError, NotFoundError, TemporaryError
from identity_masker.masking import artifact
from identity_masker.masking.examination import Examiner
from identity_masker.masking.gate import judge
from identity_masker.registry import examiners, flavor, model_card, models, parity, reproduce, run_files, runs, tracking
from identity_masker.registry.evaluate_step import evaluate_step
from identity_masker.registry.register_step import register_step
from identity_masker.registry.semver import Lineage
from identity_masker.registry.train_step import TrainResult
from identity_masker.release import judge as release_judge
from identity_masker.release.evidence import parse_evidence
from identity_masker.release.policy import load_policy, parse_policy
from identity_masker.release.shadow_replay import ReplayOptions, shadow_replay
from identity_masker.settings import settings

pytestmark = [pytest.mark.timeout(600), LIBRARIES]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with registry_place(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="module")
def first(place: Place) -> TrainResult:
    result = trained(place, "dag/first")
    evaluate_step(result.run_id)
    return result


def test_a_run_has_parameters_curves_dataset_and_model(place: Place, first: TrainResult) -> None:
    with tracking.calls() as mlflow:
        run = mlflow.get_run(first.run_id)
        curve = mlflow.get_metric_history(first.run_id, "total")
        kept = {item.path for item in mlflow.list_artifacts(first.run_id, "model/data/masker")}
    assert run.info.status == "FINISHED"
    assert run.data.params["training.steps"] == "8"
    assert run.data.tags["dataset"] == place.dataset
    assert curve[-1].step == 8
    assert kept == {f"model/data/masker/{name}" for name in ("model.json", "weights.safetensors", "graphs")}


@pytest.mark.usefixtures("first")
def test_a_client_of_mlflow_leaves_the_metrics_of_its_process_alone() -> None:
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_a_finished_training_is_given_back(place: Place, first: TrainResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("identity_masker.registry.train_step._train", None)
    assert trained(place, "dag/first") == first


def test_the_evaluation_is_stored_whole_and_given_back(first: TrainResult) -> None:
    result = evaluate_step(first.run_id)
    run = runs.get_run(first.run_id)
    evidence = run.read_document(run_files.EVIDENCE)
    assert evidence["attacks"][0]["result"]["rank1"]["value"] == result.rank1_clear
    assert result.chance == 1 / result.people
    with tracking.calls() as mlflow:
        kept = {item.path for item in mlflow.list_artifacts(first.run_id, "evaluation")}
    assert {"evaluation/evaluation.json", "evaluation/report.html", "evaluation/before-after.png"} <= kept


def test_registration_is_idempotent_and_makes_a_challenger(first: TrainResult) -> None:
    once, twice = register_step(first.run_id), register_step(first.run_id)
    assert once == twice
    assert (once.verdict, once.semver, once.alias) == ("accepted", "1.0.0", "challenger")
    for reference in ("challenger", "1.0.0", once.version):
        assert models.resolve(reference).run_id == first.run_id


def test_the_first_accepted_version_brings_the_examiner(place: Place, first: TrainResult) -> None:
    evaluate_step(first.run_id)
    registered = register_step(first.run_id)
    appointed = models.by_alias(examiners.ALIAS)
    assert appointed is not None
    assert appointed.version == registered.version
    folder = examiners.fetch()
    assert examiners.fetch() == folder  # kept
    examiner = Examiner(folder)
    assert folder.name == examiner.name
    pictures = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    assert [each.leak for each in examiner.examine(pictures, pictures)] == [1.0, 1.0]


def test_the_judgement_can_be_replayed_from_the_run(first: TrainResult) -> None:
    from identity_masker.masking.evaluation_config import GateConfig
    from identity_masker.masking.evidence import Evaluation

    register_step(first.run_id)
    run = runs.get_run(first.run_id)
    stored = run.read_document(run_files.JUDGEMENT)
    replayed = judge(Evaluation.model_validate(run.read_document(run_files.EVIDENCE)), GateConfig(**stored["gate"]))
    assert (replayed.verdict, list(replayed.reasons)) == (stored["verdict"], stored["reasons"])


def test_a_registered_masker_downloads_and_masks(place: Place, first: TrainResult) -> None:
    register_step(first.run_id)
    folder = models.download(models.resolve("1.0.0"))
    assert folder.is_relative_to(place.folder / "home")
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    assert artifact.load(folder).mask(image, ["somebody"]).shape == image.shape


def test_a_damaged_copy_is_fetched_again(place: Place, first: TrainResult) -> None:
    register_step(first.run_id)
    folder = models.download(models.resolve("1.0.0"))
    weights = folder / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    assert models.download(models.resolve("1.0.0")) == folder
    assert weights.read_bytes() == whole


def test_mlflow_itself_can_load_the_model(first: TrainResult) -> None:
    from mlflow import pyfunc

    register_step(first.run_id)
    loaded = pyfunc.load_model("models:/identity-masker@challenger")
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    masked = loaded.predict(image)
    assert masked.shape == image.shape
    assert (masked != image).any()


def test_the_gate_rejects_with_reasons_and_without_an_alias(place: Place) -> None:
    run = trained(place, "dag/strict", "strict")
    evaluate_step(run.run_id)
    result = register_step(run.run_id)
    assert (result.verdict, result.alias) == ("rejected", None)
    assert any(reason.startswith("failed: ") for reason in result.reasons)
    assert models.resolve(result.semver).verdict == "rejected"


def test_versions_count_up_and_champions_follow_each_other(place: Place, first: TrainResult) -> None:
    one = register_step(first.run_id)
    second = trained(place, "dag/second")
    evaluate_step(second.run_id)
    two = register_step(second.run_id)
    assert two.semver > one.semver
    assert models.resolve("challenger").version == two.version
    models.set_champion(one.version, None)
    models.set_champion(two.version, one.version)
    models.set_champion(two.version, one.version)
    assert models.resolve("champion").version == two.version
    assert models.resolve("previous").version == one.version
    with pytest.raises(NotFoundError, match="challenger"):
        models.resolve("challenger")
    # What serves already is no challenger, whoever repeats its registration.
    assert register_step(second.run_id).alias == "champion"
    with pytest.raises(NotFoundError):
        models.resolve("challenger")


def test_a_version_is_replayed_beside_the_champion_and_judged(place: Place, first: TrainResult) -> None:
    champion, second = register_step(first.run_id), trained(place, "dag/second")
    evaluate_step(second.run_id)
    candidate = register_step(second.run_id)
    shipped = load_policy(PROJECT / "include" / "config" / "release" / "canary.yaml")
    assert shipped.replay is not None
    policy = shipped.model_copy(update={"replay": shipped.replay.model_copy(update={"pairs": 30, "minimum_pairs": 10})})
    options = ReplayOptions(
        candidate=candidate.version, champion=champion.version, policy=policy, store=settings().store
    )
    result = shadow_replay(options)
    assert shadow_replay(options) == result
    assert (result.pictures, result.champion, result.examiner) == (30, champion.semver, examiners.fetch().name)
    assert result.judged is not None
    assert {metric.name for metric in result.judged.metrics} == {"leak", "face_missed", "change_outside"}
    stored = parse_evidence(artifacts.read_json(result.evidence))
    again = release_judge.judge(
        parse_policy(artifacts.read_json(result.evidence.replace("evidence", "policy"))), stored
    )
    assert again == result.judged
    assert models.get(candidate.version).tags["replay_verdict"] == result.verdict
    same = shadow_replay(options.model_copy(update={"champion": candidate.version}))
    assert (same.allowed, same.judged) == (True, None)
    without = shadow_replay(options.model_copy(update={"policy": policy.model_copy(update={"replay": None})}))
    assert (without.allowed, without.verdict) == (True, "hold")


def test_a_replay_of_what_is_not_measured_is_bad_input(place: Place, first: TrainResult) -> None:
    versions = [version.version for version in models.versions() if version.verdict == "accepted"][:2]
    document = {
        "strategy": "shadow", "shadow": {}, "metrics": {"errors": {"kind": "share", "margin": 2.0}},
        "replay": {"metrics": {"smiles": {}}},
    }  # fmt: skip
    options = ReplayOptions(
        candidate=versions[0], champion=versions[1], policy=parse_policy(document), store=settings().store
    )
    with pytest.raises(BadInputError, match="smiles"):
        shadow_replay(options)


def test_a_registered_version_has_a_card_with_figures_reasons_traces_and_pictures(first: TrainResult) -> None:
    version = models.resolve(register_step(first.run_id).version)
    run = runs.get_run(first.run_id)
    with tracking.calls() as mlflow:
        kept = {Path(item.path).name for item in mlflow.list_artifacts(first.run_id, run_files.CARD)}
        description = mlflow.get_model_version(models.MODEL, version.version).description
    assert kept == {"card.md", "card.html", "before-after.png"}
    card = model_card.make(version)
    evidence = run.read_document(run_files.EVIDENCE)
    rank1 = f"{evidence['attacks'][0]['result']['rank1']['value']:.3f}"
    for text in (card.markdown, unescape(card.html)):
        assert f"Identity masker {version.semver}" in text
        assert all(version.tags[name] in text for name in ("snapshot", "config_sha256", "code_sha256", "evaluation"))
        assert rank1 in text
        assert all(reason in text for reason in _judgement(run)["reasons"])
    assert "data:image/png;base64," in card.html
    assert card.picture is not None
    assert description.startswith(f"# Identity masker {version.semver}")


def _judgement(run: runs.Run) -> dict[str, list[str]]:
    judgement: dict[str, list[str]] = run.read_document(run_files.JUDGEMENT)
    return judgement


def test_the_saved_model_masks_as_the_trained_one_and_carries_an_example(first: TrainResult) -> None:
    run = runs.get_run(first.run_id)
    found = parity.Parity.model_validate(run.read_document(run_files.PARITY))
    assert (found.pictures, found.largest_difference) == (parity.PICTURES, 0)
    assert found.graph_largest_difference in (0, 1)
    assert run.has("model/input_example.json")


def test_a_saved_model_that_masks_otherwise_is_refused(first: TrainResult, tmp_path: Path) -> None:
    run = runs.get_run(first.run_id)
    model = run.fetch(run_files.MODEL, tmp_path)
    trained_masker = artifact.load(model / flavor.MASKER_FOLDER)
    spoilt = artifact.load(model / flavor.MASKER_FOLDER)
    for tensor in spoilt.network.parameters():
        tensor.data.mul_(0.5)
    artifact.save(spoilt, model / flavor.MASKER_FOLDER)
    with pytest.raises(MaskerError, match="does not mask as the trained one"):
        parity.check(trained_masker, model)


def test_versions_are_listed_compared_and_promoted(place: Place, first: TrainResult, tmp_path: Path) -> None:
    register_step(first.run_id)
    again = trained(place, "dag/compared")
    evaluate_step(again.run_id)
    newer = models.resolve(register_step(again.run_id).version)
    command = CliRunner()
    listed = json.loads(command.invoke(cli_models.command, ["list", "--json"]).stdout)["versions"]
    assert [row["version"] for row in listed] == [v.version for v in models.versions()]
    target = tmp_path / "sheet.png"
    arguments = ["compare", "1.0.0", newer.semver, "--picture", str(target), "--json"]
    compared = json.loads(command.invoke(cli_models.command, arguments).stdout)
    assert compared["same_test"]
    assert {figure["name"] for figure in compared["figures"]} >= {"strong, clear gallery: rank1", "pose R²"}
    assert all(figure["a"] == figure["b"] for figure in compared["figures"] if "R²" in figure["name"])
    with Image.open(target) as sheet:
        assert sheet.size == (8 * 128, 3 * 128)
    promoted = json.loads(command.invoke(cli_models.command, ["promote", newer.semver, "--json"]).stdout)
    assert promoted == {"version": newer.version, "semver": newer.semver, "alias": "challenger"}
    assert models.resolve("challenger").version == newer.version


def test_a_rejected_version_is_not_promoted(place: Place) -> None:
    rejected = next(v for v in models.versions() if v.verdict == "rejected")
    with pytest.raises(BadInputError, match="the gate rejected this version"):
        CliRunner().invoke(cli_models.command, ["promote", rejected.version], catch_exceptions=False)


def test_a_version_is_reproduced_to_the_bit(place: Place, first: TrainResult) -> None:
    register_step(first.run_id)
    before = len(models.versions())
    result = reproduce.reproduce("1.0.0")
    assert result.equal
    assert result.largest_difference == 0.0
    assert result.run_id != result.registered_run_id == first.run_id
    assert result.within_tolerance
    assert all(figure.registered == figure.reproduced for figure in result.figures)
    assert len(models.versions()) == before


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="needs the repository")
def test_a_version_of_another_commit_is_trained_by_the_code_of_that_commit(
    place: Place, first: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_step(first.run_id)
    git = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(git, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.strip()
    runs.get_run(first.run_id).set_tags({"code_commit": commit})
    monkeypatch.setattr(reproduce.provenance, "code_sha256", lambda: "another")
    result = reproduce.reproduce("1.0.0")
    assert (result.code, result.equal, result.largest_difference) == (commit, True, 0.0)


def test_code_that_git_does_not_know_cannot_be_reproduced(
    place: Place, first: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_step(first.run_id)
    runs.get_run(first.run_id).set_tags({"code_commit": ""})
    monkeypatch.setattr(reproduce.provenance, "code_sha256", lambda: "another")
    with pytest.raises(BadInputError, match="not known to Git"):
        reproduce.reproduce("1.0.0")


def test_a_tampered_artifact_is_refused(place: Place) -> None:
    folder = place.folder / "tampered" / "masker"
    source = models.download(models.resolve("1.0.0"))
    for name in ("model.json", "weights.safetensors"):
        artifacts.write_bytes(str(folder / name), (source / name).read_bytes())
    flavor.save(folder, 64, place.folder / "tampered" / "model")
    run = runs.open_run("dag/tampered", "tampered", {})
    run.log_folder(place.folder / "tampered" / "model", "model")
    version = models.register(
        run.run_id, run.uri("model"), Lineage("factor-bottleneck", "other-1.0.0"), "accepted",
        {"artifact_sha256": "0" * 64},
    )  # fmt: skip
    with pytest.raises(BadInputError, match="not the ones that were registered"):
        models.download(version)


@pytest.mark.parametrize("reference", ["9.9.9", "4711", "nobody"])
def test_unknown_versions_are_named_with_what_there_is(place: Place, first: TrainResult, reference: str) -> None:
    register_step(first.run_id)
    with pytest.raises(NotFoundError, match=r"1\.0\.0 \(number"):
        models.resolve(reference)


@pytest.mark.parametrize("run_id", ["0" * 32, "no-such-run", "../x"])
def test_unknown_runs_are_bad_input(place: Place, run_id: str) -> None:
    with pytest.raises(NotFoundError):
        evaluate_step(run_id)
    with pytest.raises(NotFoundError):
        register_step(run_id)


def test_steps_out_of_order_are_refused(place: Place) -> None:
    run = runs.open_run("dag/untrained", "untrained", {})
    with pytest.raises(BadInputError, match="no trained masker"):
        evaluate_step(run.run_id)
    with pytest.raises(BadInputError, match="was not evaluated"):
        register_step(run.run_id)


def test_a_run_key_has_one_run(place: Place) -> None:
    first, second = (runs.open_run("dag/same", "same", {}) for _ in range(2))
    assert first.run_id == second.run_id
    assert runs.open_run("dag/other", "other", {}).run_id != first.run_id


def test_an_unknown_dataset_is_bad_input(place: Place) -> None:
    done = masker("train", "--model", "quick", "--dataset", "people-9.9.9", environment=place.environment)
    assert done.returncode == 2
    assert "people-9.9.9" in done.stderr
    assert "Traceback" not in done.stderr


def test_mlflow_away_is_a_temporary_error_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"http://127.0.0.1:{free_ports()}"
    monkeypatch.setenv("MASKER_MLFLOW_URI", nobody)
    forget_settings()
    started = time.monotonic()
    try:
        with pytest.raises(TemporaryError, match=nobody):
            models.resolve("champion")
    finally:
        monkeypatch.setenv("MASKER_MLFLOW_URI", place.uri)
        forget_settings()
    assert time.monotonic() - started < 10
