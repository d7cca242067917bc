"""`masker models reproduce`: the data, the code and the configuration of a version, trained again and compared."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml
from pydantic import BaseModel
from safetensors.numpy import load_file

from identity_masker import artifacts
from identity_masker.errors import BadInputError, MaskerError
from identity_masker.faces.snapshot import open_snapshot
from identity_masker.registry import models, provenance, run_files, runs
from identity_masker.registry.checkout import checked_out
from identity_masker.registry.flavor import MASKER_FOLDER
from identity_masker.settings import PROJECT, settings
from identity_masker.telemetry import logs

TOLERANCE = 0.02
"""How far R² of a factor may be off where the last bits are not the same: another processor, a GPU."""

log = logs.logger(__name__)


class ReproducedFigure(BaseModel):
    """One figure of the training, then and now."""

    name: str
    registered: float
    reproduced: float


class Reproduced(BaseModel):
    """What came of training a version again.

    equal               whether every weight is the same to the bit
    largest_difference  of any weight, null when they cannot be compared one by one
    code                "here" when this program's code is that of the version, else the commit that was checked out
    within_tolerance    whether all figures are within `tolerance` of the registered ones
    """

    version: str
    semver: str
    dataset: str
    code: str
    run_id: str
    registered_run_id: str
    equal: bool
    largest_difference: float | None
    figures: list[ReproducedFigure]
    tolerance: float = TOLERANCE
    within_tolerance: bool
    differing_machine: dict[str, tuple[str, str]]


def reproduce(reference: str) -> Reproduced:
    """Train the version that `reference` means again, from what its run recorded, as a new run.

    The version itself is not touched and nothing is registered. Raises `NotFoundError` where version, dataset or code
    are gone, `BadInputError` where they are not what was recorded, `MaskerError` when the training fails.
    """
    version = models.resolve(reference)
    run = runs.get_run(version.run_id)
    _check_data(run)
    log.info("reproducing", semver=version.semver, dataset=run.tags["dataset"], commit=run.tags.get("code_commit", ""))
    with TemporaryDirectory(prefix="masker-reproduce-") as folder:
        name = _write_config(run, Path(folder))
        if provenance.code_sha256() == run.tags["code_sha256"]:
            code, run_id = "here", _train(PROJECT, name, run, Path(folder))
        else:
            code = _commit(run)
            with checked_out(code) as project:
                run_id = _train(project, name, run, Path(folder))
    return _compared(version, run, runs.get_run(run_id), code)


def _check_data(run: runs.Run) -> None:
    found = open_snapshot(run.tags["dataset"]).id
    if found != run.tags["snapshot"]:
        raise BadInputError(
            "the dataset version does not hold the data that the model was trained on",
            got=f"snapshot {found[:12]}… of {run.tags['dataset']}",
            allowed=f"{run.tags['snapshot'][:12]}…",
            fix="restore the store of that time from its backup",
        )


def _write_config(run: runs.Run, folder: Path) -> str:
    """The configuration that was recorded, as a file of its own; its name."""
    name = run.tags["model"]
    target = folder / "config" / "models" / f"{name}.yaml"
    document = yaml.safe_dump(run.read_document(run_files.CONFIG))
    artifacts.write_bytes(str(target), document.encode())
    return name


def _commit(run: runs.Run) -> str:
    commit = run.tags.get("code_commit", "")
    if not commit or commit.endswith("+"):
        raise BadInputError(
            "the code that trained this version is not known to Git",
            got=f"{commit or 'an image without a repository'}, with other code than here",
            allowed="a commit, without changed files",
            fix="run this command in the image that trained it, or in a checkout whose code is the same",
        )
    return commit


def _train(project: Path, model: str, run: runs.Run, folder: Path) -> str:
    """Run `masker train` with the code of `project`; the id of its run."""
    result = folder / "result.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(project / "include"),
        "MASKER_CONFIG_DIR": str(folder / "config"),
        "MASKER_HOME": str(settings().home.resolve()),
        "MASKER_STORE_URI": settings().store,
        "MASKER_MLFLOW_URI": settings().tracking_uri,
        "MASKER_RESULT": str(result),
        "MASKER_THREADS": run.tags.get("threads", ""),
    }
    key = f"reproduce/{run.run_id}/{uuid.uuid4().hex[:8]}"
    command = [
        sys.executable, "-m", "identity_masker.cli", "train", "--force",
        "--model", model, "--dataset", run.tags["dataset"], "--run-key", key,
    ]  # fmt: skip
    given = {name: value for name, value in environment.items() if value}
    done = subprocess.run(command, env=given, cwd=project, check=False)
    if done.returncode:
        reason = artifacts.read_json(str(result))["reason"] if result.exists() else f"exit code {done.returncode}"
        raise MaskerError("the training did not end well", got=reason, fix="see its log above")
    return str(artifacts.read_json(str(result))["run_id"])


def _compared(version: models.ModelVersion, before: runs.Run, after: runs.Run, code: str) -> Reproduced:
    figures = _training_figures(before, after)
    machine = {
        name: (before.tags.get(name, ""), after.tags.get(name, ""))
        for name in ("threads", "torch", "processor")
        if before.tags.get(name) != after.tags.get(name)
    }
    return Reproduced(
        version=version.version,
        semver=version.semver,
        dataset=before.tags["dataset"],
        code=code,
        run_id=after.run_id,
        registered_run_id=before.run_id,
        equal=before.tags["artifact_sha256"] == after.tags["artifact_sha256"],
        largest_difference=_largest_difference(before, after),
        figures=figures,
        within_tolerance=all(abs(f.registered - f.reproduced) <= TOLERANCE for f in figures),
        differing_machine=machine,
    )


def _training_figures(before: runs.Run, after: runs.Run) -> list[ReproducedFigure]:
    then, now = (run.read_document(run_files.TRAINING)["r_squared"] for run in (before, after))
    return [ReproducedFigure(name=f"r2.{n}", registered=then[n], reproduced=now[n]) for n in then if n in now]


def _largest_difference(before: runs.Run, after: runs.Run) -> float | None:
    with TemporaryDirectory(prefix="masker-weights-") as folder:
        then, now = (
            _weights(run.fetch(f"{run_files.MODEL}/{MASKER_FOLDER}", Path(folder) / name))
            for name, run in (("then", before), ("now", after))
        )
    shapes = [{name: tensor.shape for name, tensor in tensors.items()} for tensors in (then, now)]
    if shapes[0] != shapes[1]:
        return None
    differences = [np.abs(then[n].astype(np.float64) - now[n].astype(np.float64)).max(initial=0.0) for n in then]
    return float(max(differences, default=0.0))


def _weights(folder: Path) -> Mapping[str, np.ndarray]:
    return {
        f"{path.name}:{name}": tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }
