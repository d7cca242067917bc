"""One MLflow run for each training, found again by its key: who repeats a step continues its run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Metric, Param, RunTag

from identity_masker.errors import NotFoundError
from identity_masker.registry.tracking import EXPERIMENT, calls, experiment_id
from identity_masker.settings import settings

RUN_KEY = "masker.run_key"
CURVE_BATCH = 100
PARAM_LENGTH = 500


@dataclass(frozen=True)
class Run:
    """A run of the tracking server and its tags."""

    run_id: str
    tags: Mapping[str, str]

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log nested `params` under dotted names. The same values again change nothing."""
        flat = [Param(name, str(value)[:PARAM_LENGTH]) for name, value in _flat(params)]
        with calls() as mlflow:
            mlflow.log_batch(self.run_id, params=flat)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        with calls() as mlflow:
            mlflow.log_batch(self.run_id, metrics=[Metric(n, float(v), now, step) for n, v in metrics.items()])

    def set_tags(self, tags: Mapping[str, str]) -> Run:
        """Set `tags`; the run with them."""
        with calls() as mlflow:
            mlflow.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        return Run(self.run_id, {**self.tags, **tags})

    def log_folder(self, folder: Path, path: str) -> None:
        with calls() as mlflow:
            mlflow.log_artifacts(self.run_id, str(folder), path)

    def log_document(self, document: Any, path: str) -> None:
        with calls() as mlflow:
            mlflow.log_text(self.run_id, json.dumps(document, indent=2, allow_nan=False), path)

    def log_text(self, text: str, path: str) -> None:
        with calls() as mlflow:
            mlflow.log_text(self.run_id, text, path)

    def read_document(self, path: str) -> Any:
        """The JSON document logged at `path`. Raises `NotFoundError` when there is none."""
        with TemporaryDirectory() as folder:
            return json.loads(self.fetch(path, Path(folder)).read_text(encoding="utf-8"))

    def has(self, path: str) -> bool:
        """Whether something was logged at `path`."""
        with calls() as mlflow:
            return path in {item.path for item in mlflow.list_artifacts(self.run_id, str(Path(path).parent).strip("."))}

    def fetch(self, path: str, folder: Path) -> Path:
        """The artifact at `path`, copied into `folder`."""
        if not self.has(path):
            raise NotFoundError("the run has no such artifact", got=f"{path} of run {self.run_id}")
        with calls() as mlflow:
            return Path(mlflow.download_artifacts(self.run_id, path, str(folder)))

    def remove(self, path: str) -> None:
        """Remove the artifact at `path` for good; nothing when there is none."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if self.has(path):
            with calls() as mlflow:
                place = mlflow.get_run(self.run_id).info.artifact_uri
                get_artifact_repository(place, tracking_uri=settings().tracking_uri).delete_artifacts(path)

    def uri(self, path: str) -> str:
        return f"runs:/{self.run_id}/{path}"

    def end(self, *, failed: bool = False) -> None:
        with calls() as mlflow:
            mlflow.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")


class Curves:
    """Metrics by step, sent in batches so that logging does not slow the training."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: list[Metric] = []

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        self._waiting += [Metric(name, float(value), now, step) for name, value in metrics.items()]
        if len(self._waiting) >= CURVE_BATCH:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            with calls() as mlflow:
                mlflow.log_batch(self._run.run_id, metrics=self._waiting)
            self._waiting = []


def open_run(key: str, name: str, tags: Mapping[str, str], experiment: str = EXPERIMENT) -> Run:
    """The run of `key`: the one that is there already, running again, or a new one called `name`.

    `experiment`: the name of MLflow's experiment that holds the run.
    """
    where = experiment_id(experiment)
    with calls() as mlflow:
        found = mlflow.search_runs([where], f"tags.`{RUN_KEY}` = '{_quoted(key)}'", max_results=1)
        if found:
            mlflow.update_run(found[0].info.run_id, status="RUNNING")
            return Run(found[0].info.run_id, dict(found[0].data.tags))
        made = mlflow.create_run(where, run_name=name, tags={RUN_KEY: key, **tags})
    return Run(made.info.run_id, dict(made.data.tags))


def get_run(run_id: str) -> Run:
    """The run `run_id`. Raises `NotFoundError` when MLflow has none."""
    with calls() as mlflow:
        found = mlflow.get_run(run_id)
    return Run(found.info.run_id, dict(found.data.tags))


def find_run(tags: Mapping[str, str]) -> Run | None:
    """The newest run that has all of `tags`."""
    wanted = " and ".join(f"tags.`{name}` = '{_quoted(value)}'" for name, value in tags.items())
    with calls() as mlflow:
        found = mlflow.search_runs([experiment_id()], wanted, max_results=1, order_by=["start_time DESC"])
    return Run(found[0].info.run_id, dict(found[0].data.tags)) if found else None


def _quoted(value: str) -> str:
    return value.replace("'", "")


def _flat(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in params.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows
