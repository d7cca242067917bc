"""Not worse than the champion: each figure with the interval of its difference, against a margin.

The interval of a difference is made of the two intervals (MOVER: Zou and Donner, Statistics in Medicine 2008). Both
maskers are measured on the same people where the dataset is the same, which makes the interval wider than it need be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from identity_masker.masking.evaluation_config import MarginConfig
from identity_masker.masking.evidence import Attack, Evaluation
from identity_masker.masking.finding import Finding
from identity_masker.masking.utility import Kept
from identity_masker.masking.verification import Estimate


class Held(NamedTuple):
    """A figure with its interval."""

    value: float
    low: float
    high: float


def compare(
    candidate: Evaluation, champion: Evaluation | None, margins: MarginConfig, least_probes: int
) -> Iterator[Finding]:
    """Every figure that both have. Without a champion there is nothing to be worse than."""
    if champion is None:
        yield Finding(ok=True, text="there is no champion to compare with")
        return
    known = {(attack.attacker, attack.gallery): attack for attack in champion.against_masked()}
    for attack in candidate.against_masked():
        other = known.get((attack.attacker, attack.gallery))
        if other is not None and attack.attacker != "linkage":  # too few probes for an interval that says something
            yield from _attack(attack, other, margins)
    yield from _use(candidate, champion, margins)
    yield from _groups(candidate, champion, margins, least_probes)


def excess(candidate: Held, champion: Held) -> Held:
    """Candidate minus champion."""
    below = math.hypot(candidate.value - candidate.low, champion.high - champion.value)
    above = math.hypot(candidate.high - candidate.value, champion.value - champion.low)
    difference = candidate.value - champion.value
    return Held(difference, difference - below, difference + above)


def _attack(candidate: Attack, champion: Attack, margins: MarginConfig) -> Iterator[Finding]:
    name = f"{candidate.attacker} attacker with a {candidate.gallery} gallery"
    ours, theirs = candidate.result, champion.result
    # Above chance, so that test sets with other numbers of people can be compared.
    yield _not_higher(
        f"{name}: rank-1", _held(ours.rank1, ours.chance), _held(theirs.rank1, theirs.chance), margins.rank1
    )  # fmt: skip
    yield _not_higher(f"{name}: AUC", _held(ours.auc), _held(theirs.auc), margins.auc)


def _use(candidate: Evaluation, champion: Evaluation, margins: MarginConfig) -> Iterator[Finding]:
    if candidate.utility is None or champion.utility is None:
        return
    for name, ours in candidate.utility.groups.items():
        theirs = champion.utility.groups.get(name)
        if theirs is not None:
            yield _within(f"{name} R² lost", excess(_lost(ours), _lost(theirs)), margins.r2)


def _groups(candidate: Evaluation, champion: Evaluation, margins: MarginConfig, least_probes: int) -> Iterator[Finding]:
    known = {(group.by, group.name): group for group in champion.groups if group.probes >= least_probes}
    allowed = {"auc": margins.group_auc, "pose error": margins.group_error, "expression error": margins.group_error}
    for group in candidate.groups:
        other = known.get((group.by, group.name))
        if other is None or group.probes < least_probes:
            continue
        for figure, margin in allowed.items():
            if figure in group.figures and figure in other.figures:
                name = f"{figure} within {group.by}: {group.name}"
                yield _not_higher(name, Held(*group.figures[figure]), Held(*other.figures[figure]), margin)


def _lost(kept: Kept) -> Held:
    """R² with its sign turned, so that more is worse; evidence from before there were intervals has none."""
    low = kept.masked if kept.low is None else kept.low
    high = kept.masked if kept.high is None else kept.high
    return Held(-kept.masked, -high, -low)


def _held(estimate: Estimate, less: float = 0.0) -> Held:
    return Held(estimate.value - less, estimate.low - less, estimate.high - less)


def _not_higher(name: str, candidate: Held, champion: Held, margin: float) -> Finding:
    return _within(f"{name} above the champion's", excess(candidate, champion), margin)


def _within(name: str, more: Held, margin: float) -> Finding:
    text = f"{name}: {more.value:+.3f} [{more.low:+.3f}, {more.high:+.3f}], at most {margin:+.3f}"
    return Finding(ok=more.high <= margin, text=text)
