"""The experiments of the configuration folder, and that they do not stand in each other's way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from identity_masker.documents import load_yaml
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.experiments.design import Experiment
from identity_masker.settings import settings


def folder_of(folder: Path | None = None) -> Path:
    """`folder`, or the one of the settings."""
    return folder or settings().config_dir / "experiments"


def load_file(path: Path) -> Experiment:
    """The experiment in the file `path`.

    Raises `NotFoundError` for a missing file, and `BadInputError` that names each wrong field.
    """
    return load_yaml(Experiment, path, "experiment")


def load(name: str, folder: Path | None = None) -> Experiment:
    """The experiment called `name` in the configuration folder, or in the file that `name` is the path of."""
    if name.endswith((".yaml", ".yml")):
        return load_file(Path(name))
    folder = folder_of(folder)
    path = folder / f"{name}.yaml"
    if "/" in name or not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise NotFoundError("there is no such experiment", got=name, allowed=known, fix=f"add a file to {folder}")
    experiment = load_file(path)
    if experiment.name != name:
        raise BadInputError("the file has another name than the experiment", got=f"{path}: name {experiment.name}")
    return experiment


def load_all(folder: Path | None = None) -> list[Experiment]:
    """All experiments of the folder, by name. Raises `BadInputError` when running ones overlap in a layer."""
    folder = folder_of(folder)
    experiments = [load(path.stem, folder) for path in sorted(folder.glob("*.yaml"))]
    check_layers([experiment for experiment in experiments if experiment.status == "running"])
    return experiments


def check_layers(experiments: Sequence[Experiment]) -> None:
    """Raises `BadInputError` when two of the experiments claim the same part of one layer."""
    placed = sorted(
        (e.layer.name, e.layer.slot[0], e.layer.slot[1], e.name) for e in experiments if e.layer is not None
    )
    reach: dict[str, tuple[float, str]] = {}
    for layer, low, high, name in placed:
        end, other = reach.get(layer, (0.0, ""))
        if other and low < end:
            raise BadInputError(
                "two experiments of one layer overlap",
                got=f"layer {layer}: {other} and {name} share {low:g} to {min(end, high):g}",
                fix="give them slots that do not overlap, or layers of their own",
            )
        if high > end:
            reach[layer] = (high, name)
