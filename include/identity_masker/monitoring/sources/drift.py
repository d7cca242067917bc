"""Drift: the verdict on the newest window of each model version, and the effect by column.

The verdict documents are those of the nightly check, `STORE/drift/VERSION/windows/START--END/verdict.json`. Fields that
a document lacks are left out: a metric less is better than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from identity_masker import artifacts
from identity_masker.monitoring.sample import Family, Sample, one_of

# Those of identity_masker.drift.verdict, which would bring all of SciPy into this process.
VERDICTS = ("drift", "no_drift", "not_enough_data", "schema_changed")
MOST_VERSIONS = 10
STAMP = "%Y%m%dT%H%M%SZ"
VERDICT = Family("masker_drift_verdict", "1 for the verdict on the newest window.", ("version", "verdict"))
WINDOW_END = Family("masker_drift_window_end_timestamp_seconds", "End of the newest window judged.", ("version",))
WINDOWS = Family("masker_drift_windows", "Windows judged so far.", ("version",))
COLUMN = Family("masker_drift_column_drift", "Whether a column has drift in the newest window.", ("version", "column"))
SCORE = Family(
    "masker_drift_column_score",
    "How a column differs in the newest window: effect, floor, psi, ks, wasserstein, adjusted_p_value.",
    ("version", "column", "score"),
)
SCORES = ("effect", "floor", "psi", "ks", "wasserstein", "adjusted_p_value")
REQUESTS = Family("masker_drift_requests", "Requests in the newest window.", ("version",))
RETRAIN = Family("masker_drift_retrain", "Whether the newest window asked for a training.", ("version",))
FAULTS = Family("masker_drift_faults", "Columns of the newest window with a fault of the data.", ("version",))
MISSING = Family("masker_drift_missing_hours", "Hours that the newest window lacks.", ("version",))
ESTIMATE = Family(
    "masker_drift_estimate",
    "Mean of an outcome in the newest window, few of which have a label, with its band.",
    ("version", "outcome", "bound"),
)
COUNTED = {"requests": REQUESTS, "retrain": RETRAIN, "faults": FAULTS, "missing_hours": MISSING}


class DriftSource:
    """Reads the newest verdict of each version in the store."""

    name = "drift"
    every = 60.0
    families = (VERDICT, WINDOW_END, WINDOWS, COLUMN, SCORE, *COUNTED.values(), ESTIMATE)

    def __init__(self, store: str) -> None:
        self._root = artifacts.join(store, "drift")

    def read(self) -> Iterator[Sample]:
        for version in sorted(artifacts.names(self._root), key=_newest_first)[:MOST_VERSIONS]:
            yield from self._version(version)

    def _version(self, version: str) -> Iterator[Sample]:
        folder = artifacts.join(self._root, version, "windows")
        judged = [name for name in artifacts.names(folder) if _end(name) is not None]
        for window in sorted(judged, key=lambda name: (_end(name), name), reverse=True):
            uri = artifacts.join(folder, window, "verdict.json")
            if artifacts.exists(uri):
                yield WINDOWS.sample(len(judged), version)
                yield WINDOW_END.sample(_end(window) or 0.0, version)
                yield from _document(version, artifacts.read_json(uri))
                return


def _document(version: str, document: dict[str, Any]) -> Iterator[Sample]:
    yield from one_of(VERDICT, VERDICTS, document.get("verdict"), version)
    for column in _columns(document):
        yield COLUMN.sample(bool(column.get("drift")), version, column["name"])
        for score in SCORES:
            value = column.get(score)
            if isinstance(value, int | float):
                yield SCORE.sample(value, version, column["name"], score)
    for field, family in COUNTED.items():
        if field in document:
            value = document[field]
            yield family.sample(len(value) if isinstance(value, list) else value, version)
    for estimate in document.get("estimates") or ():
        for bound in ("mean", "low", "high") if estimate.get("performance") else ():
            yield ESTIMATE.sample(estimate["performance"][bound], version, estimate["name"], bound)


def _columns(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The columns of a document, also those of its groups."""
    for column in document.get("columns") or ():
        if isinstance(column, dict) and "name" in column:
            yield column
    groups = document.get("groups") or ()
    for group in groups.values() if isinstance(groups, dict) else groups:
        if isinstance(group, dict):
            yield from _columns(group)


def _end(window: str) -> float | None:
    """When a window ends, by its name; None for the name of something else."""
    try:
        return datetime.strptime(window.partition("--")[2], STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _newest_first(version: str) -> tuple[int, str]:
    return (-int(version), version) if version.isdigit() else (0, version)
