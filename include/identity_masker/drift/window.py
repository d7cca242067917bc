"""Collect a window of traffic: tables for the tests, and a document that says what is in them and what is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from identity_masker import artifacts
from identity_masker.drift import archive
from identity_masker.drift.event_tables import CODE, OK, EventTables, event_tables, literal, quoted, with_vectors
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.traffic_policy import GROUPS, Group
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.telemetry import event_store, logs

PICTURES, CODES, EXAMPLES = "pictures.parquet", "codes.parquet", "examples.parquet"
SERVICE, BASELINE, LABELS = "service.parquet", "baseline.parquet", "labels.parquet"
LABELS_AFTER = timedelta(days=2)
"""How long after the window a label of one of its requests may come."""

MOST_EXAMPLES = 1_000
DAY = timedelta(days=1)
log = logs.logger(__name__)


class Collected(BaseModel):
    """What a window holds. `missing_hours`: hours whose events have not all arrived; the tables lack those events.

    `requests`: all of the version; `pictures`: those that were masked; `codes`: those with a code, at most as many as
    the policy keeps. `tables`: names of the files beside this document. `version` is empty while none is deployed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    version: str
    semver: str
    start: datetime
    end: datetime
    hours: int
    missing_hours: tuple[datetime, ...] = ()
    requests: int = 0
    pictures: int = 0
    codes: int = 0
    examples: int = 0
    labels: int = 0
    baseline: int = 0
    tables: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups that the tables can be tested for."""
        wanted: dict[Group, bool] = {
            "inputs": self.pictures > 0,
            "outputs": self.pictures > 0,
            "embeddings": self.codes > 0,
            "service": self.requests > 0 and self.baseline > 0,
        }
        return tuple(group for group, there in wanted.items() if there)

    @property
    def is_night(self) -> bool:
        """Whether the window is one whole day (UTC): what is counted over nights."""
        return self.end - self.start == DAY and self.start.time() == datetime.min.time()


def collect_window(
    store: str, version: str, semver: str, start: datetime, end: datetime, policy: DriftPolicy, threads: int = 1
) -> tuple[str, Collected]:
    """Write the tables of the version's traffic in [start, end) (UTC) into the store; their folder and what they hold.

    Raises `BadInputError` for events that cannot be read and `TemporaryError` when the store does not answer.
    """
    folder = archive.window_uri(version or archive.NOBODY, start, end)
    missing = tuple(event_store.missing_hours(store, "requests", start, end))
    hours = sum(1 for _ in event_store.hours(start, end))
    found = Collected(version=version, semver=semver, start=start, end=end, hours=hours, missing_hours=missing)
    for group in GROUPS:  # of an earlier collection of this window
        artifacts.remove(archive.evidence_uri(folder, group))
    if version:
        with TemporaryDirectory(prefix="masker-drift-") as place:
            with event_tables(store, Path(place), threads) as tables:
                counts = _Window(tables, Path(place), version, policy).write(start, end)
            written = sorted(path.name for path in Path(place).glob("*.parquet"))
            for name in written:
                artifacts.put_file(artifacts.join(folder, name), Path(place) / name)
        found = found.model_copy(update={**counts, "tables": tuple(written)})
    artifacts.write_bytes(artifacts.join(folder, archive.COLLECTED), found.model_dump_json(indent=1).encode())
    log.info("drift_window_collected", version=version, requests=found.requests, missing_hours=len(missing))
    return folder, found


def load_window(folder: str) -> Collected:
    """What `collect_window` wrote under `folder`. Raises `NotFoundError`, or `BadInputError` for another document."""
    uri = artifacts.join(folder, archive.COLLECTED)
    if not artifacts.exists(uri):
        raise NotFoundError("there is no collected window", got=folder, fix="run `masker drift collect` first")
    try:
        return Collected.model_validate_json(artifacts.read_bytes(uri))
    except ValidationError as error:
        raise BadInputError("this is no collected window", got=f"{uri}: {error.errors()[0]['msg']}") from error


class _Window:
    """Writes one version's tables of a window into a folder."""

    def __init__(self, tables: EventTables, folder: Path, version: str, policy: DriftPolicy) -> None:
        self._tables = tables
        self._folder = folder
        self._own = f"version = {literal(version)}"
        self._policy = policy

    def write(self, start: datetime, end: datetime) -> dict[str, int]:
        known = self._tables.view("requests", "requests", start, end)
        counts = dict[str, int]()
        if known:
            counts |= self._pictures(known)
            counts["examples"] = self._examples(known, start, end)
            counts["labels"] = self._labels(start, end)
            counts["requests"] = self._service("requests", known, SERVICE)
        days = self._policy.traffic.service_days
        if before := self._tables.view("before", "requests", start - days * DAY, start):
            counts["baseline"] = self._service("before", before, BASELINE)
        return counts

    def _pictures(self, known: tuple[str, ...]) -> dict[str, int]:
        """The columns that are there of those that are measured, and the codes as vectors."""
        traffic = self._policy.traffic
        named = [name for name in traffic.pictured if name in known]
        masked = f"FROM requests WHERE {self._own} AND status = {OK}"
        columns = quoted(["request_id", *named])
        counts = {"pictures": self._tables.write(f"SELECT {columns} {masked}", self._folder / PICTURES)}
        if CODE in known and CODE in traffic.groups.get("embeddings", ()):
            # A draw that is the same each time, and independent of all that is measured.
            some = f"SELECT request_id, {CODE} {masked} ORDER BY hash(request_id) LIMIT {self._policy.kept_rows}"
            table = with_vectors(self._tables.table(some))
            counts["codes"] = table.num_rows - table.column(CODE).null_count
            pq.write_table(table, self._folder / CODES, compression="zstd")
        return counts

    def _examples(self, known: tuple[str, ...], start: datetime, end: datetime) -> int:
        """The kept masked pictures of requests with a code."""
        if CODE not in known or not self._tables.view("examples", "examples", start, end):
            return 0
        joined = f"examples JOIN requests USING (request_id) WHERE requests.{self._own} AND {CODE} <> ''"
        once = f"SELECT DISTINCT ON (request_id) request_id, {CODE}, picture FROM {joined} ORDER BY request_id"  # noqa: S608
        some = f"SELECT * FROM ({once}) ORDER BY hash(request_id) LIMIT {MOST_EXAMPLES}"  # noqa: S608
        table = with_vectors(self._tables.table(some))
        pq.write_table(table, self._folder / EXAMPLES, compression="zstd")
        rows: int = table.num_rows
        return rows

    def _labels(self, start: datetime, end: datetime) -> int:
        """Labels of the version's requests, each once a name."""
        names = sorted({literal(rule.label) for rule in self._policy.traffic.estimates.values()})
        if not names or not self._tables.view("labelled", "outcomes", start, end + LABELS_AFTER):
            return 0
        named = f"SELECT split_part(event_id, '/', 1) AS request_id, name, value FROM labelled WHERE name IN ({', '.join(names)})"  # noqa: S608,E501
        joined = f"({named}) JOIN requests USING (request_id) WHERE {self._own} AND status = {OK}"
        return self._tables.write(
            f"SELECT request_id, name, avg(value) AS value FROM {joined} GROUP BY ALL",  # noqa: S608
            self._folder / LABELS,
        )

    def _service(self, view: str, known: tuple[str, ...], name: str) -> int:
        """How all requests of the version were answered, in the columns that are there."""
        wanted = [column for column in self._policy.traffic.groups.get("service", ()) if column in known]
        columns = ", ".join(_named(column) for column in wanted) or "NULL AS nothing"
        return self._tables.write(f"SELECT {columns} FROM {view} WHERE {self._own}", self._folder / name)  # noqa: S608


def _named(column: str) -> str:
    """A column of SQL; the status is a name, not a number."""
    return "status::VARCHAR AS status" if column == "status" else quoted([column])


def read_table(folder: str, name: str) -> pa.Table:
    """A small table of a window in memory."""
    return pq.read_table(pa.BufferReader(artifacts.read_bytes(artifacts.join(folder, name))))
