"""The step `register`: an evaluated run before the gate, and into the registry with the verdict."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.masking.config import ModelConfig
from identity_masker.masking.evidence import Evaluation
from identity_masker.masking.gate import judge
from identity_masker.registry import examiners, model_card, models, run_files, runs
from identity_masker.registry.semver import Lineage
from identity_masker.telemetry import logs

NOTED = (
    "model", "snapshot", "config_sha256", "code_sha256", "code_commit", "artifact_sha256", "dag_id", "dag_run_id",
)  # fmt: skip
log = logs.logger(__name__)


class RegisterResult(BaseModel):
    """What was registered. `alias` is the strongest alias of the version, if it has one."""

    run_id: str
    version: str
    semver: str
    verdict: str
    reasons: list[str]
    alias: str | None


class _Champion(NamedTuple):
    version: str
    run_id: str
    evidence: Evaluation


def _champion() -> _Champion | None:
    """The masker that serves and what was measured of it; None before the first."""
    try:
        found = models.resolve("champion")
    except NotFoundError:
        return None
    evidence = runs.get_run(found.run_id).read_document(run_files.EVIDENCE)
    return _Champion(found.version, found.run_id, Evaluation.model_validate(evidence))


def register_step(run_id: str) -> RegisterResult:
    """Judge run `run_id` and register its masker. Doing it again gives the same version.

    Raises `NotFoundError` for an unknown run and `BadInputError` for one that was not evaluated.
    """
    run = runs.get_run(run_id)
    if run.tags.get("stage") != "evaluated":
        raise BadInputError(
            "the run was not evaluated", got=f"run {run_id}", fix=f"run `masker evaluate --run {run_id}` first"
        )
    config = ModelConfig.model_validate(run.read_document(run_files.CONFIG))
    champion = _champion() if config.gate.champion is not None else None
    evidence = Evaluation.model_validate(run.read_document(run_files.EVIDENCE))
    judgement = judge(evidence, config.gate, champion.evidence if champion else None)
    run.log_document(
        {
            "gate": config.gate.model_dump(mode="json"),
            "champion": None if champion is None else {"version": champion.version, "run_id": champion.run_id},
            **judgement.model_dump(mode="json"),
        },
        run_files.JUDGEMENT,
    )
    version = models.register(
        run.run_id,
        run.uri(run_files.MODEL),
        Lineage(run.tags["architecture"], run.tags["dataset"], run.tags.get("interface", "")),
        judgement.verdict,
        {name: run.tags[name] for name in NOTED if name in run.tags} | {"evaluation": run.uri(run_files.EVIDENCE)},
    )
    examiners.appoint(version)
    model_card.keep(version)
    log.info("registered", version=version.version, semver=version.semver, verdict=version.verdict)
    return RegisterResult(
        run_id=run.run_id,
        version=version.version,
        semver=version.semver,
        verdict=version.verdict,
        reasons=list(judgement.reasons),
        alias=next((alias for alias in models.ALIASES if alias in version.aliases), None),
    )
