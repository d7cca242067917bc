"""Benchmarks of the event log. Each prints a table in Markdown; `docs/events.md` holds the tables.

python -m benchmarks.events append --rate 5000 --seconds 10
python -m benchmarks.events gateway --requests 1500 --pause-ms 3
"""

from __future__ import annotations

import argparse

from benchmarks.events import append, gateway


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("append", help="Events a second of one process on one core, and the compaction.")
    one.add_argument("--rate", type=int, default=5_000)
    one.add_argument("--seconds", type=float, default=10.0)
    one = parts.add_parser("gateway", help="Latency of a request with and without the log.")
    one.add_argument("--requests", type=int, default=1_500)
    one.add_argument("--pause-ms", type=float, default=3.0, help="After each request; the log works meanwhile.")
    options = vars(parser.parse_args())
    {"append": append.run, "gateway": gateway.run}[options.pop("part")](**options)


if __name__ == "__main__":
    main()
