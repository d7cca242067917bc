"""Report and verdict of a window in MLflow: one run a version, effects as metrics by day (days since the year 1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from identity_masker import artifacts

if TYPE_CHECKING:
    from identity_masker.drift.night_verdict import NightVerdict

EXPERIMENT = "identity-masker-drift"


def to_mlflow(found: NightVerdict, report: bytes, effects: Mapping[str, float], step: int) -> str:
    """Log report, verdict, evidence and the `effects` in floors to the run of the version's drift; the run's id.

    Raises `TemporaryError` when MLflow does not answer.
    """
    from identity_masker.registry import runs

    window = found.window.rstrip("/").rsplit("/", 1)[-1]
    run = runs.open_run(
        f"drift/{found.version}",
        f"drift of {found.semver}",
        {"kind": "drift", "version": found.version},
        experiment=EXPERIMENT,
    )
    with TemporaryDirectory() as folder:
        (Path(folder) / "report.html").write_bytes(report)
        (Path(folder) / "verdict.json").write_text(found.model_dump_json(indent=1), encoding="utf-8")
        (Path(folder) / "evidence.json").write_bytes(artifacts.read_bytes(found.evidence))
        run.log_folder(Path(folder), window)
    run.log_metrics({f"effect.{name}": effect for name, effect in effects.items()}, step=step)
    run.set_tags({"verdict": found.verdict, "window": window, "retrain": str(found.retrain)})
    run.end()
    return run.run_id
