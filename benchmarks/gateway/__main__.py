"""Benchmarks of the gateway. Each prints a table in Markdown; `docs/gateway.md` holds the tables.

python -m benchmarks.gateway cost             # what it adds to a request; needs wrk
python -m benchmarks.gateway drill            # 100,000 requests with a swap, a kill and changes of the routing
"""

from __future__ import annotations

import argparse

from benchmarks.gateway import cost, drill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("cost", help="Latency, throughput and CPU with and without the gateway.")
    one.add_argument("--seconds", type=float, default=5.0, help="Of each round.")
    one.add_argument("--rounds", type=int, default=5)
    one.add_argument("--models", nargs="+", choices=["none", "masker"], default=["none", "masker"])
    one = parts.add_parser("drill", help="Requests that fail while everything changes.")
    one.add_argument("--requests", type=int, default=100_000)
    one.add_argument("--at-a-time", type=int, default=16)
    options = vars(parser.parse_args())
    {"cost": cost.run, "drill": drill.run}[options.pop("part")](**options)


if __name__ == "__main__":
    main()
