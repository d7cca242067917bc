"""Simulation of the release judge, beside restatements of Flagger, Argo Rollouts and Kayenta.

python -m benchmarks.release_judge                     # all tables, 2,000 runs a cell (docs/release.md holds them)
python -m benchmarks.release_judge --quick             # the same with 200 runs a cell
python -m benchmarks.release_judge errors --runs 500   # one table
python -m benchmarks.release_judge plot --folder docs/images

Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.release_judge import latency, plots, replays, tables, whole

PARTS = ("counters", "errors", "told", "promotion", "whole", "latency", "replay")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=("all", *PARTS, "plot"))
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="200 runs a cell; too few to tell 4 % from 5 %.")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--folder", type=Path, default=Path("docs/images"), help="Where `plot` writes.")
    options = parser.parse_args()
    if options.part == "plot":
        plots.write(options.folder)
        return 0
    runs = 200 if options.quick else options.runs
    parts = PARTS if options.part == "all" else (options.part,)
    calls = {
        "counters": tables.counters,
        "errors": lambda: tables.errors(runs, options.seed),
        "told": lambda: tables.told(runs, options.seed),
        "promotion": lambda: tables.promotion(runs, options.seed),
        "whole": lambda: whole.run(runs, options.seed),
        "latency": lambda: latency.run(runs, options.seed),
        "replay": lambda: replays.run(runs, options.seed),
    }
    met = [calls[part]() for part in parts]  # every part runs, whatever the one before it says
    tables.print_bars()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
