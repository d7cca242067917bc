"""The evaluation of a masker: attack it, check the attackers' power, judge what is left of use."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.faces.face_set import FACTORS, FaceSet
from identity_masker.masking.alignment import Window
from identity_masker.masking.attackers import KnownPeople, mask_all, train_clear
from identity_masker.masking.background import background_psnr
from identity_masker.masking.bench import HEAD, Bench, Cropper, Found
from identity_masker.masking.device import choose
from identity_masker.masking.encoder import Encoder
from identity_masker.masking.evaluation_config import EvaluationConfig
from identity_masker.masking.evidence import Attack, Evaluation, Pictures, Power
from identity_masker.masking.examination import Examiner
from identity_masker.masking.examiner import make_examiner
from identity_masker.masking.groups import GroupFigures, Told, by_group, tell
from identity_masker.masking.judge import Finder, Judge, Labels, Reading, read, train_finder, train_judge
from identity_masker.masking.motion import flicker
from identity_masker.masking.resampling import Resampling
from identity_masker.masking.similarity import ssim
from identity_masker.masking.utility import GROUPS, Kept, Utility, landmark_errors, measure_utility
from identity_masker.masking.verification import Trial, draw_trial

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Images = NDArray[np.uint8]
Report = Callable[[str], None]
STAGES = ("mask the pictures", "train the judge and the clear encoder", "train the strong attackers")
EXPRESSION = ("blink", "brow", "mouth", "smile")
SEEN_AT_ONCE, DETECTED = 256, 800
"""Pictures that the examiner looks at, at once and at least where there are as many."""


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
    masked, readings = trained.masked, _readings(trained.judge, test, trained.masked)
    detected = None
    if examiner is not None:
        make_examiner(
            _on_processor(trained.finder), trained.clear.cpu(), Window(*HEAD, config.encoder.size), attacker.images,
            test.images, test.identities, examiner, config.seed,
        )  # fmt: skip
        detected = _detected(Examiner(examiner), test.images, masked)
    return Evaluation(
        architecture=masker.architecture,
        photographs=len(test),
        people=trial.people,
        chance=1.0 / trial.people,
        attacks=trained.attacks,
        power=_power(trained.attacks, config),
        utility=_utility(readings, test, config),
        background_psnr=None if test.landmarks is None else background_psnr(test.images, masked, test.landmarks),
        groups=_groups(trained.found, readings, test, trial, config),
        ssim=ssim(test.images, masked),
        detected=detected,
        flicker=None
        if config.motion is None
        else flicker(masker, config.seed, config.motion.people, config.motion.frames, config.size),
        unchanged=int((masked == test.images).all(axis=(1, 2, 3)).sum()),
        changed=float((masked != test.images).any(axis=3).mean()),
        seconds=round(time.monotonic() - started, 2),
        config=config,
    )


@dataclass(frozen=True)
class _Trained:
    """What an evaluation trained, and the attacks with it; `found` is what the strong attacker found in masked ones."""

    attacks: list[Attack]
    found: Found
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
    device = choose(config.device)
    labels = Labels.of(attacker)
    finding = pool.submit(_finder, attacker.images, labels, config, device)
    views_needed = max(config.strong.views, 0 if config.parrot is None else config.parrot.views)
    masking = [pool.submit(mask_all, masker, attacker.images, f"attacker/{n}") for n in range(views_needed)]
    masked = pool.submit(mask_all, masker, test.images, "test").result()
    finder, views = finding.result(), [part.result() for part in masking]

    report(STAGES[1])
    judging = pool.submit(_judge, finder, attacker.images, labels, config)
    crop = Cropper(finder, config.encoder.size)
    known = KnownPeople.of(crop(attacker.images), attacker.identities)
    clear = pool.submit(train_clear, known, config.encoder, config.seed, device).result()
    judge = judging.result()

    report(STAGES[2])
    bench = Bench(known, crop(test.images), trial, config, clear, crop)
    seen, probes = np.stack([crop(view) for view in views]), crop(masked)
    strong = pool.submit(bench.on_masked, masker, seen[: config.strong.views], probes, test.images)
    jobs: list[Future[Found]] = [strong]
    if config.power is not None:
        jobs += [
            pool.submit(bench.on_pixelated, attacker.images, test.images, config.power),
            pool.submit(bench.on_clear),
        ]
    if config.parrot is not None:
        jobs.append(pool.submit(bench.parrot, seen[: config.parrot.views], probes, config.parrot))
    if config.inversion is not None:
        jobs.append(pool.submit(bench.inversion, "masked", seen, probes, config.inversion))
    attacks = bench.naive(probes) + [attack for job in jobs for attack in job.result().attacks]
    return _Trained(attacks, strong.result(), judge, finder, clear.encoder, masked)


def _finder(images: Images, labels: Labels | None, config: EvaluationConfig, device: torch.device) -> Finder | None:
    return None if labels is None else train_finder(images, labels, config.judge, config.seed + 2, device)


def _judge(finder: Finder | None, images: Images, labels: Labels | None, config: EvaluationConfig) -> Judge | None:
    if finder is None or labels is None:
        return None
    return train_judge(finder, images, labels, config.judge, config.seed + 2)


def _on_processor(finder: Finder | None) -> Finder | None:
    return None if finder is None else Finder(finder.whole.cpu(), finder.face.cpu())


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


def _power(attacks: list[Attack], config: EvaluationConfig) -> Power | None:
    if config.power is None:
        return None

    def best(pictures: Pictures) -> float:
        strong = (attack for attack in attacks if attack.attacker == "strong" and attack.pictures == pictures)
        return max(attack.result.rank1.value for attack in strong)

    return Power(
        rank1_pixelated=best("pixelated"),
        rank1_identity=best("clear"),
        min_rank1_pixelated=config.power.min_rank1_pixelated,
        min_rank1_identity=config.power.min_rank1_identity,
    )


@dataclass(frozen=True)
class _Readings:
    """What the judge reads in the clear and in the masked test pictures, and what is true."""

    clear: Reading
    masked: Reading
    labels: Labels


def _readings(judge: Judge | None, test: FaceSet, masked: Images) -> _Readings | None:
    labels = Labels.of(test)
    if judge is None or labels is None:
        return None
    return _Readings(read(judge, test.images), read(judge, masked), labels)


def _utility(readings: _Readings | None, test: FaceSet, config: EvaluationConfig) -> Utility | None:
    if readings is None:
        return None
    resample = Resampling(test.identities, config.bootstrap, config.confidence, config.seed)
    return measure_utility(readings.clear, readings.masked, readings.labels, resample)


def _groups(
    found: Found, readings: _Readings | None, test: FaceSet, trial: Trial, config: EvaluationConfig
) -> tuple[GroupFigures, ...]:
    """Leak and error of every group of people and pictures."""
    assert found.hits is not None and found.areas is not None  # noqa: S101, PT018 - the strong attacker fills them
    told = {"rank1": Told(trial.probes, found.hits), "auc": Told(trial.probes, found.areas)}
    if readings is not None:
        rows = np.arange(len(test))
        off = np.abs(readings.masked.factors - readings.labels.factors).astype(np.float64)

        def error(names: tuple[str, ...]) -> Told:
            columns = [FACTORS.index(factor) for name in names for factor in GROUPS[name]]
            return Told(rows, off[:, columns].mean(axis=1))

        landmarks = landmark_errors(readings.masked.landmarks, readings.labels.landmarks)
        told |= {
            "pose error": error(("pose",)),
            "expression error": error(EXPRESSION),
            "landmark error": Told(rows, landmarks.astype(np.float64)),
        }
    return by_group(tell(test), test.identities, told, config.bootstrap, config.confidence, config.seed)


def _detected(examiner: Examiner, clear: Images, masked: Images) -> Kept:
    step = max(1, len(clear) // DETECTED)

    def share(images: Images) -> float:
        some = images[::step]
        seen = [examiner.see(some[at : at + SEEN_AT_ONCE]).face > 0.0 for at in range(0, len(some), SEEN_AT_ONCE)]
        return float(np.concatenate(seen).mean())

    return Kept(clear=share(clear), masked=share(masked))
