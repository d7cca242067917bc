"""The reference of a registered version: made when it is trained, kept with its MLflow run, copied into the store."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.drift import archive, reference
from identity_masker.drift.archive import DETECTOR, EXAMPLES, STREAM
from identity_masker.drift.dataset_rows import MaskedRows, masked_rows, seen_rows
from identity_masker.drift.event_tables import CODE
from identity_masker.drift.online import StreamDetector
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.reference import Provenance, Reference
from identity_masker.drift.reference_store import RUN_FOLDER, copied
from identity_masker.drift.summary import TableSummary
from identity_masker.drift.tables import summarise_batches
from identity_masker.errors import BadInputError
from identity_masker.faces.snapshot import open_snapshot
from identity_masker.masking import artifact
from identity_masker.registry import models, runs
from identity_masker.serving.pictures import encode
from identity_masker.telemetry import logs

MOST_EXAMPLES = 64
SEED = 1
log = logs.logger(__name__)


class ReferenceResult(BaseModel):
    """Where the reference lies, in MLflow and in the store, and what it is of."""

    version: str
    semver: str
    run_id: str
    dataset: str
    rows: int
    masked: int
    columns: dict[str, str]
    sha256: str
    bytes: int
    reference: str
    stream: list[str]


def make_model_reference(name: str, policy: DriftPolicy) -> ReferenceResult:
    """Make the reference of the version `name` (an alias, a number of the registry or a semantic version).

    Its data are those that the version was trained on; the same again replaces the reference by the same. Raises
    `NotFoundError` for an unknown version and `ConflictError` for a dataset that may not be used.
    """
    version = models.resolve(name)
    snapshot = open_snapshot(version.lineage.dataset)
    masked = masked_rows(snapshot, artifact.load(models.download(version)), policy.traffic.masked)
    summary = summarised(seen_rows(snapshot), masked.table, policy)
    made = Reference(Provenance(source=snapshot.version, model_version=version.version, dataset=snapshot.id), summary)
    run = runs.get_run(version.run_id)
    with TemporaryDirectory(prefix="masker-reference-") as place:
        digest = reference.save(made, place)
        stream = write_extras(masked, policy, Path(place))
        run.log_folder(Path(place), RUN_FOLDER)
        size = copied(Path(place), archive.reference_uri(version.version))
    log.info("drift_reference_made", version=version.version, rows=summary.rows, bytes=size)
    return ReferenceResult(
        version=version.version,
        semver=version.semver,
        run_id=version.run_id,
        dataset=snapshot.version,
        rows=summary.rows,
        masked=masked.table.num_rows,
        columns={column: str(kind) for column, kind in summary.kinds.items()},
        sha256=digest,
        bytes=size,
        reference=run.uri(RUN_FOLDER),
        stream=stream,
    )


def summarised(seen: pa.Table, masked: pa.Table, policy: DriftPolicy) -> TableSummary:
    """One summary: of what describes pictures from both tables, of what masking made of them from `masked` alone."""
    summary = summarise_batches(masked, policy, seed=SEED)
    whole = TableSummary.empty(seen.schema, policy, SEED)
    for batch in seen.to_batches():
        whole.update(batch)
    for name, column in whole.columns.items():
        own = summary.columns.get(name)
        if own is not None and summary.kinds[name] == whole.kinds[name] == "numeric":
            own.merge(column)  # type: ignore[arg-type, union-attr]
    summary.rows += whole.rows
    return summary


def write_extras(masked: MaskedRows, policy: DriftPolicy, folder: Path) -> list[str]:
    """Write the stream detector and example pictures beside a reference; the columns of the detector."""
    _write_examples(masked, folder)
    return _write_detector(masked.table, policy, folder)


def _write_detector(table: pa.Table, policy: DriftPolicy, folder: Path) -> list[str]:
    """A calibrated detector over the measured columns that vary; the columns, none for too few rows."""
    traffic = policy.traffic
    columns = [name for name in traffic.measured if name in table.column_names and _varies(table.column(name))]
    values = [pc.fill_null(pc.cast(table.column(name), pa.float64()), float("nan")).to_numpy() for name in columns]
    try:
        if not columns:
            raise BadInputError("no column varies")
        detector = StreamDetector.calibrated(np.column_stack(values), traffic.run_length)
    except BadInputError as error:
        log.warning("drift_detector_not_made", why=str(error))
        return []
    artifacts.write_bytes(str(folder / DETECTOR), detector.to_bytes())
    artifacts.write_json(str(folder / STREAM), columns)
    return columns


def _varies(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return ends["min"] is not None and ends["min"] != ends["max"]


def _write_examples(rows: MaskedRows, folder: Path) -> None:
    """Some masked pictures with their codes, for the report to show beside masked pictures of traffic."""
    chosen = np.linspace(0, len(rows.masked) - 1, min(MOST_EXAMPLES, len(rows.masked))).astype(np.int64)
    pictures = pa.array([encode(rows.masked[row], "JPEG") for row in chosen], pa.binary())
    codes = rows.table.select([CODE]).take(pa.array(chosen))
    pq.write_table(codes.append_column("picture", pictures), folder / EXAMPLES, compression="zstd")
