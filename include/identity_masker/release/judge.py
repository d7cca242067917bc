"""The judge: from a policy and the evidence so far to promote, hold or roll back.

A pure function: no clock, no randomness, no state outside the evidence. Looking after every interval is safe: all
tests behind it are always-valid (`statistics.comparison`).

- ROLL BACK when the evidence of all metrics together that the canary is worse has ever reached 1/alpha.
- PROMOTE when each required metric shows that the canary is not worse than its margin, and all checks are in order.
- HOLD otherwise. Missing data holds; it neither promotes nor rolls back.
"""

from __future__ import annotations

import hashlib
import json
import math

from pydantic import BaseModel

from identity_masker.errors import BadInputError
from identity_masker.release import findings
from identity_masker.release.capital import Capital
from identity_masker.release.checks import Traffic, checks
from identity_masker.release.evidence import (
    STANDARD,
    Events,
    Evidence,
    Histogram,
    Interval,
    Measure,
    ReplayEvidence,
)
from identity_masker.release.metric_state import MetricState
from identity_masker.release.policy import MetricRule, Policy
from identity_masker.release.replay import judge_replay
from identity_masker.release.verdict import Check, Look, Verdict, VerdictWord

LARGEST_LOG = 690.0


class Judge:
    """Takes in one interval after the other. `judge` and `trace` are what others call."""

    def __init__(self, policy: Policy, rules: dict[str, MetricRule]) -> None:
        self.policy = policy
        self.metrics = [MetricState(name, rule, policy.slices.weight) for name, rule in sorted(rules.items())]
        self.capital = Capital()
        self.traffic = Traffic()
        self.largest = 0.0

    def look(self, interval: Interval) -> None:
        self.traffic.update(interval)
        for state in self.metrics:
            state.update(interval.arm("canary"), interval.arm("champion"), interval.seconds)
        # A required metric has its weight from the start: one that is measured late is not to weigh next to nothing.
        some = any(state.streams for state in self.metrics)
        seen = {s.name: s.rule.weight for s in self.metrics if s.streams or (some and s.rule.required)}
        self.capital.admit(seen, complete=len(seen) == len(self.metrics))
        self.largest = max(self.largest, self.log_worse)

    @property
    def log_worse(self) -> float:
        """Log e-value of all metrics together."""
        if not self.capital.weights:
            return 0.0
        return self.capital.log_average({state.name: state.log_worse for state in self.metrics})

    def missing(self) -> bool:
        return not self.checks()[0].ok

    def checks(self) -> tuple[Check, ...]:
        return checks(self.policy, self.traffic, self.metrics)

    def not_shown(self) -> list[MetricState]:
        """Required metrics that do not show "not worse than the margin" yet."""
        threshold = math.log(1.0 / self.policy.alpha.promote)
        return [state for state in self.metrics if state.rule.required and state.log_not_worse < threshold]

    def word(self) -> VerdictWord:
        """The verdict of the tests and checks, without the deadline."""
        if self.largest >= math.log(1.0 / self.policy.alpha.roll_back):
            return "roll_back"
        if not self.not_shown() and all(check.ok for check in self.checks()):
            return "promote"
        return "hold"


def judge(policy: Policy, evidence: Evidence | ReplayEvidence) -> Verdict:
    """The verdict on all evidence so far.

    Raises `BadInputError` for a metric that neither the policy nor `metrics_direction` names, for one whose direction
    they name differently, and for one in another form than its kind needs.
    """
    if isinstance(evidence, ReplayEvidence):
        return judge_replay(policy, evidence, digest(policy), digest(evidence))
    bench = Judge(policy, rules(policy, evidence))
    for interval in evidence.intervals:
        bench.look(interval)
    word, reasons, ask = _with_deadline(bench, bench.word())
    return Verdict(
        verdict=word,
        reasons=reasons,
        metrics=tuple(findings.metric(state, policy, bench.capital) for state in bench.metrics),
        looks=len(evidence.intervals),
        seconds=bench.traffic.seconds,
        e_value=math.exp(min(bench.largest, LARGEST_LOG)),
        threshold=1.0 / policy.alpha.roll_back,
        checks=bench.checks(),
        outlook=findings.outlook(bench.metrics, policy, word, bench.largest, bench.traffic),
        ask=ask,
        policy=digest(policy),
        evidence=digest(evidence),
    )


def trace(policy: Policy, evidence: Evidence) -> list[Look]:
    """The verdict after each interval: what `judge` said, or would have said, on each prefix of the evidence."""
    bench, looks = Judge(policy, rules(policy, evidence)), []
    for number, interval in enumerate(evidence.intervals, start=1):
        bench.look(interval)
        word, _, _ = _with_deadline(bench, bench.word())
        looks.append(
            Look(
                look=number,
                seconds=bench.traffic.seconds,
                verdict=word,
                e_value=math.exp(min(bench.log_worse, LARGEST_LOG)),
                e_values={state.name: math.exp(min(state.log_worse, LARGEST_LOG)) for state in bench.metrics},
                e_values_not_worse={
                    state.name: math.exp(min(state.log_not_worse, LARGEST_LOG)) for state in bench.metrics
                },
            )
        )
    return looks


def rules(policy: Policy, evidence: Evidence) -> dict[str, MetricRule]:
    """The metrics to judge: those of the policy, and those that the evidence brings with a direction."""
    known = {rule.of or name for name, rule in policy.metrics.items()}
    for name, rule in policy.metrics.items():
        said = evidence.direction(name) or evidence.direction(rule.of or name)
        if said and said != rule.better:
            raise BadInputError(
                f"policy and evidence disagree about {name}",
                got=f"metrics_direction {said}",
                allowed=f"{rule.better} is better",
            )
    if "errors" not in known and evidence.direction("errors") == "higher":
        raise BadInputError("metrics_direction is wrong for errors", got="higher", allowed="lower")
    brought: dict[str, MetricRule] = {}
    for where, name, measure in evidence.all_measures():
        if name in known or name in brought:
            continue
        direction = evidence.direction(name)
        if direction is not None and name not in STANDARD:
            brought[name] = _default_rule(measure, direction)
        elif name not in STANDARD:
            raise BadInputError(
                f"unknown metric {name}",
                got=f"{where}.{name}",
                allowed="one of " + ", ".join(sorted(known | STANDARD)),
                fix="name it under `metrics` in the policy, or give its direction in metrics_direction",
            )
    return {**policy.metrics, **brought}


def digest(document: BaseModel) -> str:
    """SHA-256 of the document as canonical JSON."""
    text = json.dumps(document.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _default_rule(measure: Measure, direction: str) -> MetricRule:
    kind = "quantile" if isinstance(measure, Histogram) else "share" if isinstance(measure, Events) else "mean"
    margin = 1.25 if kind == "quantile" else 1.5
    return MetricRule.model_validate({"kind": kind, "better": direction, "margin": margin, "required": False})


def _with_deadline(bench: Judge, word: VerdictWord) -> tuple[VerdictWord, tuple[str, ...], bool]:
    """Verdict, reasons, and whether to ask a person: a HOLD ends at the deadline."""
    reasons = findings.reasons(bench.metrics, bench.policy, word, bench.checks(), bench.largest, bench.not_shown())
    deadline = bench.policy.deadline
    if word != "hold" or bench.traffic.seconds < deadline.seconds:
        return word, reasons, False
    passed = f"the deadline of {deadline.seconds:g} s has passed without a verdict"
    if deadline.then == "roll_back" and not bench.missing():
        return "roll_back", (f"{passed}; the policy says roll back", *reasons), False
    return "hold", (f"{passed}; a person has to decide", *reasons), True
