"""What an evaluation spends and demands: the `evaluation:` and `gate:` sections of include/config/models/NAME.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Widths = Annotated[tuple[int, int, int, int], Field(description="Channels at 1/2, 1/4, 1/8 and 1/16 of the size.")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderConfig(_Section):
    """The re-identification network and its training on clear photographs."""

    size: int = Field(default=48, ge=32, le=256, multiple_of=16, description="Edge of the crops that it reads, pixels.")
    widths: Widths = (24, 40, 64, 96)
    embedding: int = Field(default=256, ge=8, le=1024, description="Length of the vector that describes a face.")
    margin: float = Field(default=0.3, ge=0.0, lt=1.5, description="Angular margin of the loss, radians.")
    scale: float = Field(default=12.0, gt=0.0, description="Factor on the cosines before the softmax.")
    steps: int = Field(default=800, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0.0)


class StrongConfig(_Section):
    """The strong attacker: the clear encoder, trained further on masked photographs of people it knows."""

    views: int = Field(default=2, ge=1, le=16, description="Maskings of each photograph, each with a key of its own.")
    clear_share: Share = Field(default=0.25, description="Share of clear photographs in its training batches.")
    steps: int = Field(default=800, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0.0)


class InversionConfig(_Section):
    """The inverter: a network that learns to undo the masking on photographs of people it knows."""

    widths: tuple[int, int, int] = Field(default=(24, 48, 96), description="Channels at 1/2, 1/4 and 1/8 of the crop.")
    identity_weight: float = Field(default=0.5, ge=0.0, description="Weight of the person beside that of the pixels.")
    steps: int = Field(default=600, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0.0)


class LinkageConfig(_Section):
    """Many pictures of one person under one key, as a video has: the attacker averages what it sees in a track."""

    tracks: int = Field(default=2, ge=1, le=8, description="Tracks of each person, each with a key of its own.")


class MotionConfig(_Section):
    """Drawn videos of moving faces, for the flicker that masking adds."""

    people: int = Field(default=6, ge=1)
    frames: int = Field(default=24, ge=3, description="Frames of each video, as of one second.")


class PowerConfig(_Section):
    """What the attackers must manage where identity is there to be found; if they do not, they prove nothing."""

    pixel: int = Field(default=8, ge=2, description="Edge of the blocks of the pixelation, in pixels.")
    min_rank1_pixelated: Share = 0.5
    min_rank1_identity: Share = 0.8


class JudgeConfig(_Section):
    """The judge of usefulness: networks that read factors and landmarks, trained on clear photographs."""

    widths: Widths = (20, 36, 56, 80)
    steps: int = Field(default=400, ge=1, description="Training steps of each of its four looks.")
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0.0)


class EvaluationConfig(_Section):
    """One evaluation of one masker."""

    size: int = Field(default=64, ge=32, le=256, multiple_of=16, description="Edge of the pictures, in pixels.")
    seed: int = Field(default=20_261, ge=0)
    gallery: int = Field(default=3, ge=1, description="Photographs averaged into the template of a person.")
    bootstrap: int = Field(default=300, ge=20, description="Resamples of the people for each interval.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    encoder: EncoderConfig = EncoderConfig()
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU where there is one.")
    strong: StrongConfig = StrongConfig()
    parrot: StrongConfig | None = Field(
        default=None, description="A strong attacker that sees masked photographs only; null: not asked."
    )
    inversion: InversionConfig | None = Field(default=None, description="null: nobody tries to undo the masking.")
    linkage: LinkageConfig | None = LinkageConfig()
    motion: MotionConfig | None = MotionConfig()
    power: PowerConfig | None = Field(default=PowerConfig(), description="null: not checked, and the gate refuses.")
    judge: JudgeConfig = JudgeConfig()

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        if self.power is None:
            return self
        if self.power.pixel > self.size // 2:
            raise ValueError(f"power.pixel {self.power.pixel} leaves fewer than two blocks of {self.size} px")
        if self.size % self.power.pixel:
            raise ValueError(f"power.pixel {self.power.pixel} is no divisor of size {self.size}")
        return self


class MarginConfig(_Section):
    """By how much a masker may be worse than the champion, interval included, and still pass for not worse."""

    rank1: Share = Field(default=0.03, description="Strong attacker's rank-1 above chance.")
    auc: Share = Field(default=0.05, description="Strong attacker's AUC.")
    r2: Share = Field(default=0.15, description="What the judge reads of each group of factors.")
    group_auc: Share = Field(default=0.15, description="Strong attacker's AUC within each group of people.")
    group_error: Share = Field(default=0.15, description="Error of pose and expression within each group of people.")


class GateConfig(_Section):
    """When a masker may be registered for use. A limit of null is not asked for; evidence it needs may be missing."""

    max_rank1_strong_over_chance: float = Field(
        default=4.0, ge=1.0, description="Limit on the upper end of the interval of the strong attacker's rank-1."
    )
    max_auc_strong: float = Field(
        default=0.65, ge=0.5, le=1.0, description="Limit on the upper end of the interval of its ROC area."
    )
    min_rank1_clear: Share = Field(default=0.8, description="What the encoder must manage on clear photographs.")
    min_people: int = Field(default=32, ge=2, description="People in the test; fewer prove too little.")
    min_pose_r2_ratio: Share | None = Field(
        default=0.6, description="Least share of the clear R2 of yaw, pitch and roll that is left after masking."
    )
    min_expression_r2_ratio: Share | None = Field(
        default=0.5, description="Least share of the clear R2 that is left of blink, brow, mouth and smile, each."
    )
    max_landmark_error_ratio: float | None = Field(
        default=2.0, ge=1.0, description="Limit on the landmark error as a multiple of that on clear pictures."
    )
    min_background_psnr: float | None = Field(default=None, ge=0.0, description="dB, outside the head.")
    max_group_auc: float | None = Field(
        default=0.75, ge=0.5, le=1.0, description="Limit on the strong attacker's AUC within any group of people."
    )
    min_group_probes: int = Field(default=100, ge=1, description="Groups with fewer probes are shown, not judged.")
    champion: MarginConfig | None = Field(default=None, description="null: not compared with the champion.")
