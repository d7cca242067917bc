"""The evaluation of a masker: attack it, check the attackers' power, judge what is left of use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.alignment import Frames, Window, resized
from identity_masker.masking.attackers import Attacker, KnownPeople, mask_all, train_clear, train_strong
from identity_masker.masking.background import background_psnr
from identity_masker.masking.baselines import Pixelation
from identity_masker.masking.encoder import embed
from identity_masker.masking.evaluation_config import EvaluationConfig
from identity_masker.masking.evidence import Attack, Evaluation, Pictures, Power
from identity_masker.masking.judge import Judge, Labels, find_landmarks, read, train_judge
from identity_masker.masking.utility import Utility, measure_utility
from identity_masker.masking.verification import Trial, Verification, draw_trial, verify

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Images = NDArray[np.uint8]
Embeddings = NDArray[np.float64]
Report = Callable[[str], None]
HEAD = (0.5, 0.5, 0.42)
"""The part of an upright face's frame that the attackers see: centre and half side of the window."""
STAGES = (
    "mask the pictures", "train the judge", "train the clear encoder", "train the strong attacker",
    "check its power on pixelation", "check its power on clear pictures",
)  # fmt: skip


def evaluate(masker: Masker, attacker: FaceSet, test: FaceSet, config: EvaluationConfig, report: Report) -> Evaluation:
    """Attack `masker` with people of `attacker` and measure on people of `test`, whom nothing was trained on.

    `report` is called with the name of each of `STAGES` as it starts. The two sets must be disjoint by identity and
    hold square pictures of `config.size`; raises `BadInputError` otherwise.
    """
    _check(attacker, test, config)
    started = time.monotonic()
    trial = draw_trial(test.identities, config.gallery, config.seed)

    report(STAGES[0])
    views = [mask_all(masker, attacker.images, f"attacker/{view}") for view in range(config.strong.views)]
    masked = mask_all(masker, test.images, "test")

    report(STAGES[1])
    labels = Labels.of(attacker)
    judge = None if labels is None else train_judge(attacker.images, labels, config.judge, config.seed + 2)
    cropped = _Cropper(judge, config.encoder.size)

    report(STAGES[2])
    known = KnownPeople.of(cropped(attacker.images), attacker.identities)
    clear = train_clear(known, config.encoder, config.seed)
    bench = _Bench(known, cropped(test.images), trial, config, clear)
    attacks = bench.naive(cropped(masked))
    report(STAGES[3])
    attacks += bench.strong("masked", np.stack([cropped(view) for view in views]), cropped(masked))
    power_checks = _power_checks(bench, cropped, attacker.images, test.images, report)

    return Evaluation(
        architecture=masker.architecture,
        photographs=len(test),
        people=trial.people,
        chance=1.0 / trial.people,
        attacks=attacks + power_checks,
        power=_power(power_checks, config),
        utility=_utility(judge, test, masked),
        background_psnr=None if test.landmarks is None else background_psnr(test.images, masked, test.landmarks),
        unchanged=int((masked == test.images).all(axis=(1, 2, 3)).sum()),
        changed=float((masked != test.images).any(axis=3).mean()),
        seconds=round(time.monotonic() - started, 2),
        config=config,
    )


def _check(attacker: FaceSet, test: FaceSet, config: EvaluationConfig) -> None:
    shared = np.intersect1d(attacker.identities, test.identities)
    if len(shared):
        raise BadInputError(
            "the attacker's people and the test people overlap",
            got=f"{len(shared)} in both, among them {shared[0]}",
            allowed="splits that are disjoint by identity",
        )
    for name, faces in (("attacker", attacker), ("test", test)):
        if faces.images.shape[1:] != (config.size, config.size, 3):
            raise BadInputError(
                f"the {name} pictures have the wrong size",
                got=str(faces.images.shape[1:]),
                allowed=f"({config.size}, {config.size}, 3)",
                fix="load the split at evaluation.size",
            )


@dataclass(frozen=True)
class _Cropper:
    """What an attacker makes of pictures before it looks: upright faces by the landmarks that the judge finds.

    The landmarks are found in the very picture that is attacked, masked or not: nothing is taken from its labels.
    Without a judge the pictures are only resized.
    """

    judge: Judge | None
    size: int

    def __call__(self, images: Images) -> Images:
        if self.judge is None:
            return resized(images, self.size)
        return Frames.of(find_landmarks(self.judge, images)).crop(images, Window(*HEAD, self.size))


@dataclass(frozen=True)
class _Bench:
    """What all attacks of one evaluation share: the known people, the test crops, the trial, the clear encoder."""

    known: KnownPeople
    test: Images
    trial: Trial
    config: EvaluationConfig
    clear: Attacker

    def naive(self, masked: Images) -> list[Attack]:
        """The clear encoder on clear pictures, and on masked probes with clear pictures enrolled."""
        clear, found = embed(self.clear.encoder, self.test), embed(self.clear.encoder, masked)
        return [
            Attack(
                attacker="naive", pictures="clear", gallery="clear", train_accuracy=self.clear.train_accuracy,
                result=self._verify(clear, clear),
            ),
            Attack(attacker="naive", pictures="masked", gallery="clear", result=self._verify(clear, found)),
        ]  # fmt: skip

    def strong(self, pictures: Pictures, views: Images, probes: Images) -> list[Attack]:
        """The strong attacker trained on `views` (V, N, S, S, 3), with clear and with treated pictures enrolled."""
        trained = train_strong(
            self.clear.encoder, self.known, views, self.config.encoder, self.config.strong, self.config.seed + 1
        )
        clear, found = embed(trained.encoder, self.test), embed(trained.encoder, probes)
        return [
            Attack(
                attacker="strong", pictures=pictures, gallery=gallery, train_accuracy=trained.train_accuracy,
                result=self._verify(enrolled, found),
            )
            for gallery, enrolled in (("clear", clear), ("treated", found))
        ]  # fmt: skip

    def _verify(self, gallery: Embeddings, probes: Embeddings) -> Verification:
        return verify(
            self.trial, gallery, probes,
            resamples=self.config.bootstrap, confidence=self.config.confidence, seed=self.config.seed,
        )  # fmt: skip


def _power_checks(bench: _Bench, cropped: _Cropper, attacker: Images, test: Images, report: Report) -> list[Attack]:
    """The strong attacker, trained in the same way, against pixelation and against no masking at all."""
    report(STAGES[4])
    pixelation = Pixelation(bench.config.power.pixel)
    views, probes = mask_all(pixelation, attacker, "attacker"), mask_all(pixelation, test, "test")
    attacks = bench.strong("pixelated", cropped(views)[None], cropped(probes))
    report(STAGES[5])
    # Clear and treated galleries are the same here.
    return attacks + bench.strong("clear", bench.known.images[None], bench.test)[:1]


def _power(attacks: list[Attack], config: EvaluationConfig) -> Power:
    def best(pictures: Pictures) -> float:
        return max(attack.result.rank1.value for attack in attacks if attack.pictures == pictures)

    return Power(
        rank1_pixelated=best("pixelated"),
        rank1_identity=best("clear"),
        min_rank1_pixelated=config.power.min_rank1_pixelated,
        min_rank1_identity=config.power.min_rank1_identity,
    )


def _utility(judge: Judge | None, test: FaceSet, masked: Images) -> Utility | None:
    labels = Labels.of(test)
    if judge is None or labels is None:
        return None
    return measure_utility(read(judge, test.images), read(judge, masked), labels)
