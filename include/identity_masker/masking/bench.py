"""The attacks of one evaluation, and what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from identity_masker.masking.alignment import Frames, Window, resized
from identity_masker.masking.attackers import Attacker, KnownPeople, mask_all, train_strong
from identity_masker.masking.baselines import Pixelation
from identity_masker.masking.encoder import embed
from identity_masker.masking.evaluation_config import (
    EvaluationConfig,
    InversionConfig,
    LinkageConfig,
    PowerConfig,
    StrongConfig,
)
from identity_masker.masking.evidence import Attack, AttackerName, Gallery, Pictures
from identity_masker.masking.inversion import invert, train_inverter
from identity_masker.masking.judge import Finder, find_landmarks
from identity_masker.masking.verification import Trial, Verification, areas_below, hits_at, similarity, verify

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Images = NDArray[np.uint8]
Embeddings = NDArray[np.float64]
HEAD = (0.5, 0.5, 0.42)
"""The part of an upright face's frame that the attackers see: centre and half side of the window."""


@dataclass(frozen=True)
class Cropper:
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
class Found:
    """What a job found: its attacks, and for each probe whether it was named and how far it was from being it.

    `hits` and `areas` (Q,) are of the attacker's better gallery: the probability that the probe is named, and the
    share of the other templates that score below its own.
    """

    attacks: list[Attack]
    hits: NDArray[np.float64] | None = None
    areas: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Bench:
    """What all attacks of one evaluation share: the known people, the test crops, the trial, the clear encoder."""

    known: KnownPeople
    test: Images
    trial: Trial
    config: EvaluationConfig
    clear: Attacker
    crop: Cropper

    def naive(self, masked: Images) -> list[Attack]:
        """The clear encoder on clear pictures, and on masked probes with clear pictures enrolled."""
        clear, found = embed(self.clear.encoder, self.test), embed(self.clear.encoder, masked)
        return [
            self._attack("naive", "clear", "clear", clear, clear, self.clear.train_accuracy),
            self._attack("naive", "masked", "clear", clear, found),
        ]

    def on_masked(self, masker: Masker, views: Images, masked: Images, raw: Images) -> Found:
        """The strong attacker on masked pictures, and on tracks of them; `raw` are the test pictures as they were."""
        trained = self._trained(views, self.config.strong)
        clear, found = embed(trained.encoder, self.test), embed(trained.encoder, masked)
        attacks = self._strong("strong", "masked", trained, clear, found)
        if self.config.linkage is not None:
            attacks += self._linkage(masker, self.config.linkage, trained, clear, raw)
        better = max(attacks[:2], key=lambda attack: attack.result.auc.value)
        scores = self._scores(clear if better.gallery == "clear" else found, found)
        return Found(attacks, hits_at(scores, self.trial.owners, 1), areas_below(scores, self.trial.owners))

    def parrot(self, views: Images, masked: Images, config: StrongConfig) -> Found:
        """A strong attacker that trains on masked pictures alone, and enrols such."""
        trained = self._trained(views, config.model_copy(update={"clear_share": 0.0}))
        found = embed(trained.encoder, masked)
        return Found([self._attack("parrot", "masked", "treated", found, found, trained.train_accuracy)])

    def inversion(self, pictures: Pictures, views: Images, probes: Images, config: InversionConfig) -> Found:
        """The clear encoder on what an inverter makes of treated pictures."""
        inverter = train_inverter(
            views, self.known.images, self.clear.copied(), config, self.config.seed + 3
        )  # fmt: skip
        clear, found = embed(self.clear.encoder, self.test), embed(self.clear.encoder, invert(inverter, probes))
        return Found([self._attack("inversion", pictures, "clear", clear, found)])

    def on_pixelated(self, attacker: Images, test: Images, config: PowerConfig) -> Found:
        """A power check: the same attackers, trained in the same way, against pixelation."""
        pixelation = Pixelation(config.pixel)
        views = self.crop(mask_all(pixelation, attacker, "attacker"))[None]
        probes = self.crop(mask_all(pixelation, test, "test"))
        trained = self._trained(views, self.config.strong)
        clear, found = embed(trained.encoder, self.test), embed(trained.encoder, probes)
        attacks = self._strong("strong", "pixelated", trained, clear, found)
        if self.config.inversion is not None:
            attacks += self.inversion("pixelated", views, probes, self.config.inversion).attacks
        return Found(attacks)

    def on_clear(self) -> Found:
        """A power check: the strong attacker against no masking, where clear and treated galleries are the same."""
        trained = self._trained(self.known.images[None], self.config.strong)
        clear = embed(trained.encoder, self.test)
        return Found([self._attack("strong", "clear", "clear", clear, clear, trained.train_accuracy)])

    def _trained(self, views: Images, config: StrongConfig) -> Attacker:
        return train_strong(
            self.clear.encoder, self.known, views, self.config.encoder, config, self.config.seed + 1
        )  # fmt: skip

    def _strong(
        self, attacker: AttackerName, pictures: Pictures, trained: Attacker, clear: Embeddings, found: Embeddings
    ) -> list[Attack]:
        galleries: list[tuple[Gallery, Embeddings]] = [("clear", clear), ("treated", found)]
        return [
            self._attack(attacker, pictures, gallery, enrolled, found, trained.train_accuracy)
            for gallery, enrolled in galleries
        ]

    def _linkage(
        self, masker: Masker, config: LinkageConfig, trained: Attacker, clear: Embeddings, raw: Images
    ) -> list[Attack]:
        """Every person's probes as tracks of one key each; an attacker averages what it sees in a track."""
        tracks, owners, keys = self._tracks(config.tracks)
        rows = np.concatenate(tracks)
        masked = masker.mask(raw[rows], keys)
        seen = embed(trained.encoder, self.crop(masked))
        ends = np.cumsum([len(track) for track in tracks])
        means = np.stack([part.mean(axis=0) for part in np.split(seen, ends[:-1])])
        trial = Trial(self.trial.gallery, np.arange(len(tracks)), owners)
        return [
            Attack(
                attacker="linkage", pictures="masked", gallery="clear",
                result=self._verified(trial, clear, means),
            )
        ]  # fmt: skip

    def _tracks(self, count: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64], list[str]]:
        """Rows of each track, its owner, and the key of each row."""
        tracks, owners, keys = [], [], []
        for person in range(self.trial.people):
            rows = self.trial.probes[self.trial.owners == person]
            for number, track in enumerate(np.array_split(rows, count)):
                if len(track):
                    tracks.append(track)
                    owners.append(person)
                    keys += [f"evaluation/track/{person}/{number}"] * len(track)
        return tracks, np.array(owners), keys

    def _attack(
        self, attacker: AttackerName, pictures: Pictures, gallery: Gallery, enrolled: Embeddings, probes: Embeddings,
        train_accuracy: float | None = None,
    ) -> Attack:  # fmt: skip
        return Attack(
            attacker=attacker, pictures=pictures, gallery=gallery, train_accuracy=train_accuracy,
            result=self._verified(self.trial, enrolled, probes),
        )  # fmt: skip

    def _verified(self, trial: Trial, gallery: Embeddings, probes: Embeddings) -> Verification:
        return verify(
            trial, gallery, probes,
            resamples=self.config.bootstrap, confidence=self.config.confidence, seed=self.config.seed,
        )  # fmt: skip

    def _scores(self, gallery: Embeddings, probes: Embeddings) -> Embeddings:
        return similarity(gallery[self.trial.gallery].mean(axis=1), probes[self.trial.probes])
