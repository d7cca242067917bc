"""`python -m tests.integration.registered_models FOLDER`: a registered masker that nobody trained.

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
    masker_folder = untrained(folder / "masker", seed=0)
    with tracking.calls() as mlflow:
        mlflow.create_experiment(tracking.EXPERIMENT, artifact_location=str(folder / "artifacts"))
    run = runs.open_run("test", "test", {})
    flavor.save(masker_folder, artifact.load(masker_folder).size, folder / "model")
    run.log_folder(folder / "model", "model")
    tags = {"artifact_sha256": artifacts.sha256_folder(masker_folder)}
    models.register(run.run_id, run.uri("model"), Lineage("factor-bottleneck", "1"), "accepted", tags)


if __name__ == "__main__":
    main()
