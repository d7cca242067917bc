"""Outcomes of a window that few requests have a label for: the mean, its band, and what that rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.drift.label_free import Performance, performance
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.traffic_policy import Estimate
from identity_masker.drift.window import LABELS, PICTURES, read_table
from identity_masker.errors import BadInputError
from identity_masker.statistics.samples import Floats


class Estimated(BaseModel):
    """An outcome of a window; without `performance` the note says what it would take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    performance: Performance | None = None
    note: str = ""


def estimated(folder: str, earlier: Sequence[str], policy: DriftPolicy) -> tuple[Estimated, ...]:
    """The outcomes of the policy in the window at `folder`, calibrated on the labels of the windows `earlier`.

    Outcomes whose predicting column the window does not have are left out.
    """
    pictures = _table(folder, PICTURES)
    if pictures is None or not pictures.num_rows:
        return ()
    return tuple(
        _one(name, rule, folder, earlier, policy)
        for name, rule in policy.traffic.estimates.items()
        if rule.predicted in pictures.column_names
    )


def _one(name: str, rule: Estimate, folder: str, earlier: Sequence[str], policy: DriftPolicy) -> Estimated:
    unlabelled, own = _pairs(folder, rule)
    before = [pairs for each in earlier if (pairs := _pairs(each, rule)[1])[1].size]
    reference = (np.concatenate([p for p, _ in before]), np.concatenate([y for _, y in before])) if before else None
    labels = own if own[1].size else None
    try:
        found = performance(unlabelled, labels=labels, reference=reference, confidence=policy.confidence)
    except BadInputError as error:
        return Estimated(name=name, note=str(error))
    return Estimated(name=name, performance=found)


def _pairs(folder: str, rule: Estimate) -> tuple[Floats, tuple[Floats, Floats]]:
    """Predictions of the requests without a label; predictions and labels of those that have one."""
    nothing = np.empty(0)
    pictures, labels = _table(folder, PICTURES), _table(folder, LABELS)
    if pictures is None or rule.predicted not in pictures.column_names:
        return nothing, (nothing, nothing)
    known = pictures.filter(pc.is_valid(pictures.column(rule.predicted)))
    predicted = _floats(known, rule.predicted)
    if labels is None:
        return predicted, (nothing, nothing)
    values = labels.filter(pc.equal(labels.column("name"), rule.label))
    asked = pc.index_in(known.column("request_id"), values.column("request_id")).combine_chunks()
    rows = pc.fill_null(asked, -1).to_numpy(zero_copy_only=False)
    labelled = rows >= 0
    return predicted[~labelled], (predicted[labelled], _floats(values, "value")[rows[labelled]])


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(pc.cast(table.column(name), pa.float64()).to_numpy(), dtype=np.float64)


def _table(folder: str, name: str) -> pa.Table | None:
    return read_table(folder, name) if artifacts.exists(artifacts.join(folder, name)) else None
