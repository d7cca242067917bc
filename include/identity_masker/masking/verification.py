"""How well embeddings tell people apart: identification (rank-k) and verification (ROC), with intervals over people.

The protocol is the usual one of face recognition: a person's template is the mean of the embeddings of a few
photographs (the gallery); every other photograph is a probe, compared with all templates. A probe is never
compared with a picture of its own, so likeness of pictures cannot pass for likeness of people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from identity_masker.errors import BadInputError

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SCORE_DECIMALS = 6
"""Scores closer than this are ties: equal pictures embed equally only up to the order of summation."""

IMPOSTORS_PER_FALSE_ACCEPT = 10
"""A rate of 1 in n is measured on at least this many times n impostor pairs, or not at all."""


class Estimate(BaseModel):
    """A measured number with the interval that a bootstrap over people gives it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float


class Verification(BaseModel):
    """Figures of one attack. `chance` is the rank-1 rate of guessing; an AUC of 0.5 is guessing too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: int
    probes: int
    chance: float
    rank1: Estimate
    rank5: Estimate
    auc: Estimate
    eer: Estimate
    tar_at_far_1e2: Estimate | None
    tar_at_far_1e3: Estimate | None


@dataclass(frozen=True)
class Trial:
    """Which photographs are enrolled and which are probes.

    gallery  (P, G) rows of the photographs of each person's template
    probes   (Q,) rows of the probes
    owners   (Q,) person of each probe, an index into `gallery`
    """

    gallery: Rows
    probes: Rows
    owners: Rows

    @property
    def people(self) -> int:
        return len(self.gallery)


def draw_trial(identities: NDArray[np.str_], gallery: int, seed: int) -> Trial:
    """Enrol `gallery` photographs of every person, drawn at random; people with no photograph left over stay out.

    Raises `BadInputError` when fewer than two people remain.
    """
    random = np.random.default_rng(seed)
    enrolled: list[Rows] = []
    probes: list[Rows] = []
    for person in np.unique(identities):
        rows = random.permutation(np.flatnonzero(identities == person))
        if len(rows) > gallery:
            enrolled.append(rows[:gallery])
            probes.append(rows[gallery:])
    if len(enrolled) < 2:
        raise BadInputError(
            "too few people to attack",
            got=f"{len(enrolled)} people with more than {gallery} photographs",
            allowed="at least 2",
            fix="use a dataset with more photographs of each test person, or lower evaluation.gallery",
        )
    owners = np.repeat(np.arange(len(enrolled)), [len(rows) for rows in probes])
    return Trial(np.stack(enrolled), np.concatenate(probes), owners)


def verify(
    trial: Trial, gallery: Floats, probes: Floats, *, resamples: int, confidence: float, seed: int
) -> Verification:
    """Figures of an attacker whose embeddings of all photographs are `gallery` and `probes`, each (N, D).

    The two differ when the attacker enrols clear photographs and meets masked ones; pass the same array twice
    when both are of one kind.
    """
    scores = similarity(gallery[trial.gallery].mean(axis=1), probes[trial.probes])
    counts = _draws(trial.people, resamples, seed)
    roc = _Roc(scores, trial.owners)
    curves = [roc.figures(weights) for weights in counts]
    figures = [_interval(column, confidence) for column in np.array(curves).T]
    impostors = scores.size - len(scores)
    return Verification(
        people=trial.people,
        probes=len(trial.probes),
        chance=1.0 / trial.people,
        rank1=_rank(scores, trial.owners, 1, counts, confidence),
        rank5=_rank(scores, trial.owners, 5, counts, confidence),
        auc=figures[0],
        eer=figures[1],
        tar_at_far_1e2=figures[2] if impostors >= IMPOSTORS_PER_FALSE_ACCEPT * 1e2 else None,
        tar_at_far_1e3=figures[3] if impostors >= IMPOSTORS_PER_FALSE_ACCEPT * 1e3 else None,
    )


def similarity(templates: Floats, probes: Floats) -> Floats:
    """Cosines of probes (Q, D) and templates (P, D): (Q, P), rounded so that equal pictures tie."""
    cosines: Floats = np.round(_unit(probes) @ _unit(templates).T, SCORE_DECIMALS)
    return cosines


def hits_at(scores: Floats, owners: Rows, k: int) -> Floats:
    """For each probe, the probability that its owner is among the k best templates; ties are broken by lot."""
    own = scores[np.arange(len(scores)), owners][:, None]
    better = (scores > own).sum(axis=1)
    tied = (scores == own).sum(axis=1)
    hits: Floats = np.clip((k - better) / tied, 0.0, 1.0)
    return hits


def areas_below(scores: Floats, owners: Rows) -> Floats:
    """For each probe, the share of the other templates that score below its owner's; a half where nothing is known.

    Scores (Q, P) are first put on one scale for every template, by the probes of other people (Z-norm: Auckenthaler,
    Carey, Lloyd-Thomas, 2000): a template that is like everybody would otherwise pass for a person who is found.
    """
    rows = np.arange(len(scores))
    others = np.ones(scores.shape, bool)
    others[rows, owners] = False
    mean = scores.mean(axis=0, where=others)
    spread = np.maximum(scores.std(axis=0, where=others), 10.0**-SCORE_DECIMALS)
    level = np.round((scores - mean) / spread, 3)
    own = level[rows, owners][:, None]
    ties = (level == own).sum(axis=1) - 1
    areas: Floats = ((level < own).sum(axis=1) + ties / 2) / (scores.shape[1] - 1)
    return areas


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, 1e-12)
    return unit


def _draws(people: int, resamples: int, seed: int) -> Floats:
    """How often each person is in the sample: once each in the first row, then `resamples` bootstrap samples."""
    random = np.random.default_rng(seed)
    resampled = random.multinomial(people, np.full(people, 1.0 / people), size=resamples)
    # A sample of one person only has no impostors; with two people that happens half of the time.
    resampled = resampled[(resampled > 0).sum(axis=1) > 1]
    return np.vstack([np.ones(people), resampled]).astype(np.float64)


def _interval(values: Floats, confidence: float) -> Estimate:
    """The first value is the estimate, the others are its bootstrap replicates (percentile interval)."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values[1:], [tail, 1.0 - tail]) if len(values) > 1 else (0.0, 1.0)
    value = float(values[0])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def _rank(scores: Floats, owners: Rows, k: int, counts: Floats, confidence: float) -> Estimate:
    hits = hits_at(scores, owners, k)
    weights = counts[:, owners]
    return _interval(weights @ hits / weights.sum(axis=1), confidence)


