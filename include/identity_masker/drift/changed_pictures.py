"""Masked pictures of traffic that look least like those of the reference, each beside the most alike of those."""

from __future__ import annotations

import base64
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from identity_masker import artifacts
from identity_masker.drift import archive, reference
from identity_masker.drift.event_tables import CODE
from identity_masker.drift.window import EXAMPLES, read_table
from identity_masker.statistics.samples import Floats

NEAREST = 5
MOST_REFERENCE = 2_000


class Pair(NamedTuple):
    """A masked picture of the window and one of the reference, as base64 of JPEG files.

    distance: of the window's picture from the reference, in distances that the reference's own pictures have
    """

    request: str
    distance: float
    now: str
    before: str


def changed_pictures(folder: str, version: str, count: int) -> tuple[Pair, ...]:
    """The `count` kept pictures of the window at `folder` that are farthest from the reference of `version`.

    Distance: the mean to the 5 nearest codes of the reference, over the median of that within the reference.
    """
    kept = artifacts.join(folder, EXAMPLES)
    shelf = artifacts.join(archive.reference_uri(version), archive.EXAMPLES)
    stored = reference.load(archive.reference_uri(version)).summary.sample.first(MOST_REFERENCE)
    if (
        not count
        or stored is None
        or CODE not in stored.column_names
        or not (artifacts.exists(kept) and artifacts.exists(shelf))
    ):
        return ()
    usual = _codes(stored)[1]
    window, shown = read_table(folder, EXAMPLES), _read(shelf)
    (rows, codes), (places, anchors) = _codes(window), _codes(shown)
    if not len(codes) or not len(anchors) or len(usual) <= NEAREST:
        return ()
    scores = _far(codes, usual, NEAREST) / max(float(np.median(_far(usual, usual, NEAREST + 1))), 1e-9)
    order = np.argsort(-scores, kind="stable")[:count]
    nearest = np.argmin(_distances(codes[order], anchors), axis=1)
    return tuple(
        Pair(
            request=str(window.column("request_id")[rows[row]]),
            distance=float(scores[row]),
            now=str(window.column("picture")[rows[row]]),
            before=base64.b64encode(shown.column("picture")[places[other]].as_py()).decode(),
        )
        for row, other in zip(order.tolist(), nearest.tolist(), strict=True)
    )


def _read(uri: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(artifacts.read_bytes(uri)))


def _codes(table: pa.Table) -> tuple[list[int], Floats]:
    """The places of the rows that have a code, and the codes (rows, 32)."""
    found = [(place, code) for place, code in enumerate(table.column(CODE).to_pylist()) if code is not None]
    return [place for place, _ in found], np.array([code for _, code in found], dtype=np.float64)


def _far(points: Floats, others: Floats, nearest: int) -> Floats:
    """Mean distance of each point to the `nearest` of the others."""
    apart = np.partition(_distances(points, others), nearest - 1, axis=1)[:, :nearest]
    return np.asarray(apart.mean(axis=1), dtype=np.float64)


def _distances(points: Floats, others: Floats) -> Floats:
    squares = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2.0 * points @ others.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), dtype=np.float64)
