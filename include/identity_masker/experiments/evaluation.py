"""Health, results and decision in one document, from evidence or from files."""

from __future__ import annotations

from datetime import datetime

from identity_masker.experiments.allocation import propose
from identity_masker.experiments.analysis import analyse
from identity_masker.experiments.decision import decide
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.evidence import Evidence
from identity_masker.experiments.gather import gather
from identity_masker.experiments.health import examine
from identity_masker.experiments.result import Report


def evaluate(experiment: Experiment, evidence: Evidence) -> Report:
    """The report on `evidence`: the same evidence and design always give the same report."""
    health = examine(experiment, evidence)
    results = analyse(experiment, evidence)
    found = decide(experiment, health, results, evidence.days)
    return Report(
        experiment=experiment.name,
        as_of=evidence.as_of.isoformat() if evidence.as_of else None,
        day=evidence.days,
        days=experiment.schedule.days,
        method=experiment.analysis.method,
        alpha=experiment.analysis.alpha,
        health=health,
        metrics=results,
        decision=found.outcome,
        decision_details=found,
        allocation=propose(experiment, evidence, found.vetoed, healthy=health.ok),
    )


def evaluate_files(
    experiment: Experiment,
    exposures: str,
    outcomes: str,
    *,
    as_of: datetime | None = None,
    others: str | None = None,
) -> tuple[Evidence, Report]:
    """Evidence and report of an experiment whose exposures and outcomes are files."""
    evidence = gather(experiment, exposures, outcomes, as_of=as_of, others=others)
    return evidence, evaluate(experiment, evidence)
