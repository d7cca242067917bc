"""`python -m tests.integration.registered_models FOLDER [N]`: N (default one) registered maskers that nobody trained.

MLflow keeps it in the database of MASKER_MLFLOW_URI and in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration.test_serving import untrained

from identity_masker import artifacts
from identity_masker.masking import artifact
from identity_masker.registry import flavor, models, runs, tracking
from identity_masker.registry.semver import Lineage


def main() -> None:
    folder = Path(sys.argv[1])
    with tracking.calls() as mlflow:
        mlflow.create_experiment(tracking.EXPERIMENT, artifact_location=str(folder / "artifacts"))
    for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        register(folder / str(seed), seed)


def register(folder: Path, seed: int) -> None:
    registered(untrained(folder / "masker", seed), folder / "model", f"test-{seed}", dataset="1")


def registered(masker_folder: Path, folder: Path, name: str, dataset: str) -> models.ModelVersion:
    """Register the masker in `masker_folder` as accepted, from a run `name`; its MLflow model is made in `folder`."""
    run = runs.open_run(name, "test", {})
    flavor.save(masker_folder, artifact.load(masker_folder).size, folder)
    run.log_folder(folder, "model")
    tags = {"artifact_sha256": artifacts.sha256_folder(masker_folder)}
    return models.register(run.run_id, run.uri("model"), Lineage("factor-bottleneck", dataset), "accepted", tags)


if __name__ == "__main__":
    main()
