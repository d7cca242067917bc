"""The masker and its rivals under the same attacks, on 128 people whom nothing was trained on.

python -m benchmarks.masking train --folder F               trains the full setting on drawn people
python -m benchmarks.masking attack --folder F              attacks ours and the rivals, one process each
python -m benchmarks.masking tables --folder F --plot P.png the tables of docs/model.md, and the plot
python -m benchmarks.masking pictures --folder F --images D  the pictures of docs/model.md

With --quick each runs in a minute, for nothing but to see that it runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.masking import attack, pictures, tables, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("train", help="Train the full setting.")
    one.add_argument("--model", default="masker-64-full")
    one.add_argument("--threads", type=int, default=1, help="Of torch; one more thread draws.")
    one = parts.add_parser("attack", help="Attack ours and the rivals.")
    one.add_argument("--model", default="masker-64-full")
    one.add_argument("--maskers", nargs="+", choices=list(attack.MAKERS), default=list(attack.MAKERS))
    one.add_argument("--processes", type=int, default=0, help="Side by side; 0: as many as maskers.")
    one.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    one.add_argument("--lean", action="store_true", help="A quarter of the work, for two cores.")
    one = parts.add_parser("tables", help="Print the tables.")
    one.add_argument("--plot", type=Path, help="Where the plot of leak against use goes.")
    one = parts.add_parser("pictures", help="Draw the pictures.")
    one.add_argument("--images", type=Path, default=Path("docs/images"))
    for one in parts.choices.values():
        one.add_argument("--folder", type=Path, required=True, help="Holds the masker and what the attacks found.")
        one.add_argument("--quick", action="store_true", help="Tiny sizes.")
    options = vars(parser.parse_args())
    runs = {"train": train.run, "attack": attack.run, "tables": tables.run, "pictures": pictures.run}
    runs[options.pop("part")](**options)


if __name__ == "__main__":
    main()
