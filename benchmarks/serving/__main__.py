"""Benchmarks of the model server. Each prints tables in Markdown; `docs/serving.md` holds them. They need wrk.

python -m benchmarks.serving overhead --seconds 4 --rounds 3
python -m benchmarks.serving masked --seconds 8 --rounds 3
python -m benchmarks.serving overload --seconds 300
python -m benchmarks.serving stopping
python -m benchmarks.serving engine
"""

from __future__ import annotations

import argparse

from benchmarks.serving import engine, masked, overhead, overload, stopping


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("masked", help="With the masker, against peers and a loop without a server.")
    one.add_argument("--seconds", type=float, default=8.0)
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--connections", type=int, default=32)
    one = parts.add_parser("overhead", help="With a model that does nothing, and without requests.")
    one.add_argument("--seconds", type=float, default=4.0)
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--ours", action="store_true", help="Without the peers.")
    one = parts.add_parser("overload", help="Three times the requests that it can answer.")
    one.add_argument("--seconds", type=float, default=60.0)
    parts.add_parser("stopping", help="SIGTERM with requests under way.")
    one = parts.add_parser("engine", help="The network in torch beside the graphs in ONNX Runtime.")
    one.add_argument("--seconds", type=float, default=1.0, help="For each size of picture and call.")
    options = vars(parser.parse_args())
    runs = {"masked": masked.run, "overhead": overhead.run, "overload": overload.run, "stopping": stopping.run,
            "engine": engine.run}  # fmt: skip
    runs[options.pop("part")](**options)


if __name__ == "__main__":
    main()
