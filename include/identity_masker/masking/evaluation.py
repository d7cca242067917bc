"""The evaluation of a masker: attack it, check the attackers' power, judge what is left of use."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.alignment import Frames, Window, resized
from identity_masker.masking.attackers import Attacker, KnownPeople, mask_all, train_clear, train_strong
from identity_masker.masking.background import background_psnr
from identity_masker.masking.baselines import Pixelation
from identity_masker.masking.encoder import Encoder, embed
from identity_masker.masking.evaluation_config import EvaluationConfig
from identity_masker.masking.evidence import Attack, Evaluation, Pictures, Power
from identity_masker.masking.examiner import make_examiner
from identity_masker.masking.judge import Finder, Judge, Labels, find_landmarks, read, train_finder, train_judge
from identity_masker.masking.utility import Utility, measure_utility
from identity_masker.masking.verification import Trial, Verification, draw_trial, verify

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Images = NDArray[np.uint8]
Embeddings = NDArray[np.float64]
Report = Callable[[str], None]
HEAD = (0.5, 0.5, 0.42)
"""The part of an upright face's frame that the attackers see: centre and half side of the window."""
STAGES = ("mask the pictures", "train the judge and the clear encoder", "train the strong attackers")


def evaluate(
    masker: Masker, attacker: FaceSet, test: FaceSet, config: EvaluationConfig, report: Report, workers: int = 1,
    examiner: Path | None = None,
) -> Evaluation:  # fmt: skip
    """Attack `masker` with people of `attacker` and measure on people of `test`, whom nothing was trained on.

    `report` is called with the name of each of `STAGES` as it starts. The two sets must be disjoint by identity and
    hold square pictures of `config.size`; raises `BadInputError` otherwise. `workers` threads train networks side by
    side; the figures do not depend on their number when torch itself computes on one thread. The folder `examiner`,
    when given, receives the networks of the naive attacker with their calibration (`masking.examination`).
    """
    _check(attacker, test, config)
    started = time.monotonic()
    trial = draw_trial(test.identities, config.gallery, config.seed)
    with ThreadPoolExecutor(workers) as pool:
        trained = _trained(pool, masker, attacker, test, trial, config, report)
    attacks, masked = trained.attacks, trained.masked
    if examiner is not None:
        make_examiner(
            trained.finder, trained.clear, Window(*HEAD, config.encoder.size), attacker.images, test.images,
            test.identities, examiner, config.seed,
        )  # fmt: skip
    return Evaluation(
        architecture=masker.architecture,
        photographs=len(test),
        people=trial.people,
        chance=1.0 / trial.people,
        attacks=attacks,
        power=_power(attacks, config),
        utility=_utility(trained.judge, test, masked),
        background_psnr=None if test.landmarks is None else background_psnr(test.images, masked, test.landmarks),
        unchanged=int((masked == test.images).all(axis=(1, 2, 3)).sum()),
        changed=float((masked != test.images).any(axis=3).mean()),
        seconds=round(time.monotonic() - started, 2),
        config=config,
    )


@dataclass(frozen=True)
class _Trained:
    """What an evaluation trained, and the attacks with it."""

    attacks: list[Attack]
    judge: Judge | None
    finder: Finder | None
    clear: Encoder
    masked: Images


def _trained(
    pool: ThreadPoolExecutor, masker: Masker, attacker: FaceSet, test: FaceSet, trial: Trial,
    config: EvaluationConfig, report: Report,
) -> _Trained:  # fmt: skip
    """The attacks, the judge and the masked test pictures: all that trains, side by side where nothing waits."""
    report(STAGES[0])
    labels = Labels.of(attacker)
    finding = pool.submit(_finder, attacker.images, labels, config)
    masking = [pool.submit(mask_all, masker, attacker.images, f"attacker/{n}") for n in range(config.strong.views)]
    masked = pool.submit(mask_all, masker, test.images, "test").result()
    finder, views = finding.result(), [part.result() for part in masking]

    report(STAGES[1])
    judging = pool.submit(_judge, finder, attacker.images, labels, config)
    cropped = _Cropper(finder, config.encoder.size)
    known = KnownPeople.of(cropped(attacker.images), attacker.identities)
    clear = pool.submit(train_clear, known, config.encoder, config.seed).result()
    judge = judging.result()

    report(STAGES[2])
    bench = _Bench(known, cropped(test.images), trial, config, clear)
    jobs = [
        pool.submit(_on_masked, bench, cropped, views, masked),
        pool.submit(_on_pixelated, bench, cropped, attacker.images, test.images),
        pool.submit(_on_clear, bench),
    ]
    attacks = bench.naive(cropped(masked)) + [attack for job in jobs for attack in job.result()]
    return _Trained(attacks, judge, finder, clear.encoder, masked)


def _finder(images: Images, labels: Labels | None, config: EvaluationConfig) -> Finder | None:
    return None if labels is None else train_finder(images, labels, config.judge, config.seed + 2)


def _judge(finder: Finder | None, images: Images, labels: Labels | None, config: EvaluationConfig) -> Judge | None:
    if finder is None or labels is None:
        return None
    return train_judge(finder, images, labels, config.judge, config.seed + 2)


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
    """What an attacker makes of pictures before it looks: upright faces by the landmarks that are found.

    The landmarks are found in the very picture that is attacked, masked or not: nothing is taken from its labels.
    Without a finder the pictures are only resized.
    """

    finder: Finder | None
    size: int

    def __call__(self, images: Images) -> Images:
        if self.finder is None:
            return resized(images, self.size)
        return Frames.of(find_landmarks(self.finder, images)).crop(images, Window(*HEAD, self.size))


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


def _on_masked(bench: _Bench, cropped: _Cropper, views: list[Images], masked: Images) -> list[Attack]:
    return bench.strong("masked", np.stack([cropped(view) for view in views]), cropped(masked))


def _on_pixelated(bench: _Bench, cropped: _Cropper, attacker: Images, test: Images) -> list[Attack]:
    """A power check: the strong attacker, trained in the same way, against pixelation."""
    pixelation = Pixelation(bench.config.power.pixel)
    views, probes = mask_all(pixelation, attacker, "attacker"), mask_all(pixelation, test, "test")
    return bench.strong("pixelated", cropped(views)[None], cropped(probes))


def _on_clear(bench: _Bench) -> list[Attack]:
    """A power check: the strong attacker against no masking at all, where clear and treated galleries are the same."""
    return bench.strong("clear", bench.known.images[None], bench.test)[:1]


def _power(attacks: list[Attack], config: EvaluationConfig) -> Power:
    def best(pictures: Pictures) -> float:
        strong = (attack for attack in attacks if attack.attacker == "strong" and attack.pictures == pictures)
        return max(attack.result.rank1.value for attack in strong)

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
