"""`python -m tests.integration.astray_candidate FOLDER`: what a paired replay needs, and a version that fails in it.

A dataset with people held out, an examiner (of version 1, registered before), and a version whose weights went astray:
it loads, masks and gives the same face for the same key, but fewer answers show a face, and more of what is around it
changes. Prints its number.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tests.integration.registered_models import registered
from tests.integration.test_serving import untrained
from tests.integration.validated_dataset import validated_dataset
from tests.unit.serving.examiners import small_examiner

from identity_masker.masking import artifact
from identity_masker.registry import examiners, models, run_files, runs

ASTRAY = -3.0
"""What every weight is multiplied by: the factors that the network reads leave the range of faces."""


def main() -> None:
    folder = Path(sys.argv[1])
    appoint_examiner(folder / "examiner")
    masker = untrained(folder / "masker", 0)
    go_astray(masker)
    print(registered(masker, folder / "model", "astray", validated_dataset(people=40, images=400)).version)


def go_astray(folder: Path) -> None:
    """Spoil the weights of the masker in `folder`."""
    masker = artifact.load(folder)
    with torch.no_grad():
        for parameter in masker.network.parameters():
            parameter.mul_(ASTRAY)
    artifact.save(masker, folder)


def appoint_examiner(folder: Path) -> None:
    folder.mkdir(parents=True)
    small_examiner(folder)
    runs.get_run(models.get("1").run_id).log_folder(folder, run_files.EXAMINER)
    models.set_alias(examiners.ALIAS, "1")


if __name__ == "__main__":
    main()
