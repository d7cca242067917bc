"""A masker as an MLflow model: `mlflow.pyfunc.load_model` of a registered version works, and holds no pickle."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from identity_masker.masking.masker import Masker

MASKER_FOLDER = "data/masker"
"""Where the masker's own files lie in the MLflow model."""

EXAMPLE_WORLD = 0xE7A
"""World of the drawn face that every model carries as its input example."""

REQUIREMENTS = ("torch==2.13.0", "safetensors", "numpy", "pydantic", "pydantic-settings", "pyyaml")


class PyfuncMasker:
    """What MLflow calls: pictures (N, S, S, 3) uint8 in, masked pictures out. Every row gets a face of its own."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def predict(self, model_input: NDArray[np.uint8], params: dict[str, Any] | None = None) -> NDArray[np.uint8]:
        prefix = str((params or {}).get("key", "row"))
        return self._masker.mask(model_input, [f"{prefix}/{row}" for row in range(len(model_input))])


def _load_pyfunc(path: str) -> PyfuncMasker:
    """Called by MLflow with the data folder of the model."""
    from identity_masker.masking import artifact  # brings torch, which whoever only looks versions up does not need

    return PyfuncMasker(artifact.load(Path(path)))


def save(masker_folder: Path, size: int, target: Path) -> None:
    """Write the MLflow model of the masker saved in `masker_folder` (which is named `masker`) to `target`."""
    with warnings.catch_warnings():
        # Of the type hints of its own classes.
        warnings.filterwarnings("ignore", message=".*AnyType", category=UserWarning)
        _save(masker_folder, size, target)


def _save(masker_folder: Path, size: int, target: Path) -> None:
    from mlflow import pyfunc

    from identity_masker.faces import render

    pyfunc.save_model(
        path=str(target),
        loader_module=__name__,
        data_path=str(masker_folder),
        signature=signature(size),
        input_example=render.draw(EXAMPLE_WORLD, np.arange(1), np.zeros(1, np.int64), size).images,
        pip_requirements=list(REQUIREMENTS),
    )


def signature(size: int) -> ModelSignature:
    """What a masker of `size` takes and gives: pictures (N, size, size, 3) of uint8, and a prefix of the keys."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    pictures = Schema([TensorSpec(np.dtype(np.uint8), (-1, size, size, 3))])
    return ModelSignature(pictures, pictures, ParamSchema([ParamSpec("key", "string", "row")]))
