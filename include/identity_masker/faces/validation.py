"""Validation of a dataset version: its files, its schema, its rules; the outcome decides whether it may be used."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.faces import expectations, integrity
from identity_masker.faces.findings import Finding, Report
from identity_masker.faces.report_page import page
from identity_masker.faces.rules import Rule, Table
from identity_masker.faces.snapshot import Snapshot
from identity_masker.faces.tables import image_table, ingestion_table, people_table
from identity_masker.faces.versions import VersionStore
from identity_masker.telemetry.logs import logger

if TYPE_CHECKING:
    import pandas as pd

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


def validate(snapshot: Snapshot, rules: dict[str, Rule], versions: VersionStore) -> ValidateResult:
    """Check the snapshot and store the report; from then on the version is validated or failed.

    Raises `RulesBrokenError` when a rule of severity stop is broken.
    """
    started = time.monotonic()
    record = snapshot.record
    docs_uri = versions.uri(record.name, "reports", record.semver)
    with tempfile.TemporaryDirectory() as folder:
        findings = _findings(snapshot, rules, Path(folder))
        _store_site(Path(folder) / expectations.SITE, artifacts.join(docs_uri, "data_docs"))
    report = _report(snapshot, rules, findings, artifacts.join(docs_uri, "index.html"))
    artifacts.write_bytes(report.docs_uri, page(report, record).encode())
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


def _findings(snapshot: Snapshot, rules: dict[str, Rule], folder: Path) -> list[Finding]:
    images = image_table(snapshot.manifest, snapshot.descriptors)
    tables: dict[Table, pd.DataFrame] = {
        "images": images,
        "people": people_table(snapshot.manifest),
        "ingestion": ingestion_table(snapshot.record.counts),
    }
    return [
        integrity.pixels(snapshot),
        integrity.schema(images),
        *expectations.judge(tables, rules, folder, snapshot.version),
    ]


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
