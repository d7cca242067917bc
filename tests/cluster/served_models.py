"""`python -m tests.cluster.served_models FOLDER N … --tampered N`: maskers that nobody trained, registered in turn.

Their files go through MLflow's proxy. Those of the tampered one are not the ones that were registered.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.integration.test_serving import untrained

from identity_masker import artifacts
from identity_masker.masking import artifact
from identity_masker.registry import flavor, models, runs
from identity_masker.registry.semver import Lineage


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("numbers", nargs="+")
    parser.add_argument("--tampered")
    options = parser.parse_args()
    for number in [*options.numbers, *([options.tampered] if options.tampered else [])]:
        made = register(options.folder / number, int(number), tampered=number == options.tampered)
        assert made == number, f"the registry counts otherwise: {made}"


def register(folder: Path, seed: int, *, tampered: bool) -> str:
    masker_folder = untrained(folder / "masker", seed)
    run = runs.open_run(f"test-{seed}", "test", {})
    flavor.save(masker_folder, artifact.load(masker_folder).size, folder / "model")
    run.log_folder(folder / "model", "model")
    digest = "0" * 64 if tampered else artifacts.sha256_folder(masker_folder)
    lineage = Lineage("factor-bottleneck", "1")
    return models.register(run.run_id, run.uri("model"), lineage, "accepted", {"artifact_sha256": digest}).version


if __name__ == "__main__":
    main()
