"""How the pictures of a version differ from those of the version before: one row a descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from identity_masker.statistics import two_sample

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
LARGEST_SAMPLE = 100_000
_FEWEST = 20


def drift_table(now: pd.DataFrame, before: pd.DataFrame | None) -> pd.DataFrame:
    """Kolmogorov-Smirnov distance `ks`, stability index `psi` and means of each number that both versions have.

    Empty without a version before. Of a large version 100,000 pictures are taken at even distances.
    """
    import pandas as pd

    columns = ["column", "ks", "psi", "mean_before", "mean_now"]
    if before is None:
        return pd.DataFrame(columns=columns)
    rows = []
    for name in now.columns:
        if name in before.columns and now[name].dtype.kind == "f":
            old, new = _sample(before[name]), _sample(now[name])
            if min(len(old), len(new)) >= _FEWEST:
                rows.append((name, *_distances(old, new), float(old.mean()), float(new.mean())))
    return pd.DataFrame(rows, columns=columns)


def _sample(values: pd.Series) -> np.ndarray:
    present = values.dropna().to_numpy(dtype=np.float64)
    return present[:: max(1, -(-len(present) // LARGEST_SAMPLE))]


def _distances(old: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    if old.min() == old.max() == new.min() == new.max():
        return 0.0, 0.0
    return two_sample.ks(old, new).statistic, two_sample.psi(old, new, BINS).statistic
