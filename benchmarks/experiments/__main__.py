"""Benchmarks of the experiment engine. Each prints a table in Markdown; `docs/experiments.md` holds the tables.

python -m benchmarks.experiments looks --paths 40000
python -m benchmarks.experiments boundaries
python -m benchmarks.experiments split --experiments 10000
python -m benchmarks.experiments bandit --runs 2000
python -m benchmarks.experiments assignment
python -m benchmarks.experiments engine --runs 300
python -m benchmarks.experiments files --rows 10000000 --folder /tmp/experiment-rows --statsmodels VENV/bin/python
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.experiments import assignment, bandit, boundaries, engine, files, looks, split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("looks", help="Error, power and sample of methods for many looks.").add_argument(
        "--paths", type=int, default=40_000
    )
    parts.add_parser("boundaries", help="Time to compute boundaries.")
    one = parts.add_parser("split", help="False alarms and detection of the sample-ratio test.")
    one.add_argument("--experiments", type=int, default=10_000)
    parts.add_parser("bandit", help="Regret, bias and coverage under adaptive weights.").add_argument(
        "--runs", type=int, default=2_000
    )
    parts.add_parser("assignment", help="Assignments a second, and independence of layers.")
    parts.add_parser("engine", help="False winners and coverage of the whole engine, from files.").add_argument(
        "--runs", type=int, default=300
    )
    one = parts.add_parser("files", help="Analysis of many exposures × 5 metrics with CUPED.")
    one.add_argument("--rows", type=int, default=10_000_000)
    one.add_argument("--folder", type=Path, required=True, help="Where the files are written (750 MB for 10 million).")
    one.add_argument("--statsmodels", type=Path, help="Python of an environment with pandas and statsmodels.")
    options = vars(parser.parse_args())
    runs = {
        "looks": looks.run,
        "boundaries": boundaries.run,
        "split": split.run,
        "bandit": bandit.run,
        "assignment": assignment.run,
        "engine": engine.run,
        "files": files.run,
    }
    runs[options.pop("part")](**options)


if __name__ == "__main__":
    main()
