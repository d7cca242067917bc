"""Pictures planted under wrong names among drawn faces, and how many of them have the lowest margins."""

from __future__ import annotations

import numpy as np
from benchmarks.ingest.photos import show

from identity_masker.faces import render
from identity_masker.faces.identity_margins import identity_margins
from identity_masker.faces.looks import looks

SHOTS = 12
_AT_ONCE = 120
_BOUND = -3
"""Of the rule `looks_like_its_person` in include/config/datasets/folder.yaml."""


def run(images: int, planted: int, repeats: int) -> None:
    people = np.repeat(np.arange(images // SHOTS), SHOTS)
    vectors = np.concatenate([_looks(people[at : at + _AT_ONCE], at) for at in range(0, len(people), _AT_ONCE)])
    rows = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        wrong = np.zeros(len(people), dtype=bool)
        wrong[rng.choice(len(people), planted, replace=False)] = True
        said = people.copy()
        said[wrong] = (people[wrong] + 1 + rng.integers(0, people.max(), planted)) % (people.max() + 1)
        margins = identity_margins(vectors, said)
        lowest = wrong[np.argsort(margins)[:planted]].sum()
        below = margins < _BOUND
        rows.append((seed, len(people), planted, lowest, (below & wrong).sum(), (below & ~wrong).sum()))
    show(("seed", "pictures", "planted", "among as many lowest", f"below {_BOUND}", "others below it"), rows)


def _looks(people: np.ndarray, start: int) -> np.ndarray:
    shots = np.arange(start, start + len(people)) % SHOTS
    return looks(render.draw(1, people, shots, 64).images)
