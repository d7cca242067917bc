from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.masking.verification import (
    Trial,
    Verification,
    areas_below,
    draw_trial,
    hits_at,
    similarity,
    verify,
)

Floats = NDArray[np.float64]


def photographs(people: int, each: int) -> NDArray[np.str_]:
    return np.repeat(np.array([f"p{person:03d}" for person in range(people)]), each)


def figures(trial: Trial, embeddings: Floats, probes: Floats | None = None) -> Verification:
    taken = embeddings if probes is None else probes
    return verify(trial, embeddings, taken, resamples=40, confidence=0.9, seed=1)


def noisy(identities: NDArray[np.str_], noise: float, seed: int = 0) -> Floats:
    """A direction for each person and Gaussian noise around it."""
    random = np.random.default_rng(seed)
    _, people = np.unique(identities, return_inverse=True)
    directions = random.normal(size=(people.max() + 1, 16))
    return directions[people] + noise * random.normal(size=(len(people), 16))


def test_a_perfect_encoder_finds_everybody() -> None:
    identities = photographs(12, 6)
    found = figures(draw_trial(identities, 3, 0), noisy(identities, 0.0))
    assert found.rank1.value == found.rank5.value == found.auc.value == 1.0
    assert found.eer.value == 0.0
    assert found.rank1.low == found.rank1.high == 1.0


def test_equal_embeddings_are_exactly_chance() -> None:
    identities = photographs(20, 5)
    found = figures(draw_trial(identities, 2, 0), np.ones((100, 8)))
    assert found.rank1.value == pytest.approx(found.chance) == pytest.approx(1 / 20)
    assert found.rank5.value == pytest.approx(5 / 20)
    assert found.auc.value == pytest.approx(0.5)
    assert found.eer.value == pytest.approx(0.5)
    assert found.tar_at_far_1e2 is not None
    assert found.tar_at_far_1e2.value == pytest.approx(0.01)


def test_random_embeddings_are_chance_within_the_interval() -> None:
    identities = photographs(40, 20)
    found = figures(draw_trial(identities, 3, 0), np.random.default_rng(5).normal(size=(800, 16)))
    assert found.rank1.low <= found.chance <= found.rank1.high
    assert found.auc.low <= 0.5 <= found.auc.high
    assert found.rank1.high < 3 * found.chance


def test_more_noise_means_worse_figures() -> None:
    identities = photographs(30, 8)
    trial = draw_trial(identities, 3, 0)
    found = [figures(trial, noisy(identities, noise)) for noise in (0.3, 2.0, 6.0)]
    assert found[0].rank1.value > found[1].rank1.value > found[2].rank1.value
    assert found[0].auc.value > found[1].auc.value > found[2].auc.value
    assert found[0].eer.value < found[1].eer.value < found[2].eer.value


def test_gallery_and_probes_may_come_from_different_pictures() -> None:
    identities = photographs(20, 6)
    clear, masked = noisy(identities, 0.1), np.random.default_rng(3).normal(size=(120, 16))
    trial = draw_trial(identities, 3, 0)
    assert figures(trial, clear).rank1.value > 0.95
    assert figures(trial, clear, masked).rank1.value < 0.3


def test_rates_need_enough_impostor_pairs() -> None:
    few = photographs(4, 5)
    found = figures(draw_trial(few, 3, 0), noisy(few, 0.5))
    assert found.tar_at_far_1e2 is None
    many = photographs(40, 12)
    assert figures(draw_trial(many, 3, 0), noisy(many, 0.5)).tar_at_far_1e3 is not None


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_roc_area_is_the_share_of_pairs_in_the_right_order(people: int, seed: int, decimals: int) -> None:
    identities = photographs(people, 4)
    trial = draw_trial(identities, 2, seed)
    # Few decimals make ties.
    embeddings = np.round(np.random.default_rng(seed).normal(size=(len(identities), 3)), decimals)
    scores = similarity(embeddings[trial.gallery].mean(axis=1), embeddings[trial.probes])
    own = np.arange(people) == trial.owners[:, None]
    genuine, impostor = scores[own], scores[~own]
    ahead = (genuine[:, None] > impostor).mean() + 0.5 * (genuine[:, None] == impostor).mean()
    assert figures(trial, embeddings).auc.value == pytest.approx(ahead, abs=1e-12)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_hits_rise_with_the_rank_and_ties_share_them(templates: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, size=(7, templates)).astype(float)
    owners = random.integers(0, templates, size=7)
    hits = np.array([hits_at(scores, owners, k) for k in range(1, templates + 1)])
    assert (np.diff(hits, axis=0) >= 0).all()
    assert np.allclose(hits[-1], 1.0)
    everyone = sum(hits_at(scores, np.full(7, template), 1) for template in range(templates))
    assert np.allclose(everyone, 1.0)


def test_a_probe_is_never_enrolled() -> None:
    identities = photographs(9, 7)
    trial = draw_trial(identities, 3, 4)
    assert not np.intersect1d(trial.gallery, trial.probes).size
    assert (identities[trial.gallery] == identities[trial.gallery][:, :1]).all()
    assert (identities[trial.probes] == identities[trial.gallery[trial.owners, 0]]).all()
    assert len(trial.probes) == 9 * 4


def test_people_with_too_few_photographs_stay_out() -> None:
    identities = np.concatenate([photographs(3, 5), np.array(["lone", "lone", "lone"])])
    assert draw_trial(identities, 3, 0).people == 3


def test_one_person_cannot_be_attacked() -> None:
    with pytest.raises(BadInputError, match="too few people"):
        draw_trial(photographs(1, 10), 3, 0)


def test_intervals_cover_the_estimate_and_repeat() -> None:
    identities = photographs(15, 8)
    trial = draw_trial(identities, 3, 0)
    first, second = (figures(trial, noisy(identities, 2.0)) for _ in range(2))
    assert first == second
    for estimate in (first.rank1, first.rank5, first.auc, first.eer):
        assert estimate.low <= estimate.value <= estimate.high
    assert first.rank1.high - first.rank1.low > 0.01


def test_two_people_give_an_interval() -> None:
    identities = photographs(2, 6)
    found = figures(draw_trial(identities, 3, 0), noisy(identities, 1.0))
    assert 0.0 <= found.auc.low <= found.auc.high <= 1.0


def test_who_is_surely_found_is_above_all_others_and_who_looks_like_nobody_is_in_the_middle() -> None:
    owners = np.repeat(np.arange(6), 5)
    found = np.random.default_rng(0).normal(0, 0.1, (30, 6))
    found[np.arange(30), owners] += 5.0
    assert areas_below(found, owners).tolist() == [1.0] * 30
    alike = np.tile(np.linspace(0.1, 0.9, 6), (30, 1))
    assert areas_below(alike, owners).tolist() == [0.5] * 30


def test_chance_is_a_half_on_average_whatever_the_templates_are_like() -> None:
    random = np.random.default_rng(1)
    scores = random.normal(0, 1, (3000, 10)) * random.uniform(0.5, 2, 10) + random.normal(0, 3, 10)
    owners = np.repeat(np.arange(10), 300)
    assert abs(areas_below(scores, owners).mean() - 0.5) < 0.03
    by_person = areas_below(scores, owners).reshape(10, 300).mean(axis=1)
    assert np.abs(by_person - 0.5).max() < 0.08
