"""Test one group of columns of a collected window: evidence alone, no verdict."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel

from identity_masker import artifacts
from identity_masker.drift import archive, reference
from identity_masker.drift.column_policy import ColumnPolicy
from identity_masker.drift.compare import collect
from identity_masker.drift.evidence import Evidence, Window
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.summary import TableSummary
from identity_masker.drift.tables import summarise
from identity_masker.drift.traffic_policy import Group
from identity_masker.drift.window import BASELINE, CODES, PICTURES, SERVICE, Collected, load_window
from identity_masker.errors import BadInputError

REFERENCE_SEED, CURRENT_SEED = 1, 2


class GroupResult(BaseModel):
    """Where the evidence of a group is, and how much of the window it saw."""

    window: str
    group: str
    evidence: str
    rows: int
    columns: list[str]


def check_group(folder: str, group: Group, policy: DriftPolicy, threads: int = 1) -> GroupResult:
    """Compare the columns of `group` in the window at `folder` with their reference, and store the evidence there.

    Raises `NotFoundError` when the window was not collected or the version has no reference, `BadInputError` for a
    group that the window has no rows for.
    """
    window = load_window(folder)
    if group not in window.groups:
        raise BadInputError(
            "the window has nothing to test in this group", got=group, allowed=", ".join(window.groups) or "none"
        )
    with TemporaryDirectory(prefix="masker-drift-") as place:
        evidence = _evidence(folder, window, group, policy, Path(place), threads)
    uri = archive.evidence_uri(folder, group)
    artifacts.write_bytes(uri, evidence.model_dump_json(indent=1).encode())
    tested = [column.name for column in evidence.measured]
    return GroupResult(window=folder, group=group, evidence=uri, rows=evidence.current.rows, columns=tested)


def _evidence(folder: str, window: Collected, group: Group, policy: DriftPolicy, work: Path, threads: int) -> Evidence:
    table = {"embeddings": CODES, "service": SERVICE}.get(group, PICTURES)
    if group == "service":
        own = only(group, policy, policy.traffic.groups.get(group, ()))
        before = summarise(_fetched(folder, BASELINE, work), own, seed=REFERENCE_SEED, threads=threads)
        source = Window(source=f"the {policy.traffic.service_days} days before", rows=before.rows)
    else:
        stored = reference.load(archive.reference_uri(window.version), model_version=window.version)
        own = only(group, policy, [*stored.summary.kinds, *policy.traffic.pictured, "request_id"])
        before = stored.under(own)
        version = stored.provenance.model_version
        source = Window(source=stored.provenance.source, rows=before.rows, model_version=version)
    now = summarise(_fetched(folder, table, work), own, seed=CURRENT_SEED, threads=threads)
    current = Window(source=f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC", rows=now.rows)
    return collect(before, _known(now, before), own, reference=source, current=current)


def only(group: Group, policy: DriftPolicy, names: Iterable[str]) -> DriftPolicy:
    """The policy with all columns of `names` that are not of `group` ignored; rows are named by their request."""
    others = [name for name in names if policy.traffic.group_of(name) != group and name != "request_id"]
    columns = {**policy.of_traffic().columns, **{name: ColumnPolicy(kind="ignore") for name in others}}
    return policy.model_copy(update={"columns": columns, "id_column": "request_id"})


def _known(now: TableSummary, before: TableSummary) -> TableSummary:
    """Without the columns that the reference does not know: those came with a newer gateway."""
    ignored = {name: kind if name in before.kinds else "ignored" for name, kind in now.kinds.items()}
    return TableSummary(ignored, now.columns, now.sample, now.rows, now.id_column)


def _fetched(folder: str, name: str, work: Path) -> str:
    target = work / name
    artifacts.get_file(artifacts.join(folder, name), target)
    return str(target)
