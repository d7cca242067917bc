"""Forgetting a person everywhere: datasets, features, and a list of the models that saw them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from identity_masker.errors import MaskerError, NotFoundError
from identity_masker.faces.data_repository import Places


class ForgetResult(BaseModel):
    """What was done, or with `done` false what would be done.

    `versions` and `models` were made with pictures of the person; `models` is None when MLflow did not answer.
    `new_versions` are pending until they are validated; `purged_objects` counts what went from the store.
    """

    model_config = ConfigDict(frozen=True)

    done: bool
    images: int
    versions: tuple[str, ...]
    models: tuple[str, ...] | None
    new_versions: tuple[str, ...]
    purged_objects: int
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
    new, purged = [], 0
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
    return ForgetResult(
        done=yes,
        images=max(each.images for each in affected),
        versions=named,
        models=models,
        new_versions=tuple(new),
        purged_objects=purged,
        next=_advice(models, yes=yes),
    )


def _models(datasets: tuple[str, ...]) -> tuple[str, ...] | None:
    from identity_masker.registry import models

    try:
        return tuple(
            f"{each.semver} (trained on {each.lineage.dataset})"
            for each in models.versions()
            if each.lineage.dataset in datasets
        )
    except MaskerError:
        return None


def _drop_features(version: str) -> None:
    from identity_masker.cli.features import feature_places
    from identity_masker.features.image_quality import drop_version

    drop_version(version, feature_places())


def _advice(models: tuple[str, ...] | None, *, yes: bool) -> str:
    if not yes:
        return "add --yes to do it; it cannot be undone"
    train = "MLflow did not answer: look there for models of these versions" if models is None else (
        "train again and withdraw the models named" if models else "no registered model was made of these versions"
    )  # fmt: skip
    return (
        f"validate the new versions; {train}; remove the pictures from the source; run `masker data gc --yes` elsewhere"
    )
