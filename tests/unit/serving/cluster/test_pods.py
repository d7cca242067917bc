from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.serving.cluster import blueprint, pods
from identity_masker.settings import PROJECT, Settings

SHIPPED = PROJECT / "include" / "config"
SMALLEST: dict[str, Any] = {"image": "serving:1", "requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}


def write(folder: Path, document: dict[str, Any]) -> Path:
    (folder / pods.FILE).write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


def test_the_shipped_file_limits_memory_and_takes_the_key_of_masks_from_a_secret() -> None:
    shipped = pods.read(SHIPPED)
    assert "memory" in shipped.limits
    assert shipped.environment.secrets == ("masker-model",)
    assert shipped.autoscaling is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"limits": {"cpu": "1"}}, "limits has no memory"),
        ({"requests": {}, "autoscaling": {"max_factor": 2}}, "requests.cpu, which is missing"),
        ({"requests": {"cpu": "much"}}, "requests.cpu"),
        ({"drain_seconds": 0}, "drain_seconds"),
        ({"instance": "Big"}, "instance"),
        ({"mounts": [{"name": "m", "mount_path": "/m"}]}, "config_map or secret"),
        ({"mounts": [{"name": "m", "mount_path": "/m", "secret": "s", "config_map": "c"}]}, "not both"),
        ({"replicas": 3}, "replicas"),
    ],
)
def test_what_kubernetes_would_refuse_later_is_refused_now_by_name(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInputError, match=words):
        pods.read(write(tmp_path, SMALLEST | change))


def test_a_missing_file_and_one_that_is_not_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"serving\.yaml"):
        pods.read(tmp_path)
    (tmp_path / pods.FILE).write_text("{", encoding="utf-8")
    with pytest.raises(BadInputError, match="not YAML"):
        pods.read(tmp_path)


def test_the_image_of_the_settings_goes_before_that_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, SMALLEST)
    config = Settings(config_dir=tmp_path, mlflow_uri="http://mlflow:5000")
    assert blueprint.of(config).image == "serving:1"
    assert blueprint.of(config.model_copy(update={"serving_image": "serving:2"})).image == "serving:2"
    assert blueprint.of(config).variables["MASKER_MLFLOW_URI"] == "http://mlflow:5000"


@pytest.mark.parametrize("uri", ["", "http://localhost:5000", "sqlite:///mlflow.db"])
def test_an_mlflow_that_pods_cannot_reach_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BadInputError, match="pods cannot reach this MLflow"):
        blueprint.of(Settings(config_dir=write(tmp_path, SMALLEST), mlflow_uri=uri))


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("2Gi", 2 * 2.0**30), ("512M", 512e6), ("250m", 0.25), ("1.5", 1.5), (".5Ki", 512.0), ("1P", 1e15)],
)
def test_quantities_are_numbers(quantity: str, number: float) -> None:
    assert pods.amount(quantity) == pytest.approx(number)
