"""What a model is and how it is trained, attacked and judged: include/config/models/NAME.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from identity_masker.documents import load_yaml
from identity_masker.errors import NotFoundError
from identity_masker.masking.evaluation_config import EvaluationConfig, GateConfig
from identity_masker.settings import settings

DEFAULT_MODEL = "masker-64"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LookConfig(_Section):
    """One of the three networks that look at the picture."""

    size: int = Field(ge=32, le=256, multiple_of=8, description="Side of the view, in pixels.")
    widths: tuple[int, int, int, int] = Field(description="Channels at 1/2, 1/4, 1/4 and 1/8 of the view.")
    hidden: int = Field(ge=4, description="Width of the layer before the readings.")


class ArchitectureConfig(_Section):
    """The shape of a masker; together with the weights it is the model."""

    name: Literal["factor-bottleneck"] = "factor-bottleneck"
    size: Literal[64, 128, 256] = Field(
        default=64, description="Side of the picture that the encoder reads, in pixels."
    )
    whole: LookConfig = LookConfig(size=32, widths=(16, 24, 32, 48), hidden=64)
    head: LookConfig = LookConfig(size=48, widths=(24, 32, 48, 64), hidden=96)
    face: LookConfig = LookConfig(size=48, widths=(32, 48, 64, 64), hidden=128)
    bits: int = Field(default=6, ge=2, le=8, description="Bits of each of the 16 factors.")
    avatars: int = Field(default=64, ge=2, le=4096, description="Number of fictitious faces.")
    avatar_seed: int = Field(default=0xFACE, ge=0, description="World the fictitious faces come from.")

    @model_validator(mode="after")
    def _the_whole_shrinks_evenly(self) -> Self:
        if self.size % self.whole.size:
            raise ValueError(f"whole.size {self.whole.size} is no divisor of size {self.size}")
        return self


class PixelationConfig(_Section):
    """The classical masker: a mosaic. It has nothing to learn, and nobody is hidden by it."""

    name: Literal["pixelation"]
    size: Literal[64, 128, 256] = 64
    blocks: int = Field(default=8, ge=2, le=64, description="Blocks of the mosaic along the longer side.")


def _kind(value: Any) -> str:
    name = value.get("name", "factor-bottleneck") if isinstance(value, dict) else getattr(value, "name", None)
    return str(name)


AnyArchitecture = Annotated[
    Annotated[ArchitectureConfig, Tag("factor-bottleneck")] | Annotated[PixelationConfig, Tag("pixelation")],
    Discriminator(
        _kind, custom_error_type="kind", custom_error_message="name has to be factor-bottleneck or pixelation"
    ),
]
"""The `architecture` section; its `name` says which kind of masker. A new kind is a row here and in `kinds.KINDS`."""


class TrainingConfig(_Section):
    """How the encoder is trained."""

    seed: int = Field(default=1, ge=0)
    steps: int = Field(default=2400, ge=1)
    batch: int = Field(default=32, ge=2, description="Pictures a step.")
    rendered_share: Share = Field(
        default=0.5, description="Share of each batch that is drawn for the step, all new people."
    )
    learning_rate: float = Field(default=5e-3, gt=0.0, description="Peak of the one-cycle schedule.")
    warmup: Share = Field(default=0.1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=0.02, ge=0.0)
    average: float = Field(default=0.995, ge=0.0, lt=1.0, description="Decay of the moving average of the weights.")
    gradient_norm: float = Field(default=5.0, gt=0.0, description="Largest norm of the gradient.")
    place_error: float = Field(default=0.25, ge=0.0, description="How far from the truth the head is looked at.")
    pose_error: float = Field(default=0.12, ge=0.0, description="How far from the truth the face is looked at.")
    checkpoint_steps: int = Field(default=200, ge=1, description="Steps between checkpoints.")
    validate_steps: int = Field(default=400, ge=1, description="Steps between looks at the validation faces.")
    patience: int | None = Field(
        default=None, ge=1, description="Validations without a better one after which training ends; null: all steps."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU where there is one.")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="What convolutions compute in.")
    compile: bool = Field(default=False, description="Let torch.compile fuse network and renderer; pays on GPUs.")
    accumulate: int = Field(default=1, ge=1, description="Parts of a batch that pass through the network by turns.")

    @model_validator(mode="after")
    def _parts_are_batches(self) -> Self:
        if self.batch // self.accumulate < 2:
            raise ValueError(f"a batch of {self.batch} in {self.accumulate} parts leaves fewer than 2 pictures each")
        return self


class MaskerConfig(_Section):
    """What training the factor bottleneck needs."""

    architecture: ArchitectureConfig = ArchitectureConfig()
    training: TrainingConfig = TrainingConfig()


class ModelConfig(_Section):
    """A whole file of include/config/models."""

    architecture: AnyArchitecture = ArchitectureConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    gate: GateConfig = GateConfig()


def load_config(name: str = DEFAULT_MODEL, folder: Path | None = None) -> ModelConfig:
    """The model configuration called `name`.

    Raises `NotFoundError` for an unknown name and `BadInputError` for a file that does not validate.
    """
    folder = folder or settings().config_dir / "models"
    path = folder / f"{name}.yaml"
    if not NAME.fullmatch(name) or not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise NotFoundError(
            "there is no such model configuration", got=name, allowed=known, fix=f"add a file to {folder}"
        )
    return load_yaml(ModelConfig, path, "model configuration")
