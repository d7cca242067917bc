"""Which examiner judges answers: that of the version with the alias `examiner`, by default the first that was accepted.

It does not change with the champion, so figures of different releases can be compared. A person may point the alias
at another version; gateways change over when no release is under way.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from identity_masker.errors import MaskerError, NotFoundError
from identity_masker.masking.calibration import read_calibration
from identity_masker.registry import models, run_files, runs
from identity_masker.settings import settings

ALIAS = "examiner"


def appoint(version: models.ModelVersion) -> None:
    """Make the examiner of an accepted version the one that judges, unless there is one or its run has none."""
    if version.verdict != "accepted" or models.by_alias(ALIAS) is not None:
        return
    if runs.get_run(version.run_id).has(f"{run_files.EXAMINER}/calibration.json"):
        models.set_alias(ALIAS, version.version)


def fetch() -> Path:
    """The folder of the examiner that judges, kept under MASKER_HOME.

    Raises `NotFoundError` when none is appointed, `TemporaryError` when MLflow does not answer and `BadInputError`
    when its files are not what they should be.
    """
    version = models.by_alias(ALIAS)
    if version is None:
        raise NotFoundError(
            "no version has the alias of the examiner",
            got=f"{models.MODEL}@{ALIAS}",
            fix="evaluate and register a version: `masker evaluate`, `masker register`",
        )
    kept = settings().home / "examiners"
    kept.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=kept) as folder:
        fetched = runs.get_run(version.run_id).fetch(run_files.EXAMINER, Path(folder))
        target = kept / read_calibration(fetched).name
        if not target.is_dir():
            shutil.move(fetched, target)
    return target


def main() -> None:
    """Print `{"folder": …}` of the examiner that judges, or `{"reason": …}` why there is none."""
    try:
        found = {"folder": str(fetch())}
    except MaskerError as error:
        found = {"reason": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
