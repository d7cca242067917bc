"""What is refused before anything of a version is deployed: a real registry, real artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.integration.registered_models import registered
from tests.integration.test_serving import untrained

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.masking import artifact
from identity_masker.registry import flavor, models, runs, tracking
from identity_masker.registry.semver import Lineage
from identity_masker.release.preflight import preflight
from identity_masker.serving.deploy import ModelRegistry
from identity_masker.settings import settings

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning",
    "ignore:.*:FutureWarning:mlflow",
    "ignore:.*AnyType:UserWarning",  # MLflow warns of the type hints of its own classes
    "ignore::sqlalchemy.exc.SADeprecationWarning",  # of MLflow's own database
)


class Shelf:
    """A registry, and artifacts to put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.masker = untrained(folder / "masker", 0)
        self.size = artifact.load(self.masker).size

    def put(self, name: str, *, size: int = 0, sha256: str = "", verdict: models.Verdict = "accepted") -> str:
        """A version that says of itself what is given here, and the truth for the rest."""
        target = self.folder / name
        flavor.save(self.masker, size or self.size, target)
        run = runs.open_run(name, name, {})
        run.log_folder(target, "model")
        tags = {"artifact_sha256": sha256 or artifacts.sha256_folder(self.masker)}
        lineage = Lineage("factor-bottleneck", "1")
        return models.register(run.run_id, run.uri("model"), lineage, verdict, tags).version


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder, patch = tmp_path_factory.mktemp("preflight"), pytest.MonkeyPatch()
    patch.setenv("MASKER_HOME", str(folder / "home"))
    patch.setenv("MASKER_MLFLOW_URI", f"sqlite:///{folder}/mlflow.db")
    _forget()
    with tracking.calls() as mlflow:
        mlflow.create_experiment(tracking.EXPERIMENT, artifact_location=str(folder / "artifacts"))
    yield Shelf(folder)
    patch.undo()
    _forget()


def _forget() -> None:
    settings.cache_clear()
    tracking.client.cache_clear()


def test_a_sound_version_passes_and_what_was_found_is_told(shelf: Shelf) -> None:
    version = registered(shelf.masker, shelf.folder / "sound", "sound", "1")
    found = preflight(version.version, ModelRegistry())
    assert (found.version, found.sha256) == (version.version, version.sha256)
    assert [check.name for check in found.checks] == ["registered", "hash", "loads", "signature", "smoke", "fits"]
    assert "of the 2Gi that a model server gets" in found.checks[-1].detail


def test_files_that_are_not_the_registered_ones_are_refused(shelf: Shelf) -> None:
    with pytest.raises(BadInputError, match="not the ones that were registered"):
        preflight(shelf.put("tampered", sha256="0" * 64), ModelRegistry())


def test_another_signature_than_that_of_a_masker_is_refused(shelf: Shelf) -> None:
    with pytest.raises(BadInputError, match=r"signature is not that of a masker.*register it again"):
        preflight(shelf.put("signed", size=2 * shelf.size), ModelRegistry())


def test_a_rejected_and_an_unknown_version_are_refused(shelf: Shelf) -> None:
    with pytest.raises(BadInputError, match="the gate rejected this version"):
        preflight(shelf.put("rejected", verdict="rejected"), ModelRegistry())
    with pytest.raises(NotFoundError, match="no such model version"):
        preflight("9.9.9", ModelRegistry())


def test_a_version_that_needs_more_memory_than_a_server_gets_is_refused(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = shelf.put("large")
    serving = yaml.safe_load((settings().config_dir / "serving.yaml").read_text())
    (tmp_path / "serving.yaml").write_text(yaml.safe_dump(serving | {"limits": {"memory": "48Mi"}}))
    monkeypatch.setenv("MASKER_CONFIG_DIR", str(tmp_path))
    settings.cache_clear()
    try:
        with pytest.raises(BadInputError, match=r"more memory than a model server gets; got \d+ MiB; .*48Mi"):
            preflight(version, ModelRegistry())
    finally:
        monkeypatch.undo()
        settings.cache_clear()
