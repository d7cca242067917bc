"""Benchmarks of ingestion. Each prints a table in Markdown; `docs/data.md` holds the tables.

python -m benchmarks.ingest speed
python -m benchmarks.ingest memory --images 10000 200000
python -m benchmarks.ingest quality --cleanvision VENV/bin/python
python -m benchmarks.ingest kills
python -m benchmarks.ingest mixups

With --quick each runs in seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.ingest import kills, memory, mixups, quality, speed

# Sizes that show that a benchmark works, and nothing else.
QUICK: dict[str, dict[str, object]] = {
    "speed": {"images": 256, "repeats": 1},
    "memory": {"images": [500, 1000]},
    "quality": {"images": 400, "planted": 10},
    "kills": {"images": 400, "kills": 4},
    "mixups": {"images": 360, "planted": 8, "repeats": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("speed", help="Images a second beside what decoding alone allows.")
    one.add_argument("--images", type=int, default=2048)
    one.add_argument("--repeats", type=int, default=3)
    one = parts.add_parser("memory", help="Peak memory of ingestions of several sizes.")
    one.add_argument("--images", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    one = parts.add_parser("quality", help="Planted faults found, and the time it takes, beside cleanvision.")
    one.add_argument("--images", type=int, default=10_000)
    one.add_argument("--planted", type=int, default=100, help="Pictures a fault.")
    one.add_argument("--cleanvision", type=Path, help="Python of an environment that has cleanvision 0.3.")
    one = parts.add_parser("kills", help="Ingestions killed at random moments, and what comes of it.")
    one.add_argument("--images", type=int, default=4000)
    one.add_argument("--kills", type=int, default=20)
    one.add_argument("--seed", type=int, default=kills.SEED, help="Of the moments.")
    one = parts.add_parser("mixups", help="Pictures planted under wrong names that are found.")
    one.add_argument("--images", type=int, default=2040)
    one.add_argument("--planted", type=int, default=40)
    one.add_argument("--repeats", type=int, default=5)
    for one in parts.choices.values():
        one.add_argument("--quick", action="store_true", help="Tiny sizes, for seconds.")
    options = vars(parser.parse_args())
    part = options.pop("part")
    if options.pop("quick"):
        options |= QUICK[part]
    runs = {
        "speed": speed.run, "memory": memory.run, "quality": quality.run, "kills": kills.run, "mixups": mixups.run,
    }  # fmt: skip
    runs[part](**options)


if __name__ == "__main__":
    main()
