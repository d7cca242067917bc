"""The attackers: networks that try to find the person behind a masked picture.

The naive one knows clear faces only. The strong one has the masker in its hands: it masks photographs of people
it knows, several times each, and trains on them, starting from the clear encoder with the class weights at the
class means. A masker that fools the first and not the second has hidden nothing (Hanisch et al., 2210.10651,
"parrot" and "informed" attackers).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.masking.device import CPU, device_of
from identity_masker.masking.encoder import AngularMargin, Encoder, class_means, embed, to_tensor
from identity_masker.masking.evaluation_config import EncoderConfig, StrongConfig
from identity_masker.masking.fitting import fit, initialised, moved, offsets, shuffled

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

Images = NDArray[np.uint8]
MASKING_BATCH = 128
MIRRORED_SHARE = 0.5


@dataclass(frozen=True)
class Attacker:
    """A trained encoder and how often it names its own training people on its own training pictures."""

    encoder: Encoder
    train_accuracy: float

    def copied(self) -> Encoder:
        """The encoder for who changes its state; attacks run side by side."""
        return copy.deepcopy(self.encoder)


@dataclass(frozen=True)
class KnownPeople:
    """The crops of photographs that an attacker has names for: images (N, S, S, 3), people (N,) in 0 .. P-1."""

    images: Images
    people: NDArray[np.int64]

    @staticmethod
    def of(images: Images, identities: NDArray[np.str_]) -> KnownPeople:
        names, people = np.unique(identities, return_inverse=True)
        if len(names) < 2:
            raise BadInputError(
                "an attacker cannot be trained", got=f"{len(names)} people", allowed="at least 2 people to tell apart"
            )
        return KnownPeople(images, people.astype(np.int64))


def mask_all(masker: Masker, images: Images, purpose: str) -> Images:
    """Every image masked with a key of its own, so that nothing but the picture links two of one person.

    Raises `MaskerError` when the masker does not keep to its contract.
    """
    parts = []
    for start in range(0, len(images), MASKING_BATCH):
        batch = images[start : start + MASKING_BATCH]
        keys = [f"evaluation/{purpose}/{row}" for row in range(start, start + len(batch))]
        masked = masker.mask(batch, keys)
        if masked.shape != batch.shape or masked.dtype != np.uint8:
            raise MaskerError(
                "the masker broke its contract",
                got=f"{masked.dtype} {masked.shape}",
                allowed=f"uint8 {batch.shape}",
            )
        parts.append(masked)
    return np.concatenate(parts)


def train_clear(known: KnownPeople, config: EncoderConfig, seed: int, device: torch.device = CPU) -> Attacker:
    """The clear encoder: trained from random weights on clear photographs of known people."""
    random = np.random.default_rng(seed)
    people = int(known.people.max()) + 1
    encoder, centres = initialised(seed, lambda: (Encoder(config), torch.randn(people, config.embedding)))
    encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    head = AngularMargin(centres, config.margin, config.scale)
    batches = shuffled(len(known.people), config.batch, random)

    def pick(rows: NDArray[np.int64]) -> Images:
        return known.images[rows]

    _train(encoder, head, known.people, pick, batches, random, config.steps, config.learning_rate)
    return Attacker(encoder, _train_accuracy(encoder, head, known.images, known.people))


def train_strong(
    clear: Encoder, known: KnownPeople, views: Images, encoder: EncoderConfig, config: StrongConfig, seed: int
) -> Attacker:
    """The strong attacker. `views` (V, N, S, S, 3) are the photographs of `known`, masked V times."""
    random = np.random.default_rng(seed)
    warm = copy.deepcopy(clear)
    head = AngularMargin(class_means(embed(warm, known.images), known.people), encoder.margin, encoder.scale)
    batches = shuffled(len(known.people), config.batch, random)

    def pick(rows: NDArray[np.int64]) -> Images:
        chosen = views[random.integers(0, len(views), len(rows)), rows]
        clear_rows = random.random(len(rows)) < config.clear_share
        chosen[clear_rows] = known.images[rows[clear_rows]]
        return chosen

    _train(warm, head, known.people, pick, batches, random, config.steps, config.learning_rate)
    return Attacker(warm, _train_accuracy(warm, head, views[0], known.people))


def _train(
    encoder: Encoder,
    head: AngularMargin,
    people: NDArray[np.int64],
    pick: Callable[[NDArray[np.int64]], Images],
    batches: Iterator[NDArray[np.int64]],
    random: np.random.Generator,
    steps: int,
    learning_rate: float,
) -> None:
    device = device_of(encoder)
    head.to(device)
    targets = torch.from_numpy(people)

    def loss(rows: NDArray[np.int64]) -> Tensor:
        pictures = to_tensor(moved(pick(rows), offsets(len(rows), random)), device)
        mirrored = torch.from_numpy(random.random(len(rows)) < MIRRORED_SHARE).to(device)[:, None, None, None]
        seen = torch.where(mirrored, pictures.flip(3), pictures)
        value: Tensor = head(encoder(seen), targets[rows].to(device))
        return value

    fit(nn.ModuleList([encoder, head]), loss, batches, steps=steps, learning_rate=learning_rate)


@torch.inference_mode()
def _train_accuracy(encoder: Encoder, head: AngularMargin, images: Images, people: NDArray[np.int64]) -> float:
    embeddings = torch.from_numpy(embed(encoder, images)).float().to(device_of(encoder))
    guesses = head.cosines(embeddings).argmax(dim=1).cpu().numpy()
    return float(np.mean(guesses == people))
