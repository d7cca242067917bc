"""The tables and the plot of docs/model.md from what the attacks found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.masking.attack import MAKERS, slug
from benchmarks.masking.train import TRAINING

from identity_masker.masking.evidence import Attack, Evaluation
from identity_masker.masking.groups import worst
from identity_masker.masking.verification import Estimate

COLOURS = {"ours": "#18794e", "untouched": "#888888"}
EXPRESSION = ("blink", "brow", "mouth", "smile")
LEAST_PROBES = 100


def run(folder: Path, plot: Path | None, *, quick: bool) -> None:
    found = {
        name: Evaluation.model_validate_json(path.read_bytes())
        for name in MAKERS if (path := folder / f"{slug(name)}.json").exists()
    }  # fmt: skip
    if (folder / TRAINING).exists():
        told = json.loads((folder / TRAINING).read_text())
        print(f"Trained {told['steps']} steps in {told['seconds']:.0f} s on {told['device']}, {told['cores']} cores.\n")
    print("\n".join(rivals(found)), "\n")
    if "ours" in found:
        print("\n".join(attacks(found["ours"])), "\n")
        print("\n".join(use(found["ours"])), "\n")
        print("\n".join(groups(found["ours"])))
    if plot is not None:
        draw(found, plot)


def leak(evidence: Evaluation) -> Attack:
    """The most successful attack by who knows the masker."""
    return max(evidence.against_masked(), key=lambda attack: attack.result.rank1.value)


def kept(evidence: Evaluation) -> float:
    """Mean share of the clear R² that is left of pose and each expression, none below 0."""
    assert evidence.utility is not None
    found = [evidence.utility.groups[name] for name in ("pose", *EXPRESSION)]
    return sum(max(one.masked, 0.0) / one.clear for one in found) / len(found)


def rivals(found: dict[str, Evaluation]) -> Iterator[str]:
    heads = "masker | naive rank-1 | best attack | rank-1 | AUC | pose R² | blink | brow | mouth | smile | landmarks"
    yield f"| {heads} | SSIM | face found |"
    yield "|" + " --- |" * 13
    for name, evidence in found.items():
        naive, best, utility = evidence.naive("masked"), leak(evidence), evidence.utility
        assert naive is not None
        assert utility is not None
        area = max(attack.result.auc.value for attack in evidence.against_masked())
        read = [f"{utility.groups[group].masked:.2f}" for group in ("pose", *EXPRESSION)]
        seen = "" if evidence.detected is None else f"{evidence.detected.masked:.1%}"
        cells = [
            name, f"{naive.result.rank1.value:.3f}", f"{best.attacker}, {best.gallery}",
            f"{best.result.rank1.value:.3f}", f"{area:.3f}", *read,
            f"{utility.landmark_error.masked:.3f}", f"{evidence.ssim:.2f}", seen,
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def attacks(evidence: Evaluation) -> Iterator[str]:
    yield f"{evidence.people} unseen people, {evidence.photographs} photographs, chance {evidence.chance:.4f}\n"
    yield "| attacker | pictures | gallery | rank-1 | rank-5 | AUC | EER | TAR at FAR 1e-2 | at 1e-3 | its own people |"
    yield "|" + " --- |" * 10
    for attack in evidence.attacks:
        result = attack.result
        figures = (result.rank1, result.rank5, result.auc, result.eer, result.tar_at_far_1e2, result.tar_at_far_1e3)
        own = "" if attack.train_accuracy is None else f"{attack.train_accuracy:.2f}"
        cells = [attack.attacker, attack.pictures, attack.gallery, *map(cell, figures), own]
        yield f"| {' | '.join(cells)} |"


def use(evidence: Evaluation) -> Iterator[str]:
    assert evidence.utility is not None
    yield "| what the judge reads | clear | masked | share |"
    yield "| --- | --- | --- | --- |"
    for name, one in evidence.utility.groups.items():
        held = "" if one.low is None else f" [{one.low:.2f}, {one.high:.2f}]"
        yield f"| {name} R² | {one.clear:.2f} | {one.masked:.2f}{held} | {one.masked / one.clear:.2f} |"
    error = evidence.utility.landmark_error
    yield f"| landmark error | {error.clear:.3f} | {error.masked:.3f} | {error.masked / error.clear:.2f} |"
    if evidence.detected is not None:
        yield f"| faces found by the examiner | {evidence.detected.clear:.1%} | {evidence.detected.masked:.1%} | |"
    if evidence.flicker is not None:
        one = evidence.flicker
        yield f"| flicker, levels of 255 | {one.clear:.2f} | {one.masked:.2f} | {one.masked / one.clear:.2f} |"
    yield f"| SSIM with the clear picture | | {evidence.ssim:.2f} | |"
    if evidence.background_psnr is not None:
        yield f"| PSNR outside the head, dB | | {evidence.background_psnr:.1f} | |"


def groups(evidence: Evaluation) -> Iterator[str]:
    bad = {(figure, one.by, one.name) for figure, one in worst(evidence.groups, LEAST_PROBES)}
    names = list(dict.fromkeys(name for one in evidence.groups for name in one.figures))
    yield f"| by | group | people | probes | {' | '.join(names)} |"
    yield "|" + " --- |" * (4 + len(names))
    for one in evidence.groups:
        shown = []
        for name in names:
            value = one.figures.get(name)
            text = "" if value is None else f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
            shown.append(f"**{text}**" if (name, one.by, one.name) in bad else text)
        yield f"| {one.by} | {one.name} | {one.people} | {one.probes} | {' | '.join(shown)} |"
    yield "\nBold: the worst group of at least 100 probes."


def cell(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def draw(found: dict[str, Evaluation], path: Path) -> None:
    """Leak against use: the lower right is where nobody is found and everything is kept."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 5))
    for name, evidence in found.items():
        worst_case = leak(evidence).result.rank1
        colour = COLOURS["ours"] if name.startswith("ours") else COLOURS.get(name, "#b3261e")
        x, y = kept(evidence), worst_case.value
        axes.errorbar([x], [y], [[y - worst_case.low], [worst_case.high - y]], fmt="o", color=colour, ms=7, capsize=3)
        axes.annotate(name, (x, y), textcoords="offset points", xytext=(8, 4), fontsize=9, color=colour)
        naive = evidence.naive("masked")
        if naive is not None:
            axes.plot([x], [naive.result.rank1.value], "x", color=colour, alpha=0.5)
    chance = next(iter(found.values())).chance
    axes.axhline(chance, color="black", lw=0.8, ls=":")
    axes.annotate("chance", (0.02, chance), textcoords="offset points", xytext=(0, 4), fontsize=8)
    axes.set(
        xlabel="use kept: mean share of the clear R² of pose, blink, brow, mouth, smile",
        ylabel="rank-1 of the most successful attacker (cross: naive)", xlim=(-0.02, 1.12), ylim=(-0.02, 1.05),
    )  # fmt: skip
    axes.grid(alpha=0.2)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
