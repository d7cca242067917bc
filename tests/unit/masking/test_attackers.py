from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.masking.attackers import KnownPeople, mask_all, train_clear, train_strong
from identity_masker.masking.evaluation_config import EncoderConfig, StrongConfig

ENCODER = EncoderConfig(size=32, widths=(8, 8, 8, 8), embedding=16, steps=40, batch=16)


class Recording:
    """Paints pictures grey and notes the keys."""

    architecture = "recording"
    size = 64

    def __init__(self) -> None:
        self.keys: list[str] = []

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        self.keys += keys
        return np.full_like(images, 128)


class Shrinking(Recording):
    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        return images[:, ::2]


def coloured_people(people: int, each: int, seed: int = 0) -> KnownPeople:
    """People who are plain colours, under noise."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    colours = np.random.default_rng(99).integers(40, 216, (people, 1, 1, 3))
    images = colours[who] + random.normal(0, 12, (len(who), 32, 32, 3))
    return KnownPeople(images.clip(0, 255).astype(np.uint8), who)


def test_every_picture_is_masked_with_a_key_of_its_own() -> None:
    masker = Recording()
    images = np.zeros((300, 8, 8, 3), np.uint8)
    assert (mask_all(masker, images, "first") == 128).all()
    mask_all(masker, images, "second")
    assert len(set(masker.keys)) == 600


def test_a_masker_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(MaskerError, match="broke its contract"):
        mask_all(Shrinking(), np.zeros((2, 8, 8, 3), np.uint8), "any")


def test_one_person_is_nobody_to_tell_apart() -> None:
    with pytest.raises(BadInputError, match="at least 2 people"):
        KnownPeople.of(np.zeros((3, 8, 8, 3), np.uint8), np.array(["a", "a", "a"]))


def test_people_are_numbered_in_the_order_of_their_names() -> None:
    known = KnownPeople.of(np.zeros((4, 8, 8, 3), np.uint8), np.array(["b", "a", "c", "a"]))
    assert known.people.tolist() == [1, 0, 2, 0]


def test_the_clear_encoder_learns_its_people_and_repeats() -> None:
    known = coloured_people(6, 8)
    first, second = (train_clear(known, ENCODER, seed=2) for _ in range(2))
    assert first.train_accuracy > 0.8
    same = zip(first.encoder.parameters(), second.encoder.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in same)


def test_the_strong_attacker_starts_warm_and_leaves_the_clear_encoder_alone() -> None:
    known = coloured_people(6, 8)
    clear = train_clear(known, ENCODER, seed=2)
    before = [parameter.clone() for parameter in clear.encoder.parameters()]
    # One step at no rate to speak of: what it knows, it knows from the clear encoder and its class means.
    config = StrongConfig(steps=1, batch=16, learning_rate=1e-9, clear_share=0.0)
    strong = train_strong(clear.encoder, known, known.images[None], ENCODER, config, seed=3)
    assert strong.train_accuracy > 0.8
    after = clear.encoder.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_the_strong_attacker_learns_from_masked_views() -> None:
    known = coloured_people(6, 8)
    clear = train_clear(known, ENCODER, seed=2)
    # A masker that only inverts the colours: the clear encoder is lost, but a retrained one is not.
    inverted = (255 - known.images)[None]
    untrained = StrongConfig(steps=1, batch=16, learning_rate=1e-9, clear_share=0.0)
    trained = StrongConfig(steps=60, batch=16, clear_share=0.0)
    naive = train_strong(clear.encoder, known, inverted, ENCODER, untrained, seed=3)
    strong = train_strong(clear.encoder, known, inverted, ENCODER, trained, seed=3)
    assert naive.train_accuracy < 0.5
    assert strong.train_accuracy > 0.8
