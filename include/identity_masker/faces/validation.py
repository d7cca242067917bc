"""Validation of a dataset version: its files, its schema, its rules; the outcome decides whether it may be used."""

from __future__ import annotations

import base64
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.faces import expectations, integrity
from identity_masker.faces.descriptor_drift import drift_table
from identity_masker.faces.findings import Finding, Report
from identity_masker.faces.identity_margins import identity_margins
from identity_masker.faces.looks import looks
from identity_masker.faces.report_page import page
from identity_masker.faces.rules import Rule, Table
from identity_masker.faces.schema import DESCRIPTOR_TABLE, MANIFEST
from identity_masker.faces.snapshot import Snapshot
from identity_masker.faces.tables import give_back, image_table, ingestion_table, likeness_table, people_table
from identity_masker.faces.versions import VersionStore
from identity_masker.telemetry.logs import logger

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 512
_THUMBNAIL = 96
log = logger(__name__)


class ValidateResult(BaseModel):
    """The outcome. `failed_rules` stop the version, `warnings` do not; the report at `report_uri` tells more."""

    model_config = ConfigDict(frozen=True)

    version: str
    ok: bool
    failed_rules: tuple[str, ...]
    warnings: tuple[str, ...]
    rules: int
    report_uri: str
    docs_uri: str
    seconds: float


class RulesBrokenError(BadInputError):
    """The data broke a rule of severity stop; `result` is the outcome."""

    def __init__(self, result: ValidateResult, broken: list[Finding]) -> None:
        self.result = result
        super().__init__(
            f"{result.version} may not be used: it breaks {len(broken)} of {result.rules} rules",
            got=" | ".join(finding.text() for finding in broken),
            fix=f"correct the source and ingest again; the report is {result.docs_uri}",
        )


@dataclass(frozen=True)
class Aids:
    """What a validation compares with, beside the rules.

    before     the last valid version, None for none
    consent    the table of who agreed, None for none
    recognise  vectors (N, D) of pictures (N, S, S, 3) by which a person is told from others, from a network that was
               trained for it; None for how pictures look from afar, which sees a mix-up less often
    """

    before: Snapshot | None = None
    consent: str | None = None
    recognise: Callable[[NDArray[np.uint8]], NDArray[np.floating]] | None = None


NO_AIDS = Aids()


def validate(
    snapshot: Snapshot, rules: dict[str, Rule], versions: VersionStore, aids: Aids = NO_AIDS
) -> ValidateResult:
    """Check the snapshot and store the report; from then on the version is validated or failed.

    Raises `RulesBrokenError` when a rule of severity stop is broken.
    """
    started = time.monotonic()
    record = snapshot.record
    docs_uri = versions.uri(record.name, "reports", record.semver)
    with tempfile.TemporaryDirectory() as folder:
        findings = _findings(snapshot, rules, Path(folder), aids)
        _store_site(Path(folder) / expectations.SITE, artifacts.join(docs_uri, "data_docs"))
    report = _report(snapshot, rules, findings, artifacts.join(docs_uri, "index.html"))
    artifacts.write_bytes(report.docs_uri, page(report, record, _pictures(snapshot, findings)).encode())
    versions.set_validation(record.name, record.semver, report.model_dump(mode="json"))
    result = ValidateResult(
        version=record.version,
        ok=report.ok,
        failed_rules=report.failed_rules,
        warnings=report.warnings,
        rules=len(findings),
        report_uri=versions.uri(record.name, "validations", f"{record.semver}.json"),
        docs_uri=report.docs_uri,
        seconds=round(time.monotonic() - started, 3),
    )
    log.info("validated", **result.model_dump(include={"version", "ok", "failed_rules", "warnings", "seconds"}))
    if not report.ok:
        raise RulesBrokenError(result, report.broken())
    return result


def _findings(snapshot: Snapshot, rules: dict[str, Rule], folder: Path, aids: Aids) -> list[Finding]:
    images = image_table(snapshot.table(MANIFEST), snapshot.table(DESCRIPTOR_TABLE))
    now = datetime.now(UTC)
    integrity_of = [integrity.pixels(snapshot), integrity.schema(images)]
    if not all(finding.ok for finding in integrity_of):
        return integrity_of  # the other rules would be asked of tables that are not what they say
    tables: dict[Table, pd.DataFrame] = {
        "images": likeness_table(images, snapshot.embeddings, _margins(snapshot, images, aids)),
        "people": people_table(images, aids.consent, now.date()),
        "ingestion": ingestion_table(snapshot.record, now),
        "drift": drift_table(snapshot.descriptors, aids.before.descriptors if aids.before else None),
    }
    del images
    tables = expectations.needed(tables, rules)
    give_back()
    return [*integrity_of, *expectations.judge(tables, rules, folder, snapshot.version)]


def _margins(snapshot: Snapshot, images: pd.DataFrame, aids: Aids) -> NDArray[np.float32]:
    people = images["identity"].astype("category").cat.codes.to_numpy(dtype=np.int64)
    recognise, names = aids.recognise or looks, images["name"].tolist()
    vectors = [
        # Of a million pictures the vectors are a gigabyte in half precision, which is enough for them.
        recognise(snapshot.images(names[at : at + _BATCH])).astype(np.float16)
        for at in range(0, len(names), _BATCH)
    ]
    return identity_margins(np.concatenate(vectors), people)


def _pictures(snapshot: Snapshot, findings: list[Finding]) -> dict[str, str]:
    """Small pictures of all examples, as addresses that a page can hold."""
    names = sorted({name for finding in findings if finding.table == "images" for name in finding.examples})
    known = sorted(set(names) & set(snapshot.manifest["name"]))
    if not known or not findings[0].ok:
        return {}
    return {name: _address(pixels) for name, pixels in zip(known, snapshot.images(known), strict=True)}


def _address(pixels: NDArray[np.uint8]) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _report(snapshot: Snapshot, rules: dict[str, Rule], findings: list[Finding], docs_uri: str) -> Report:
    broken = {
        severity: tuple(f.rule for f in findings if not f.ok and f.severity == severity)
        for severity in ("stop", "warn")
    }
    return Report(
        version=snapshot.version,
        snapshot=snapshot.id,
        ok=not broken["stop"],
        failed_rules=broken["stop"],
        warnings=broken["warn"],
        findings=tuple(findings),
        rules=rules,
        docs_uri=docs_uri,
        validated_at=datetime.now(UTC),
    )


def _store_site(site: Path, uri: str) -> None:
    for path in sorted(site.rglob("*")):
        if path.is_file():
            artifacts.write_bytes(artifacts.join(uri, path.relative_to(site).as_posix()), path.read_bytes())
