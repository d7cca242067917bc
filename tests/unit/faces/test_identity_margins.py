"""Pictures under wrong names have margins below zero, and what cannot be compared has none."""

from __future__ import annotations

import numpy as np
import pytest

from identity_masker.faces import render
from identity_masker.faces.identity_margins import identity_margins
from identity_masker.faces.looks import looks


def test_a_picture_under_a_wrong_name_has_a_margin_below_zero() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (30, 16))
    people = np.repeat(np.arange(30), 12)
    # Light varies much more than people do, in a direction of its own.
    vectors = centres[people] + rng.normal(0, 0.3, (360, 16)) + np.outer(rng.normal(0, 8, 360), np.eye(16)[0])
    said = people.copy()
    wrong = rng.choice(360, 10, replace=False)
    said[wrong] = (people[wrong] + 1 + rng.integers(0, 28, 10)) % 30
    margins = identity_margins(vectors.astype(np.float32), said)
    assert set(np.flatnonzero(margins < 0)) == set(wrong)


def test_what_cannot_be_compared_has_no_margin() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert np.isnan(identity_margins(vectors, np.zeros(5, dtype=np.int64))).all()
    assert np.isnan(identity_margins(vectors, np.array([0, 0, 1, 1, 2]))).tolist() == [False] * 4 + [True]
    assert len(identity_margins(vectors[:0], np.empty(0, dtype=np.int64))) == 0


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_margins_do_not_depend_on_the_scale(scale: float) -> None:
    rng = np.random.default_rng(3)
    vectors, people = rng.normal(size=(60, 5)).astype(np.float32), np.repeat(np.arange(6), 10)
    expected = identity_margins(vectors, people)
    np.testing.assert_allclose(identity_margins((vectors * scale).astype(np.float32), people), expected, atol=2e-3)


def test_a_person_who_has_no_picture_is_nobodys_likeliest_other() -> None:
    rng = np.random.default_rng(1)
    people = np.repeat([0, 2], 20)
    vectors = (people[:, None] + rng.normal(0, 0.1, (40, 6))).astype(np.float32)
    margins = identity_margins(vectors, people)
    assert np.isfinite(margins).all()
    assert (margins > 0).all()


def test_drawn_faces_under_wrong_names_are_most_of_the_lowest_margins() -> None:
    people = np.repeat(np.arange(40), 12)
    drawn = render.draw(1, people, np.tile(np.arange(12), 40), 64).images
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(people), 10, replace=False)
    said = people.copy()
    said[wrong] = (people[wrong] + 1 + rng.integers(0, 38, 10)) % 40
    margins = identity_margins(looks(drawn), said)
    assert len(set(np.argsort(margins)[:10]) & set(wrong)) >= 7
