"""The stored evidence of an evaluation: what the gate judges and the report shows."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from identity_masker.masking.evaluation_config import EvaluationConfig
from identity_masker.masking.groups import GroupFigures
from identity_masker.masking.utility import Kept, Utility
from identity_masker.masking.verification import Verification

AttackerName = Literal["naive", "strong", "parrot", "inversion", "linkage"]
Pictures = Literal["clear", "masked", "pixelated"]
Gallery = Literal["clear", "treated"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Attack(_Document):
    """One attacker against pictures treated in one way.

    gallery         whether the attacker enrols clear photographs or ones treated as the probes are
    train_accuracy  how often it names its own training people on its own training pictures; a strong attacker
                    that cannot do even that has found nothing to learn
    """

    attacker: AttackerName
    pictures: Pictures
    gallery: Gallery
    result: Verification
    train_accuracy: float | None = None


class Power(_Document):
    """Whether the strong attacker finds identity where it surely is."""

    rank1_pixelated: float
    rank1_identity: float
    min_rank1_pixelated: float
    min_rank1_identity: float

    @property
    def ok(self) -> bool:
        return self.rank1_pixelated >= self.min_rank1_pixelated and self.rank1_identity >= self.min_rank1_identity


class Evaluation(_Document):
    """Everything measured on one masker. Absent figures are null: they were not measured.

    groups      the same figures by skin, hair, turn of the head and light, where those can be told
    ssim        structural similarity of clear and masked pictures, mean
    detected    share of clear and of masked pictures in which the examiner finds a face
    flicker     what frames of drawn videos jump, in levels of 255, clear and masked
    unchanged   test pictures that came back as they went in
    changed     mean share of the pixels that the masker changed
    background_psnr  dB, outside the heads
    """

    version: Literal[1] = 1
    architecture: str
    photographs: int
    people: int
    chance: float
    attacks: list[Attack]
    power: Power | None
    utility: Utility | None
    background_psnr: float | None
    groups: tuple[GroupFigures, ...] = ()
    ssim: float | None = None
    detected: Kept | None = None
    flicker: Kept | None = None
    unchanged: int
    changed: float
    seconds: float
    config: EvaluationConfig

    @property
    def power_ok(self) -> bool:
        return self.power is not None and self.power.ok

    def naive(self, pictures: Pictures) -> Attack | None:
        return next((a for a in self.attacks if a.attacker == "naive" and a.pictures == pictures), None)

    def against_masked(self) -> list[Attack]:
        """All attacks on masked pictures by who knows the masker."""
        return [attack for attack in self.attacks if attack.attacker != "naive" and attack.pictures == "masked"]

    def strong(self, pictures: Pictures = "masked") -> Attack | None:
        """The more successful of the strong attacks, by rank-1."""
        found = [attack for attack in self.attacks if attack.attacker == "strong" and attack.pictures == pictures]
        return max(found, key=lambda attack: attack.result.rank1.value, default=None)
