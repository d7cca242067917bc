"""`python -m tests.cluster.paired_candidates FOLDER`: two versions that a paired replay can compare with version 1.

Makes a dataset with people held out, an examiner, a version with the weights of version 1, and one whose weights went
astray. Prints the numbers of the two as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.integration.astray_candidate import appoint_examiner, dataset, go_astray
from tests.integration.registered_models import registered
from tests.integration.test_serving import untrained

CHAMPIONS_SEED = 1


def main() -> None:
    folder = Path(sys.argv[1])
    appoint_examiner(folder / "examiner")
    version, made = dataset(), {}
    for name in ("sound", "astray"):
        masker = untrained(folder / name / "masker", CHAMPIONS_SEED)
        if name == "astray":
            go_astray(masker)
        made[name] = registered(masker, folder / name / "model", name, version).version
    print(json.dumps(made))


if __name__ == "__main__":
    main()
