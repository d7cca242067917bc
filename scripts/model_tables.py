"""The tables of docs/model.md from the stored evaluation of a registered masker.

python scripts/model_tables.py --version champion      (the stack of `make run` has to be up)
python scripts/model_tables.py --evidence FILE.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from identity_masker.masking.evidence import Attack, Evaluation
from identity_masker.masking.verification import Estimate


def stored(reference: str) -> Evaluation:
    from identity_masker.registry import models, run_files, runs

    run = runs.get_run(models.resolve(reference).run_id)
    return Evaluation.model_validate(run.read_document(run_files.EVIDENCE))


def cell(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def row(attack: Attack) -> str:
    found = attack.result
    own = "" if attack.train_accuracy is None else f"{attack.train_accuracy:.2f}"
    cells = [attack.attacker, attack.pictures, attack.gallery, cell(found.rank1), cell(found.auc), cell(found.eer), own]
    return f"| {' | '.join(cells)} |"


def attacks(evidence: Evaluation) -> list[str]:
    heads = "attacker", "pictures", "gallery", "rank-1", "AUC", "EER", "its own people"
    return [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads), *map(row, evidence.attacks)]


def utility(evidence: Evaluation) -> list[str]:
    if evidence.utility is None:
        return ["The photographs have no labels: utility was not measured."]
    rows = [f"| {name} R² | {kept.clear:.2f} | {kept.masked:.2f} |" for name, kept in evidence.utility.groups.items()]
    error = evidence.utility.landmark_error
    rows.append(f"| landmark error, share of the eyes' distance | {error.clear:.3f} | {error.masked:.3f} |")
    if evidence.background_psnr is not None:
        rows.append(f"| PSNR outside the head, dB | | {evidence.background_psnr:.1f} |")
    return ["| what the judge reads | clear | masked |", "| --- | --- | --- |", *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--version", default="champion")
    chosen.add_argument("--evidence", type=Path)
    options = parser.parse_args()
    evidence = (
        Evaluation.model_validate_json(options.evidence.read_bytes()) if options.evidence else stored(options.version)
    )
    print(f"{evidence.people} unseen people, {evidence.photographs} photographs, chance {evidence.chance:.4f}\n")
    print("\n".join(attacks(evidence)), "\n")
    print("\n".join(utility(evidence)))


if __name__ == "__main__":
    main()