class _Roc:
    """The ROC curve of all probe-template pairs, for any weights of the people; the scores are sorted once."""

    def __init__(self, scores: Floats, owners: Rows) -> None:
        order = np.argsort(-scores, axis=None, kind="stable")
        ordered = scores.ravel()[order]
        self._probe_person = owners[order // scores.shape[1]]
        self._template = order % scores.shape[1]
        self._genuine = self._probe_person == self._template
        self._ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)

    def figures(self, weights: Floats) -> tuple[float, float, float, float]:
        """AUC, EER, TAR at FAR 1e-2 and 1e-3 when person i counts `weights[i]` times."""
        true, false = self._rates(weights)
        area = float(np.trapezoid(true, false))
        # FAR rises and FRR falls along the curve: they meet where their difference crosses zero.
        equal = float(np.interp(0.0, false - (1.0 - true), false))
        return area, equal, float(np.interp(1e-2, false, true)), float(np.interp(1e-3, false, true))

    def _rates(self, weights: Floats) -> tuple[Floats, Floats]:
        probe = weights[self._probe_person]
        accepted = np.cumsum(np.where(self._genuine, probe, 0.0))[self._ends]
        mistaken = np.cumsum(np.where(self._genuine, 0.0, probe * weights[self._template]))[self._ends]
        true = np.concatenate([[0.0], accepted / accepted[-1]])
        false = np.concatenate([[0.0], mistaken / mistaken[-1]])
        return true, false
