"""A registry with a real MLflow server, a small dataset and maskers of few steps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.integration.fleet_processes import free_ports
from tests.integration.mlflow_server import mlflow_server
from tests.integration.validated_dataset import validated_dataset

from identity_masker.registry import tracking
from identity_masker.registry.train_step import TrainOptions, TrainResult, train_step
from identity_masker.settings import settings

LIBRARIES = pytest.mark.filterwarnings(
    "ignore:_NoneStep.value will soon raise:DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
    "ignore:.*:FutureWarning:mlflow",
    "ignore:.*AnyType:UserWarning",  # MLflow warns of the type hints of its own classes
)
"""What MLflow and DVC warn of in themselves."""

LOOK = {"size": 32, "widths": [4, 4, 6, 6], "hidden": 8}
QUICK = {
    "architecture": {"whole": LOOK, "head": LOOK, "face": LOOK, "avatars": 8},
    "training": {"steps": 8, "batch": 8, "checkpoint_steps": 2, "rendered_share": 0.25},
    "evaluation": {
        "bootstrap": 20,
        "encoder": {"size": 32, "widths": [4, 4, 6, 6], "embedding": 8, "steps": 2, "batch": 16},
        "strong": {"views": 1, "steps": 2, "batch": 16},
        "power": {"min_rank1_pixelated": 0.0, "min_rank1_identity": 0.0},
        "judge": {"widths": [4, 4, 6, 6], "steps": 2, "batch": 16},
    },
    "gate": {
        "max_rank1_strong_over_chance": 1000.0, "max_auc_strong": 1.0, "min_rank1_clear": 0.0, "min_people": 2,
        "min_pose_r2_ratio": None,
    },
}  # fmt: skip
STRICT = {**QUICK, "gate": {"min_rank1_clear": 1.0}}
LONG = {**QUICK, "training": {**QUICK["training"], "steps": 120}}


@dataclass
class Place:
    """Where everything of these tests lives, and the environment of processes that work there."""

    folder: Path
    uri: str
    dataset: str
    environment: dict[str, str]


@contextmanager
def registry_place(folder: Path) -> Iterator[Place]:
    """The settings of this process are those of the place while it lasts."""
    (folder / "config" / "models").mkdir(parents=True)
    for name, content in {"quick": QUICK, "strict": STRICT, "long": LONG}.items():
        (folder / "config" / "models" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch, mlflow_server(folder, free_ports()) as uri:
        chosen = {
            "MASKER_HOME": str(folder / "home"), "MASKER_CONFIG_DIR": str(folder / "config"),
            "MASKER_MLFLOW_URI": uri, "MASKER_THREADS": "1",
        }  # fmt: skip
        for name, value in chosen.items():
            patch.setenv(name, value)
        forget_settings()
        yield Place(folder, uri, validated_dataset(people=24, images=120), {**os.environ, **chosen})
    forget_settings()


def forget_settings() -> None:
    settings.cache_clear()
    tracking.client.cache_clear()


def trained(place: Place, key: str, model: str = "quick") -> TrainResult:
    options = TrainOptions(model=model, dataset=place.dataset, run_key=key, force=True)
    result = train_step(options, lambda _progress: None)
    assert result is not None
    return result


def masker(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "identity_masker.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
