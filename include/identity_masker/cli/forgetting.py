"""Forgetting a person everywhere: datasets, features, and a list of the models that saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from identity_masker.errors import MaskerError, NotFoundError
from identity_masker.faces.data_repository import Places

if TYPE_CHECKING:
    from identity_masker.registry.models import ModelVersion


class ForgetResult(BaseModel):
    """What was done, or with `done` false what would be done.

    `versions` and `models` were made with pictures of the person; `models` is None when MLflow did not answer.
    `new_versions` are pending until they are validated; `purged_objects` counts what went from the store, and
    `drift_references` are the versions of models whose reference for the nightly check went.
    """

    model_config = ConfigDict(frozen=True)

    done: bool
    images: int
    versions: tuple[str, ...]
    models: tuple[str, ...] | None
    new_versions: tuple[str, ...]
    purged_objects: int
    drift_references: tuple[str, ...]
    next: str


def forget_person(identity: str, name: str | None, places: Places, *, yes: bool) -> ForgetResult:
    """As `masker data forget` says. Raises `NotFoundError` when no living version holds the person."""
    from identity_masker.faces import forget
    from identity_masker.faces.versions import VersionStore

    affected = forget.versions_with(identity, name, places)
    if not affected:
        raise NotFoundError(
            "no version of a dataset holds this person",
            got=identity,
            allowed="an identity as in the manifest of a version",
            fix="`masker data log` lists the versions; persons are named by their folders",
        )
    named = tuple(each.version for each in affected)
    models = _models(named)
    new, purged, references = [], 0, tuple[str, ...]()
    if yes:
        store = VersionStore(places.store)
        records = [store.record(version) for version in named]
        forget.refuse_from_now_on(identity, {record.name for record in records}, places)
        for dataset in sorted({record.name for record in records}):
            newest = store.living(dataset)[-1]
            made = forget.make_without(identity, newest, places) if newest.version in named else None
            new += [made.version] if made else []
        for record in records:
            purged += forget.purge(record, identity, places)
            _drop_features(record.version)
        references = _drop_references(named, models)
    return ForgetResult(
        done=yes,
        images=max(each.images for each in affected),
        versions=named,
        models=None if models is None else tuple(_told(each) for each in models),
        new_versions=tuple(new),
        purged_objects=purged,
        drift_references=references,
        next=_advice(models, yes=yes),
    )


def _models(datasets: tuple[str, ...]) -> tuple[ModelVersion, ...] | None:
    from identity_masker.registry import models

    try:
        return tuple(each for each in models.versions() if each.lineage.dataset in datasets)
    except MaskerError:
        return None


def _told(model: ModelVersion) -> str:
    return f"{model.semver} (trained on {model.lineage.dataset})"


def _drop_references(datasets: tuple[str, ...], models: tuple[ModelVersion, ...] | None) -> tuple[str, ...]:
    from identity_masker.drift import reference_store

    # The copies first: what is not in the store is fetched from there.
    reference_store.purge_copies([each.run_id for each in models or ()])
    return reference_store.purge(datasets)


def _drop_features(version: str) -> None:
    from identity_masker.cli.features import feature_places
    from identity_masker.features.image_quality import drop_version

    drop_version(version, feature_places())


def _advice(models: tuple[ModelVersion, ...] | None, *, yes: bool) -> str:
    if not yes:
        return "add --yes to do it; it cannot be undone"
    if models is None:
        train = "MLflow did not answer: look there for models of these versions"
    elif models:
        train = "train again and withdraw the models named"
    else:
        train = "no registered model was made of these versions"
    return (
        f"validate the new versions; {train}; remove the pictures from the source; run `masker data gc --yes` elsewhere"
    )
