from __future__ import annotations

from pathlib import Path

import pytest

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.masking.config import DEFAULT_MODEL, MaskerConfig, load_config

SHIPPED = Path(__file__).resolve().parents[3] / "include" / "config" / "models"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_model_validates(path: Path) -> None:
    config = load_config(path.stem, SHIPPED)
    assert config.architecture.size == config.evaluation.size


def test_the_default_model_is_shipped() -> None:
    assert (SHIPPED / f"{DEFAULT_MODEL}.yaml").is_file()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("# nothing\n")
    config = load_config("plain", tmp_path)
    assert MaskerConfig(architecture=config.architecture, training=config.training) == MaskerConfig()


@pytest.mark.parametrize("name", ["missing", "../masker-64", "", "A B"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("{}")
    with pytest.raises(NotFoundError, match="ours"):
        load_config(name, tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("training: {steps: 0}", "training.steps"),
        ("training: {stepz: 5}", "training.stepz"),
        ("architecture: {bits: 40}", "architecture.bits"),
        ("architecture: {name: u-net}", "architecture: name has to be factor-bottleneck or pixelation"),
        ("architecture: {name: pixelation, blocks: 1}", "architecture.blocks"),
        ("a: [", "not YAML"),
        ("- 1", "mapping"),
    ],
)
def test_a_wrong_file_is_refused_by_name_of_the_field(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(BadInputError, match=complaint):
        load_config("wrong", tmp_path)
