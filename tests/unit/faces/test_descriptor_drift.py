from __future__ import annotations

import numpy as np
import pandas as pd

from identity_masker.faces.descriptor_drift import drift_table


def pictures(seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {"brightness": rng.normal(0.5 + shift, 0.1, 4000), "contrast": rng.normal(0.2, 0.05, 4000)}
    return pd.DataFrame(values).astype("float32").assign(name="x", yaw=np.float32("nan"), quality=np.float32(3))


def test_only_the_number_that_moved_has_drifted() -> None:
    rows = drift_table(pictures(1, shift=0.1), pictures(2)).set_index("column")
    assert rows.loc["brightness", "psi"] > 0.25 > rows.loc["contrast", "psi"]
    assert rows.loc["brightness", "ks"] > 0.3
    assert rows.loc["brightness", "mean_now"] - rows.loc["brightness", "mean_before"] > 0.09


def test_what_nobody_knows_is_left_out_and_what_never_changes_has_not_drifted() -> None:
    rows = drift_table(pictures(1), pictures(2)).set_index("column")
    assert "yaw" not in rows.index
    assert rows.loc["quality", ["ks", "psi"]].tolist() == [0.0, 0.0]


def test_without_a_version_before_there_is_nothing_to_compare() -> None:
    assert drift_table(pictures(1), None).empty
