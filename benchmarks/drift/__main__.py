"""Benchmarks of the drift engine. Each prints a table in Markdown; `docs/monitoring.md` holds the tables.

python -m benchmarks.drift nights --rows 100 1000 --years 3
python -m benchmarks.drift power
python -m benchmarks.drift beside --evidently VENV/bin/python
python -m benchmarks.drift speed --evidently VENV/bin/python
python -m benchmarks.drift vectors
python -m benchmarks.drift memory --rows 100000000 --folder /tmp/drift-rows
python -m benchmarks.drift stream

With --quick each runs in seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.drift import beside, memory, nights, power, speed, stream, vectors

EVIDENTLY = "Python of an environment that has evidently 0.7."
# Sizes that show that a benchmark works, and nothing else.
QUICK: dict[str, dict[str, object]] = {
    "nights": {"rows": [100], "nights": 20, "columns": 5},
    "power": {"repeats": 2, "runs": 1},
    "beside": {"repeats": 1, "shifts": [0.1], "sizes": [500]},
    "speed": {"rows": 5_000, "repeats": 1},
    "vectors": {"rows": 200, "repeats": 1},
    "memory": {"rows": 100_000},
    "stream": {"references": 2, "runs": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("nights", help="False alarms over nights without drift.")
    one.add_argument("--rows", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    one.add_argument("--years", type=int, default=1)
    one.add_argument("--nights", type=int, default=365, help="Nights a year.")
    one.add_argument("--columns", type=int, default=50)
    one.add_argument("--across", choices=["benjamini_hochberg", "max_statistic"], default="benjamini_hochberg")
    one.add_argument("--correlation", type=float, nargs="+", default=[0.0, 0.9])
    one = parts.add_parser("power", help="How often drift is found.")
    one.add_argument("--repeats", type=int, default=100)
    one.add_argument("--runs", type=int, default=20, help="Of the slow test.")
    one = parts.add_parser("beside", help="How often drift is found, beside evidently; half a minute a cell.")
    one.add_argument("--repeats", type=int, default=20)
    one.add_argument("--shifts", type=float, nargs="+", default=[0.0, 0.05, 0.1, 0.2], help="In deviations.")
    one.add_argument("--sizes", type=int, nargs="+", default=beside.SIZES, help="Rows a night.")
    one.add_argument("--evidently", type=Path, required=True, help=EVIDENTLY)
    one = parts.add_parser("speed", help="20 columns, 100,000 against 100,000, beside scipy (and evidently).")
    one.add_argument("--rows", type=int, default=100_000)
    one.add_argument("--repeats", type=int, default=5)
    one.add_argument("--evidently", type=Path, help=EVIDENTLY)
    one = parts.add_parser("vectors", help="Tests of 2,000 against 2,000 vectors of 64 numbers.")
    one.add_argument("--rows", type=int, default=2_000)
    one.add_argument("--repeats", type=int, default=5)
    one = parts.add_parser("memory", help="Summarise a table of any length out of core.")
    one.add_argument("--rows", type=int, default=100_000_000)
    one.add_argument("--folder", type=Path, required=True, help="Where the table is written (5 GB for 100 million).")
    one = parts.add_parser("stream", help="Mean run length of the detector between nights.")
    one.add_argument("--references", type=int, default=12)
    one.add_argument("--runs", type=int, default=60)
    for one in parts.choices.values():
        one.add_argument("--quick", action="store_true", help="Tiny sizes, for seconds.")
    options = vars(parser.parse_args())
    part = options.pop("part")
    if options.pop("quick"):
        options |= QUICK[part]
    runs = {
        "nights": nights.run,
        "power": power.run,
        "beside": beside.run,
        "speed": speed.run,
        "vectors": vectors.run,
        "memory": memory.run,
        "stream": stream.run,
    }
    runs[part](**options)


if __name__ == "__main__":
    main()
