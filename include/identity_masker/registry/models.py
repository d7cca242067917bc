"""The registered maskers: semantic versions, aliases, and files that are what they were when they were registered."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from mlflow.exceptions import MlflowException

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.registry.flavor import MASKER_FOLDER
from identity_masker.registry.semver import Lineage, Semver, following
from identity_masker.registry.tracking import calls
from identity_masker.settings import settings

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MODEL = "identity-masker"
ALIASES = ("champion", "challenger", "previous")
Verdict = Literal["accepted", "rejected"]
SEMVER_TAG = "semver"
VERDICT_TAG = "verdict"
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class ModelVersion:
    """A registered version.

    version  the registry's number; sha256  over the masker's files; tags  all that was noted at registration
    """

    version: str
    semver: str
    run_id: str
    source: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def sha256(self) -> str:
        return self.tags["artifact_sha256"]

    @property
    def verdict(self) -> str:
        return self.tags[VERDICT_TAG]

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.tags["architecture"], self.tags["dataset"], self.tags.get("interface", ""))


def register(run_id: str, source: str, lineage: Lineage, verdict: Verdict, tags: Mapping[str, str]) -> ModelVersion:
    """Register the model at `source` of run `run_id`; a run that is registered already keeps its version.

    An accepted version becomes `challenger`. A rejected one is kept for inspection and never served.
    """
    known = of_run(run_id)
    if known is None:
        semver = following([(Semver.parse(v.semver), v.lineage) for v in versions()], lineage)
        noted = {
            **tags, SEMVER_TAG: str(semver), VERDICT_TAG: verdict,
            "architecture": lineage.architecture, "dataset": lineage.dataset, "interface": lineage.interface,
        }  # fmt: skip
        with calls() as mlflow:
            _make_model()
            number = mlflow.create_model_version(MODEL, source, run_id, tags=noted, await_creation_for=0).version
    else:
        number = known.version
    current = get(number)  # what a search finds comes without its aliases
    if current.verdict == "accepted" and "champion" not in current.aliases:
        set_alias("challenger", number)
    return get(number)


def _make_model() -> None:
    with calls() as mlflow:
        try:
            mlflow.create_registered_model(MODEL, description="Maskers of the PlayaTews Identity Masker")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def versions() -> list[ModelVersion]:
    """All versions that this project registered, newest first."""
    with calls() as mlflow:
        found = mlflow.search_model_versions(f"name = '{MODEL}'", max_results=1000)
    ours = (_version(row) for row in found if VERDICT_TAG in row.tags)
    return sorted(ours, key=lambda v: int(v.version), reverse=True)


def of_run(run_id: str) -> ModelVersion | None:
    """The version that was registered from run `run_id`."""
    return next((version for version in versions() if version.run_id == run_id), None)


def get(number: str) -> ModelVersion:
    with calls() as mlflow:
        return _version(mlflow.get_model_version(MODEL, number))


def resolve(reference: str) -> ModelVersion:
    """The version that `reference` means: an alias, a semantic version or the registry's number.

    Raises `NotFoundError` that says what there is.
    """
    if reference in ALIASES:
        found = by_alias(reference)
    elif NUMBER.fullmatch(reference):
        found = next((v for v in versions() if v.version == reference), None)
    else:
        found = next((v for v in versions() if v.semver == reference), None)
    if found is None:
        known = ", ".join(f"{v.semver} (number {v.version})" for v in versions()[:10]) or "nothing is registered"
        raise NotFoundError(
            "there is no such model version",
            got=reference,
            allowed=f"one of {', '.join(ALIASES)} where set, or: {known}",
            fix="train one: run the DAG train_masker, or `masker train`",
        )
    return found


def by_alias(alias: str) -> ModelVersion | None:
    """The version that has `alias`."""
    with calls() as mlflow:
        # The versions that a search gives come without their aliases; the model has them all.
        found = mlflow.search_registered_models(f"name = '{MODEL}'")
    number = found[0].aliases.get(alias) if found else None
    return None if number is None else get(str(number))


def aliases() -> dict[str, list[str]]:
    """The aliases of each version that has any, by the registry's number."""
    with calls() as mlflow:
        found = mlflow.search_registered_models(f"name = '{MODEL}'")
    by_version: dict[str, list[str]] = {}
    for alias, number in sorted(found[0].aliases.items()) if found else ():
        by_version.setdefault(str(number), []).append(alias)
    return by_version


def check_accepted(version: ModelVersion) -> None:
    """Raises `BadInputError` for a version that the gate rejected."""
    if version.verdict != "accepted":
        raise BadInputError(
            "the gate rejected this version, so it is not served",
            got=f"{version.semver} (number {version.version})",
            fix=f"choose an accepted version; `masker models show {version.semver}` tells the reasons",
        )


def set_champion(version: str, previous: str | None) -> None:
    """Point `champion` at `version` and `previous` at the one before it. The same again changes nothing."""
    set_alias("champion", version)
    if previous is not None:
        set_alias("previous", previous)
    withdraw(version)


def withdraw(version: str) -> None:
    """Take the alias `challenger` off `version`, if it has it."""
    challenger = by_alias("challenger")
    if challenger is not None and challenger.version == version:
        with calls() as mlflow:
            mlflow.delete_registered_model_alias(MODEL, "challenger")


def note(version: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version; those that it has already get the new value."""
    with calls() as mlflow:
        for name, value in tags.items():
            mlflow.set_model_version_tag(MODEL, version, name, value)


def describe(version: str, text: str) -> None:
    """Set the description that MLflow shows of a version, in Markdown."""
    with calls() as mlflow:
        mlflow.update_model_version(MODEL, version, text)


def set_alias(alias: str, version: str) -> None:
    """Point `alias` at `version`, away from any other."""
    with calls() as mlflow:
        mlflow.set_registered_model_alias(MODEL, alias, version)


def download(version: ModelVersion) -> Path:
    """The folder with the masker's files, as `masking.artifact.load` takes it.

    Kept under MASKER_HOME by its hash and compared with it each time. Raises `BadInputError` when the files in
    the registry are not the ones that were registered.
    """
    target = settings().home / "models" / version.sha256
    if target.is_dir() and artifacts.sha256_folder(target) == version.sha256:
        return target
    with TemporaryDirectory(dir=_made(target.parent)) as folder:
        with calls() as mlflow:
            fetched = Path(mlflow.download_artifacts(version.run_id, _path_in_run(version), folder))
        found = artifacts.sha256_folder(fetched)
        if found != version.sha256:
            raise BadInputError(
                "the registry's files are not the ones that were registered",
                got=f"sha256 {found[:12]}… for version {version.semver}",
                allowed=f"{version.sha256[:12]}…",
                fix="deploy another version, and find out who changed the artifact store",
            )
        shutil.rmtree(target, ignore_errors=True)
        fetched.replace(target)
    return target


def signature(version: ModelVersion) -> ModelSignature | None:
    """What the version takes and gives, as it was registered; None for one without."""
    from mlflow.models import get_model_info

    with calls():
        return get_model_info(version.source).signature


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _path_in_run(version: ModelVersion) -> str:
    return f"{version.source.removeprefix(f'runs:/{version.run_id}/')}/{MASKER_FOLDER}"


def _version(row: Any) -> ModelVersion:
    return ModelVersion(
        version=str(row.version),
        semver=row.tags.get(SEMVER_TAG, "0.0.0"),
        run_id=row.run_id,
        source=row.source,
        aliases=tuple(row.aliases),
        tags=dict(row.tags),
    )
