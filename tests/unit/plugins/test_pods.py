from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.settings import PROJECT
from masker_floors import pods

SHIPPED = PROJECT / "include" / "config"
SMALLEST: dict[str, Any] = {
    "image": "steps:1",
    "classes": {"cpu": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}},
}


def write(folder: Path, document: dict[str, Any]) -> Path:
    (folder / "pods.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


def test_shipped_file_has_its_classes_and_only_one_takes_a_gpu() -> None:
    shipped = pods.read(SHIPPED)
    assert {name: "nvidia.com/gpu" in hardware.limits for name, hardware in shipped.classes.items()} == {
        "cpu": False,
        "events": False,
        "gpu": True,
    }


def test_shipped_pods_wait_in_the_triggerer_and_log_meanwhile() -> None:
    shipped = pods.read(SHIPPED)
    assert shipped.deferrable
    assert shipped.logging_interval_s <= 60


def test_environment_of_a_pod_is_forwarded_then_set_then_its_class(tmp_path: Path) -> None:
    document = SMALLEST | {"environment": {"forward": ["A", "B"], "set": {"B": "file", "C": "file"}}}
    document["classes"] = {"cpu": {**SMALLEST["classes"]["cpu"], "environment": {"C": "class"}}}
    read = pods.read(write(tmp_path, document))
    assert read.variables("cpu", {"A": "outer", "B": "outer", "SECRET": "x"}) == {
        "A": "outer",
        "B": "file",
        "C": "class",
    }


@pytest.mark.parametrize("outer", [{}, {"MASKER_STORE_URI": ""}])
def test_variable_to_forward_has_to_be_set(tmp_path: Path, outer: dict[str, str]) -> None:
    read = pods.read(write(tmp_path, SMALLEST | {"environment": {"forward": ["MASKER_STORE_URI"]}}))
    with pytest.raises(BadInputError, match="lacks MASKER_STORE_URI"):
        read.variables("cpu", outer)


def test_unknown_class_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"got tpu; expected cpu"):
        pods.read(write(tmp_path, SMALLEST)).hardware("tpu")


HARDWARE = SMALLEST["classes"]["cpu"]
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt key": ({"imagee": "x"}, "imagee"),
    "no memory limit": ({"classes": {"cpu": {**HARDWARE, "limits": {"cpu": "1"}}}}, "limits has no memory"),
    "not a quantity": ({"classes": {"cpu": {**HARDWARE, "limits": {"memory": "4 GB"}}}}, r"limits\.memory"),
    "policy": ({"image_pull_policy": "Sometimes"}, "image_pull_policy"),
    "two sources": (
        {
            "classes": {
                "cpu": {**HARDWARE, "volumes": [{"name": "v", "mount_path": "/v", "empty_dir": {}, "secret": "s"}]}
            }
        },
        "exactly one of",
    ),
    "no source": (
        {"classes": {"cpu": {**HARDWARE, "volumes": [{"name": "v", "mount_path": "/v"}]}}},
        "exactly one of",
    ),
    "relative path": (
        {"classes": {"cpu": {**HARDWARE, "volumes": [{"name": "v", "mount_path": "v", "secret": "s"}]}}},
        "mount_path",
    ),
    "toleration": (
        {"classes": {"cpu": {**HARDWARE, "tolerations": [{"key": "k", "effect": "Never"}]}}},
        "effect",
    ),
    "variable name": ({"environment": {"set": {"1x": "y"}}}, "1x"),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
def test_wrong_files_say_what_is_wrong(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        pods.read(write(tmp_path, SMALLEST | change))


def test_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text("image: [", encoding="utf-8")
    with pytest.raises(BadInputError, match="is not YAML"):
        pods.read(tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"pods\.yaml"):
        pods.read(tmp_path)


QUANTITY = TypeAdapter(pods.Quantity)


@given(
    st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,3})?", fullmatch=True), st.sampled_from(["", "m", "k", "M", "Gi", "Ti", "Pi"])
)
def test_quantities_of_kubernetes_are_accepted(number: str, suffix: str) -> None:
    assert QUANTITY.validate_python(number + suffix) == number + suffix


@given(st.text(max_size=6).filter(lambda text: not text[:1].isascii() or not (text[:1].isdigit() or text[:1] == ".")))
def test_anything_else_is_no_quantity(text: str) -> None:
    with pytest.raises(ValidationError):
        QUANTITY.validate_python(text)
