"""The gate: a pure function of the stored evaluation and the `gate:` section. Missing evidence never accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from identity_masker.masking.champion import compare
from identity_masker.masking.evaluation_config import GateConfig
from identity_masker.masking.evidence import Attack, Evaluation
from identity_masker.masking.finding import Finding
from identity_masker.masking.utility import Utility

EVERY_PICTURE = 1.0
EXPRESSION = ("blink", "brow", "mouth", "smile")
READABLE = 0.2
"""R² on clear pictures below which a share of it is noise."""
ATTACKERS = {
    "strong": "strong attacker", "parrot": "parrot", "inversion": "naive attacker after inversion",
    "linkage": "strong attacker on tracks",
}  # fmt: skip


class Judgement(BaseModel):
    """The verdict; `reasons` names each demand with its figure, those that failed first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["accepted", "rejected"]
    reasons: tuple[str, ...]


def judge(evidence: Evaluation, gate: GateConfig, champion: Evaluation | None = None) -> Judgement:
    """Accept when every demand is met; the same evidence and gate always give the same judgement.

    `champion` is the evidence of the masker that serves, for gates that compare with it; None while nobody does.
    """
    compared = [] if gate.champion is None else compare(evidence, champion, gate.champion, gate.min_group_probes)
    demands = [*_attackers(evidence, gate), *_hiding(evidence, gate), *_groups(evidence, gate), *_use(evidence, gate)]
    findings = sorted([*demands, *compared], key=lambda finding: finding.ok)
    accepted = all(finding.ok for finding in findings)
    reasons = tuple(f"{'ok' if finding.ok else 'failed'}: {finding.text}" for finding in findings)
    return Judgement(verdict="accepted" if accepted else "rejected", reasons=reasons)


def _attackers(evidence: Evaluation, gate: GateConfig) -> Iterator[Finding]:
    """Were the attackers able to find anything at all, on enough people?"""
    yield Finding(
        ok=evidence.people >= gate.min_people, text=f"{evidence.people} test people, at least {gate.min_people}"
    )
    clear = evidence.naive("clear")
    yield _at_least(
        "rank-1 on clear pictures", None if clear is None else clear.result.rank1.value, gate.min_rank1_clear
    )
    power = evidence.power
    if power is None:
        yield Finding(ok=False, text="the power of the strong attacker was not checked")
        return
    yield _at_least("strong attacker's rank-1 on pixelated pictures", power.rank1_pixelated, power.min_rank1_pixelated)
    yield _at_least("strong attacker's rank-1 on clear pictures", power.rank1_identity, power.min_rank1_identity)


def _hiding(evidence: Evaluation, gate: GateConfig) -> Iterator[Finding]:
    """Is the person hidden from every attacker? The limit holds for the upper end of the interval."""
    yield Finding(ok=evidence.unchanged == 0, text=f"{evidence.unchanged} pictures came back unchanged")
    made = evidence.against_masked()
    if not any(attack.attacker == "strong" for attack in made):
        yield Finding(ok=False, text="no strong attack was made")
    for attack in made:
        yield from _hidden_from(attack, gate)


def _hidden_from(attack: Attack, gate: GateConfig) -> Iterator[Finding]:
    name = f"{ATTACKERS[attack.attacker]} with a {attack.gallery} gallery"
    limit = min(gate.max_rank1_strong_over_chance * attack.result.chance, EVERY_PICTURE)
    if attack.attacker != "linkage":  # one probe a track: two or three lucky ones double its rank-1
        yield _at_most(f"{name}: rank-1, upper end", attack.result.rank1.high, limit)
    yield _at_most(f"{name}: AUC, upper end", attack.result.auc.high, gate.max_auc_strong)


def _use(evidence: Evaluation, gate: GateConfig) -> Iterator[Finding]:
    """Is what has to be kept still there?"""
    if gate.min_pose_r2_ratio is not None:
        yield _pose_kept(evidence, gate.min_pose_r2_ratio)
    if gate.min_expression_r2_ratio is not None and evidence.utility is not None:
        yield from _expression_kept(evidence.utility, gate.min_expression_r2_ratio)
    if gate.max_landmark_error_ratio is not None and evidence.utility is not None:
        error = evidence.utility.landmark_error
        yield _at_most("landmark error", error.masked, gate.max_landmark_error_ratio * error.clear)
    if gate.min_background_psnr is not None:
        yield _at_least("background PSNR in dB", evidence.background_psnr, gate.min_background_psnr)


def _pose_kept(evidence: Evaluation, limit: float) -> Finding:
    if evidence.utility is None:
        text = (
            "pose was not measured, the photographs have no labels; to do without it set gate.min_pose_r2_ratio: null"
        )
        return Finding(ok=False, text=text)
    pose = evidence.utility.groups.get("pose")
    ratio = None if pose is None or pose.clear <= 0 else pose.masked / pose.clear
    return _at_least("pose R² as a share of clear", ratio, limit)


def _expression_kept(utility: Utility, limit: float) -> Iterator[Finding]:
    """A figure that the judge cannot read in clear pictures says nothing about the masker."""
    for name in EXPRESSION:
        kept = utility.groups.get(name)
        if kept is not None and kept.clear >= READABLE:
            yield _at_least(f"{name} R² as a share of clear", kept.masked / kept.clear, limit)


def _groups(evidence: Evaluation, gate: GateConfig) -> Iterator[Finding]:
    """Is nobody's group less hidden than it has to be?"""
    if gate.max_group_auc is None:
        return
    for group in evidence.groups:
        if group.probes >= gate.min_group_probes and "auc" in group.figures:
            yield _at_most(
                f"AUC within {group.by}: {group.name}, upper end", group.figures["auc"][2], gate.max_group_auc
            )


def _at_least(name: str, value: float | None, limit: float) -> Finding:
    if value is None:
        return Finding(ok=False, text=f"{name} was not measured")
    return Finding(ok=value >= limit, text=f"{name} {value:.3f}, at least {limit:.3f}")


def _at_most(name: str, value: float, limit: float) -> Finding:
    return Finding(ok=value <= limit, text=f"{name} {value:.3f}, at most {limit:.3f}")
