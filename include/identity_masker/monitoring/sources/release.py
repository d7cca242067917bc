"""Rollouts: where the newest stands, what the judge last said, and how all of them ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from sqlalchemy import func, select

from identity_masker import artifacts
from identity_masker.monitoring.sample import Family, Sample, one_of
from identity_masker.release.rollout import Outcome, Phase, Rollout
from identity_masker.release.rollout_log import RolloutLog
from identity_masker.release.verdict import MetricFinding, VerdictWord
from identity_masker.serving import schema
from identity_masker.serving.control import Control

PHASES: tuple[str, ...] = get_args(Phase)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
VERDICTS: tuple[str, ...] = get_args(VerdictWord)
INFO = Family("masker_rollout_info", "The newest rollout.", ("rollout", "policy", "champion", "candidate"))
PHASE = Family("masker_rollout_phase", "1 for the phase of the newest rollout.", ("phase",))
OUTCOME = Family("masker_rollout_outcome", "1 for how the newest rollout ended.", ("outcome",))
ENDED = Family("masker_rollouts_ended", "Rollouts by how they ended, of all time.", ("outcome",), "counter")
STAGE = Family("masker_rollout_stage", "Stage of the newest rollout, from 0.")
STAGES = Family("masker_rollout_stages", "Stages of the newest rollout's policy.")
LOOKS = Family("masker_rollout_looks", "Times that the judge looked at the newest rollout.")
VERDICT = Family("masker_rollout_verdict", "1 for the judge's last verdict on the newest rollout.", ("verdict",))
STARTED = Family("masker_rollout_started_timestamp_seconds", "When the newest rollout started.")
STAGE_SINCE = Family("masker_rollout_stage_since_timestamp_seconds", "When it entered its stage.")
WAITS = Family("masker_rollout_waits_for_person", "1 while the newest rollout waits for a person's yes.")
E_VALUE = Family("masker_rollout_metric_e_value", "Evidence that the canary is worse than tolerated.", ("metric",))
ESTIMATE = Family("masker_rollout_metric_estimate", "Effect of the canary on a metric.", ("metric", "bound"))
LEVEL = Family("masker_rollout_metric_level", "Level of a metric by arm at the last look.", ("metric", "arm"))


class ReleaseSource:
    """Reads the control database, and the last look from the store."""

    name = "release"
    every = 15.0
    families = (
        INFO, PHASE, OUTCOME, ENDED, STAGE, STAGES, LOOKS, VERDICT, STARTED, STAGE_SINCE, WAITS,
        E_VALUE, ESTIMATE, LEVEL,
    )  # fmt: skip

    def __init__(self, control_url: str, store: str) -> None:
        self._url = control_url
        self._store = store
        self._control: Control | None = None

    def read(self) -> Iterator[Sample]:
        if self._control is None:
            self._control = Control(self._url)
        for outcome, count in self._ended(self._control).items():
            yield ENDED.sample(count, outcome)
        newest = RolloutLog(self._control).newest()
        if newest is not None:
            yield from _rollout(newest.rollout)
            yield from self._last_look(newest.rollout)

    def _ended(self, control: Control) -> dict[str, int]:
        """Outcome → how many rollouts ended so; their documents stay in the database."""
        columns = schema.rollouts.c
        last = select(func.max(columns.number)).group_by(columns.rollout)
        outcome = columns.document["outcome"].as_string()
        query = select(outcome, func.count()).where(columns.number.in_(last)).group_by(outcome)
        with control.transaction() as connection:
            found = {str(row[0]): int(row[1]) for row in connection.execute(query)}
        return {each: found.get(each, 0) for each in OUTCOMES}

    def _last_look(self, rollout: Rollout) -> Iterator[Sample]:
        """Its document as `release.looks` stores it; that module itself would bring the judge and SciPy along."""
        uri = artifacts.join(self._store, "releases", rollout.id, "looks", f"{rollout.looks:05d}.json")
        if rollout.looks and artifacts.exists(uri):
            for metric in artifacts.read_json(uri)["verdict"]["metrics"]:
                yield from _metric(MetricFinding.model_validate(metric))


def _rollout(rollout: Rollout) -> Iterator[Sample]:
    yield INFO.sample(1, rollout.id, rollout.policy_name, rollout.champion.semver, rollout.candidate.semver)
    yield from one_of(PHASE, PHASES, rollout.phase)
    yield from one_of(OUTCOME, OUTCOMES, rollout.outcome)
    yield from one_of(VERDICT, VERDICTS, rollout.verdict)
    yield STAGE.sample(rollout.stage)
    yield STAGES.sample(len(rollout.stages))
    yield LOOKS.sample(rollout.looks)
    yield STARTED.sample(rollout.started_at.timestamp())
    yield STAGE_SINCE.sample(rollout.stage_since.timestamp())
    yield WAITS.sample(bool(rollout.question) and not rollout.ended)


def _metric(metric: MetricFinding) -> Iterator[Sample]:
    yield E_VALUE.sample(metric.e_value, metric.name)
    if metric.estimate is not None:
        yield ESTIMATE.sample(metric.estimate, metric.name, "estimate")
    if metric.interval is not None:
        yield ESTIMATE.sample(metric.interval[0], metric.name, "low")
        yield ESTIMATE.sample(metric.interval[1], metric.name, "high")
    for arm, level in (("champion", metric.champion), ("canary", metric.canary)):
        if level is not None:
            yield LEVEL.sample(level, metric.name, arm)
