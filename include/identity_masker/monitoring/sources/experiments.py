"""Experiments: which run, for how long, whether their data is healthy, and what the last evaluation found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import get_args

from identity_masker import artifacts
from identity_masker.experiments import catalog
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.result import MetricResult, Outcome, Report
from identity_masker.monitoring.sample import Family, Sample, one_of
from identity_masker.serving.allocations import AllocationLedger, AllocationRevision
from identity_masker.settings import Settings

DECISIONS: tuple[str, ...] = get_args(Outcome)
RUNNING = Family("masker_experiment_running", "1 while units enter the experiment.", ("experiment",))
WEIGHT = Family("masker_experiment_weight", "Weight of a variant that is in force.", ("experiment", "variant"))
DAY = Family("masker_experiment_day", "Day of the last evaluation, from the start.", ("experiment",))
DAYS = Family("masker_experiment_days", "Days that the experiment is planned for.", ("experiment",))
EVALUATED = Family(
    "masker_experiment_evaluated_timestamp_seconds", "Up to when the last evaluation took events.", ("experiment",)
)
HEALTHY = Family("masker_experiment_healthy", "Whether the last evaluation found the data in order.", ("experiment",))
RATIO_OK = Family(
    "masker_experiment_sample_ratio_ok", "Whether the variants got their shares of units.", ("experiment",)
)
RATIO_P = Family("masker_experiment_sample_ratio_p_value", "P-value of the test of those shares.", ("experiment",))
UNITS = Family("masker_experiment_units", "Units by variant at the last evaluation.", ("experiment", "variant"))
DECISION = Family(
    "masker_experiment_decision", "1 for the decision of the last evaluation.", ("experiment", "decision")
)
EFFECT = Family(
    "masker_experiment_effect",
    "Effect of a variant on a metric against the control, with its interval.",
    ("experiment", "metric", "variant", "bound"),
)
P_VALUE = Family("masker_experiment_p_value", "P-value of an effect.", ("experiment", "metric", "variant"))


class ExperimentsSource:
    """Reads the designs, their allocations in the control database, and the last report in the store."""

    name = "experiments"
    every = 30.0
    families = (
        RUNNING, WEIGHT, DAY, DAYS, EVALUATED, HEALTHY, RATIO_OK, RATIO_P, UNITS, DECISION, EFFECT, P_VALUE,
    )  # fmt: skip

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._ledger: AllocationLedger | None = None

    def read(self) -> Iterator[Sample]:
        if self._ledger is None:
            self._ledger = AllocationLedger(self._config.control_url)
        revisions = self._ledger.all_revisions()
        for experiment in catalog.load_all(self._config.config_dir / "experiments"):
            yield from _design(experiment, revisions.get(experiment.name, []))
            uri = artifacts.join(self._config.store, "experiments", experiment.name, "latest.report.json")
            if artifacts.exists(uri):
                yield from _report(experiment, artifacts.read_model(Report, uri))


def _design(experiment: Experiment, revisions: list[AllocationRevision]) -> Iterator[Sample]:
    last = revisions[-1].document if revisions else None
    running = experiment.status == "running" and (last is None or last.state == "running")
    weights = last.weights if last else {name: variant.weight for name, variant in experiment.variants.items()}
    yield RUNNING.sample(running, experiment.name)
    yield DAYS.sample(experiment.schedule.days, experiment.name)
    for variant, weight in weights.items():
        yield WEIGHT.sample(weight, experiment.name, variant)


def _report(experiment: Experiment, report: Report) -> Iterator[Sample]:
    name, ratio = experiment.name, report.health.sample_ratio
    yield DAY.sample(report.day, name)
    yield HEALTHY.sample(report.health.ok, name)
    yield RATIO_OK.sample(ratio.ok, name)
    yield RATIO_P.sample(ratio.p_value, name)
    yield from one_of(DECISION, DECISIONS, report.decision, name)
    if report.as_of is not None:
        yield EVALUATED.sample(datetime.fromisoformat(report.as_of).timestamp(), name)
    for variant, units in zip(experiment.variants, ratio.counts, strict=False):
        yield UNITS.sample(units, name, variant)
    for metric in report.metrics:
        yield from _effect(name, metric)


def _effect(experiment: str, metric: MetricResult) -> Iterator[Sample]:
    of = (experiment, metric.name, metric.variant)
    low, high = metric.interval or (None, None)
    for bound, value in (("estimate", metric.estimate), ("low", low), ("high", high)):
        if value is not None:
            yield EFFECT.sample(value, *of, bound)
    if metric.p_value is not None:
        yield P_VALUE.sample(metric.p_value, *of)
