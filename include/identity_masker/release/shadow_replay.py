"""The step before any user is exposed: the candidate and the champion on the same held-out pictures."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.snapshot import open_snapshot
from identity_masker.masking.examination import Examiner
from identity_masker.registry import examiners, models
from identity_masker.release.evidence import ReplayEvidence
from identity_masker.release.judge import digest, judge
from identity_masker.release.pairing import METRICS, paired
from identity_masker.release.policy import Policy, Replay
from identity_masker.release.verdict import Verdict, VerdictWord
from identity_masker.serving import model
from identity_masker.telemetry import logs

SPLITS = ("test", "attacker")
"""People whom no masker was trained on, in the order in which their pictures are taken."""

log = logs.logger(__name__)


class ReplayOptions(BaseModel):
    """Which versions, by which policy, and where the evidence goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str = Field(min_length=1)
    champion: str = Field(min_length=1)
    policy: Policy
    store: str
    dataset: str = Field(default="", description="Default: the candidate's own.")
    examiner: Path | None = Field(default=None, description="Folder; default: the one that the registry names.")


class ReplayResult(BaseModel):
    """What the replay found. `allowed` says whether the release may go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    semver: str
    champion: str
    allowed: bool
    verdict: VerdictWord
    reasons: tuple[str, ...]
    pictures: int
    examiner: str
    dataset: str
    evidence: str
    judged: Verdict | None


class _Sides(NamedTuple):
    candidate: models.ModelVersion
    champion: models.ModelVersion


def shadow_replay(options: ReplayOptions) -> ReplayResult:
    """Replay, judge, store evidence and verdict, and take the alias `challenger` off a version that is refused.

    On the verdict `roll_back` the release may not go on; on `hold` it may, unless the policy says `required`. Raises
    `NotFoundError` for an unknown version or dataset and `BadInputError` for a policy whose replay names a metric that
    is not measured.
    """
    sides = _Sides(models.resolve(options.candidate), models.resolve(options.champion))
    if sides.candidate.version == sides.champion.version:
        return _unjudged(sides, "it is the champion already", allowed=True)  # a run that was cleared after its end
    rule = options.policy.replay
    if rule is None:
        return _unjudged(sides, "the policy asks for no replay", allowed=True)
    _check(rule)
    try:
        examiner = Examiner(options.examiner or examiners.fetch())
    except NotFoundError as error:
        return _unjudged(sides, f"nobody can judge: {error}", allowed=not rule.required)
    dataset = options.dataset or sides.candidate.lineage.dataset
    images, keys = pictures(dataset, examiner.size, rule.pairs)
    log.info("replaying", candidate=sides.candidate.semver, champion=sides.champion.semver, pictures=len(images))
    champion, candidate = (
        model.from_registry(side.version, many=True).masker for side in (sides.champion, sides.candidate)
    )
    evidence = _asked(paired(champion, candidate, images, keys, examiner), rule)
    verdict = judge(options.policy, evidence)
    allowed = verdict.verdict == "promote" or (verdict.verdict == "hold" and not rule.required)
    uri = _keep(options, sides, examiner.name, evidence, verdict)
    _note(sides.candidate, verdict, uri)
    return _result(
        sides, allowed=allowed, verdict=verdict.verdict, reasons=verdict.reasons, pictures=len(images),
        examiner=examiner.name, dataset=dataset, evidence=uri, judged=verdict,
    )  # fmt: skip


def pictures(dataset: str, size: int, most: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Up to `most` pictures (N, size, size, 3) of held-out people, in an order drawn once for all, and their keys.

    Raises `NotFoundError` for an unknown dataset and `BadInputError` for one without held-out people.
    """
    snapshot = open_snapshot(dataset)
    splits = [snapshot.load(split, size).images for split in SPLITS if split in snapshot.splits]
    if not splits:
        raise BadInputError("the dataset has no held-out people", got=dataset, allowed=f"a split of {SPLITS}")
    random = np.random.default_rng(0)
    images = np.concatenate([part[random.permutation(len(part))] for part in splits])[:most]
    return images, [f"replay/{snapshot.id}/{row}" for row in range(len(images))]


def _check(rule: Replay) -> None:
    unknown = sorted(set(rule.metrics) - set(METRICS))
    if unknown:
        raise BadInputError(
            "the policy's replay names metrics that are not measured", got=", ".join(unknown),
            allowed=", ".join(METRICS),
        )  # fmt: skip


def _asked(evidence: ReplayEvidence, rule: Replay) -> ReplayEvidence:
    return ReplayEvidence(pairs={name: pairs for name, pairs in evidence.pairs.items() if name in rule.metrics})


def _keep(options: ReplayOptions, sides: _Sides, examiner: str, evidence: ReplayEvidence, verdict: Verdict) -> str:
    """Policy, evidence and verdict in the store, for `masker release judge` too; the URI of the evidence."""
    name = f"{sides.candidate.semver}-after-{sides.champion.semver}"
    folder = artifacts.join(options.store, "replays", name, f"{digest(options.policy)[:12]}-{examiner}")
    artifacts.write_json(artifacts.join(folder, "policy.json"), options.policy.model_dump(mode="json"))
    artifacts.write_json(artifacts.join(folder, "verdict.json"), verdict.model_dump(mode="json"))
    uri = artifacts.join(folder, "evidence.json")
    artifacts.write_json(uri, evidence.model_dump(mode="json"))
    return uri


def _note(candidate: models.ModelVersion, verdict: Verdict, uri: str) -> None:
    models.note(candidate.version, {"replay_verdict": verdict.verdict, "replay_evidence": uri})
    if verdict.verdict == "roll_back":
        models.withdraw(candidate.version)


def _unjudged(sides: _Sides, why: str, *, allowed: bool) -> ReplayResult:
    return _result(
        sides, allowed=allowed, verdict="hold", reasons=(why,), pictures=0, examiner="", dataset="", evidence="",
        judged=None,
    )  # fmt: skip


def _result(sides: _Sides, **found: object) -> ReplayResult:
    names = {"version": sides.candidate.version, "semver": sides.candidate.semver, "champion": sides.champion.semver}
    return ReplayResult.model_validate({**names, **found})
