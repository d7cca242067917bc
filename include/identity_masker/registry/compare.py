"""Two versions side by side: their figures, and what both make of the same faces."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydantic import BaseModel

from identity_masker.errors import NotFoundError
from identity_masker.faces import render
from identity_masker.faces.face_set import FACTORS
from identity_masker.masking import artifact
from identity_masker.masking.evidence import Evaluation
from identity_masker.registry import models, run_files, runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACES = 8
WORLD = 0xC0FFEE
SIDE = 128


class Side(BaseModel):
    """One of the two versions."""

    semver: str
    version: str
    verdict: str
    aliases: list[str]
    architecture: str
    dataset: str


class Figure(BaseModel):
    """One measure of both. `better` names the version that it favours, when their intervals are apart or there are
    none; null where nobody can tell.
    """

    name: str
    a: float | None
    b: float | None
    better: str | None


class ComparedVersions(BaseModel):
    """The comparison; `same_test` says whether both were measured on the same people."""

    a: Side
    b: Side
    same_test: bool
    figures: list[Figure]
    differing: dict[str, tuple[str, str]]


class _Measured(BaseModel):
    value: float
    low: float
    high: float
    higher_is_better: bool


def compare(one: models.ModelVersion, other: models.ModelVersion) -> ComparedVersions:
    """The stored figures of both versions. Figures that only one has have null for the other."""
    left, right = _figures(one), _figures(other)
    names = list(dict.fromkeys([*left, *right]))
    tags = sorted({*one.tags, *other.tags} - {"semver", "artifact_sha256", "evaluation"})
    return ComparedVersions(
        a=_side(one),
        b=_side(other),
        same_test=one.tags.get("snapshot") == other.tags.get("snapshot"),
        figures=[_figure(name, left.get(name), right.get(name), one.semver, other.semver) for name in names],
        differing={
            tag: (one.tags.get(tag, ""), other.tags.get(tag, ""))
            for tag in tags
            if one.tags.get(tag) != other.tags.get(tag)
        },
    )


def _side(version: models.ModelVersion) -> Side:
    return Side(
        semver=version.semver, version=version.version, verdict=version.verdict, aliases=list(version.aliases),
        architecture=version.lineage.architecture, dataset=version.lineage.dataset,
    )  # fmt: skip


def _figures(version: models.ModelVersion) -> dict[str, _Measured]:
    try:
        document = runs.get_run(version.run_id).read_document(run_files.EVIDENCE)
    except NotFoundError:
        return {}
    return dict(_named(Evaluation.model_validate(document)))


def _named(evidence: Evaluation) -> Iterator[tuple[str, _Measured]]:
    for attack in evidence.attacks:
        if attack.pictures == "masked":
            for name in ("rank1", "auc"):
                found = getattr(attack.result, name)
                yield (
                    f"{attack.attacker}, {attack.gallery} gallery: {name}",
                    _Measured(value=found.value, low=found.low, high=found.high, higher_is_better=False),
                )
    if evidence.utility is not None:
        for name, kept in evidence.utility.groups.items():
            yield f"{name} R²", _exact(kept.masked, higher_is_better=True)
        yield "landmark error", _exact(evidence.utility.landmark_error.masked, higher_is_better=False)
    if evidence.background_psnr is not None:
        yield "background PSNR, dB", _exact(evidence.background_psnr, higher_is_better=True)


def _exact(value: float, *, higher_is_better: bool) -> _Measured:
    return _Measured(value=value, low=value, high=value, higher_is_better=higher_is_better)


def _figure(name: str, one: _Measured | None, other: _Measured | None, a: str, b: str) -> Figure:
    better = None
    if one is not None and other is not None and (one.high < other.low or other.high < one.low):
        better = a if (one.value > other.value) == one.higher_is_better else b
    return Figure(
        name=name, a=None if one is None else one.value, b=None if other is None else other.value, better=better
    )


def picture(one: models.ModelVersion, other: models.ModelVersion) -> bytes:
    """Drawn faces above what the first and the second version make of them, as PNG; equal keys in both."""
    faces = _faces()
    keys = [f"compare/{row}" for row in range(len(faces))]
    rows = [faces, *(artifact.load(models.download(version)).mask(faces, keys) for version in (one, other))]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    target = io.BytesIO()
    Image.fromarray(sheet).save(target, "PNG")
    return target.getvalue()


def _faces() -> NDArray[np.uint8]:
    """Faces of `FACES` people of a world that no dataset is drawn from."""
    people = np.arange(FACES)
    drawn = render.draw(WORLD, people, np.zeros_like(people), SIDE)
    order = np.argsort(drawn.factors[:, FACTORS.index("yaw")], kind="stable")
    turned: NDArray[np.uint8] = drawn.images[order]
    return turned
