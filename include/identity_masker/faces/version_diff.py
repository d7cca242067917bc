"""What differs between two dataset versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from identity_masker.faces.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 20


class Difference(BaseModel):
    """How many of something there are, and the first of them by name."""

    model_config = ConfigDict(frozen=True)

    count: int
    examples: tuple[str, ...]


class VersionDiff(BaseModel):
    """From version `before` to version `after`.

    Pictures are compared by name; `changed` are those whose pixels, person or split are others. `moved` are people in
    another split. `descriptors` holds the means before and after of what describes the pictures, `settings` what of
    the configuration is another.
    """

    model_config = ConfigDict(frozen=True)

    before: str
    after: str
    same: bool
    images_added: Difference
    images_removed: Difference
    images_changed: Difference
    people_added: Difference
    people_removed: Difference
    people_moved: Difference
    descriptors: dict[str, tuple[float, float]]
    settings: dict[str, tuple[object, object]]


def diff(before: Snapshot, after: Snapshot) -> VersionDiff:
    """Compare two versions, of one dataset or of two."""
    old, new = before.manifest.set_index("name"), after.manifest.set_index("name")
    both = old.index.intersection(new.index)
    columns = ["image_hash", "content_hash", "identity", "split"]
    changed = (old.loc[both, columns].to_numpy() != new.loc[both, columns].to_numpy()).any(axis=1)
    were, are = _split_of(old), _split_of(new)
    stayed = were.index.intersection(are.index)
    moved = stayed[(were[stayed].to_numpy() != are[stayed].to_numpy())]
    return VersionDiff(
        before=before.version,
        after=after.version,
        same=before.id == after.id,
        images_added=_difference(new.index.difference(old.index)),
        images_removed=_difference(old.index.difference(new.index)),
        images_changed=_difference(both[changed]),
        people_added=_difference(are.index.difference(were.index)),
        people_removed=_difference(were.index.difference(are.index)),
        people_moved=_difference(moved),
        descriptors=_means(before.descriptors, after.descriptors),
        settings=_settings(before.record.config, after.record.config),
    )


def _split_of(manifest: pd.DataFrame) -> pd.Series:
    return manifest.groupby("identity")["split"].first()


def _difference(names: pd.Index) -> Difference:
    return Difference(count=len(names), examples=tuple(str(name) for name in sorted(names)[:EXAMPLES]))


def _means(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, tuple[float, float]]:
    shared = [name for name in before.columns if name in after.columns and before[name].dtype.kind == "f"]
    means = {name: (float(before[name].mean()), float(after[name].mean())) for name in shared}
    return {name: pair for name, pair in means.items() if not np.isnan(pair).any() and pair[0] != pair[1]}


def _settings(before: dict[str, object], after: dict[str, object]) -> dict[str, tuple[object, object]]:
    names = sorted((before.keys() | after.keys()) - {"rules", "description"})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
