"""Registered models: which is what, how old, and what its evaluation found.

Through MLflow's REST API alone: its client would take more memory than the rest of the exporter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.monitoring.sample import Family, Sample

MODEL = "identity-masker"
ALIASES = ("champion", "challenger", "previous")
INFO = Family("masker_model_alias_info", "The version that each alias names.", ("alias", "version", "semver"))
CREATED = Family(
    "masker_model_registered_timestamp_seconds", "When the version of an alias was registered.", ("alias", "semver")
)
VERSIONS = Family("masker_model_versions", "Registered versions by the verdict of the gate.", ("verdict",))
EVALUATION = Family(
    "masker_model_evaluation",
    "Figures of the evaluation of an alias's version: attack.ATTACKER.PICTURES.GALLERY.FIGURE, utility.GROUP.KIND.",
    ("alias", "semver", "figure"),
)
TRAINING = Family(
    "masker_model_training_seconds", "Time of the training run of an alias's version.", ("alias", "semver")
)
TIMEOUT = 10.0
API = "/api/2.0/mlflow"


class ModelsSource:
    """Reads the registry and the runs of what has an alias."""

    name = "models"
    every = 60.0
    families = (INFO, CREATED, VERSIONS, EVALUATION, TRAINING)

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri.rstrip("/")
        self._http = httpx.Client(timeout=TIMEOUT, trust_env=False)

    def read(self) -> Iterator[Sample]:
        if not self._uri.startswith("http"):
            raise BadInputError(
                "models are read from an MLflow server alone", got=self._uri, fix="set MASKER_MLFLOW_URI to its address"
            )
        aliases = self._aliases()
        versions = self._versions()
        verdicts = [_tags(version).get("verdict", "") for version in versions.values()]
        for verdict in ("accepted", "rejected"):
            yield VERSIONS.sample(verdicts.count(verdict), verdict)
        for alias in ALIASES:
            if (version := versions.get(aliases.get(alias, ""))) is not None:
                yield from self._version(alias, version)

    def _version(self, alias: str, version: dict[str, Any]) -> Iterator[Sample]:
        semver = _tags(version).get("semver", "0.0.0")
        yield INFO.sample(1, alias, version["version"], semver)
        yield CREATED.sample(int(version["creation_timestamp"]) / 1000, alias, semver)
        run = self._get("/runs/get", run_id=version["run_id"])["run"]
        if run["info"].get("end_time"):
            seconds = (int(run["info"]["end_time"]) - int(run["info"]["start_time"])) / 1000
            yield TRAINING.sample(seconds, alias, semver)
        for metric in run["data"].get("metrics", []):
            if metric["key"].startswith(("attack.", "utility.")):
                yield EVALUATION.sample(float(metric["value"]), alias, semver, metric["key"])

    def _aliases(self) -> dict[str, str]:
        """Alias → the registry's number; empty before the first registration."""
        found = self._get("/registered-models/search", filter=f"name = '{MODEL}'").get("registered_models", [])
        return {each["alias"]: str(each["version"]) for model in found for each in model.get("aliases", [])}

    def _versions(self) -> dict[str, dict[str, Any]]:
        """The versions that this project registered, by number: the newest thousand."""
        found = self._get("/model-versions/search", filter=f"name = '{MODEL}'", max_results="1000")
        return {str(each["version"]): each for each in found.get("model_versions", []) if "verdict" in _tags(each)}

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        try:
            answer = self._http.get(f"{self._uri}{API}{path}", params=query)
        except httpx.HTTPError as error:
            raise TemporaryError("MLflow does not answer", got=f"{self._uri}: {error}") from error
        if answer.is_error:
            raise TemporaryError("MLflow refused a call", got=f"{path}: {answer.status_code} {answer.text[:200]}")
        document: dict[str, Any] = answer.json()
        return document


def _tags(version: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in version.get("tags", [])}
