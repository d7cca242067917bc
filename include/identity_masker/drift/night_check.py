"""The verdict on a collected and tested window: judged together, remembered, told, and kept with MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from identity_masker import artifacts
from identity_masker.drift import archive
from identity_masker.drift.alert_message import alert_of
from identity_masker.drift.changed_pictures import Pair, changed_pictures
from identity_masker.drift.estimates import estimated
from identity_masker.drift.evidence import Evidence
from identity_masker.drift.group_evidence import by_group, faults, merged
from identity_masker.drift.night_record import (
    NightRecord,
    Training,
    note_training,
    remember_night,
    remembered,
    training,
)
from identity_masker.drift.night_verdict import NightVerdict, scores
from identity_masker.drift.nights import SlowDrift, remember, slow_drift, with_night
from identity_masker.drift.policy import DriftPolicy
from identity_masker.drift.published import to_mlflow
from identity_masker.drift.report import Context, page
from identity_masker.drift.traffic_policy import Group
from identity_masker.drift.verdict import Outcome, Verdict, judge
from identity_masker.drift.window import Collected, load_window
from identity_masker.errors import NotFoundError
from identity_masker.telemetry import logs

CALIBRATION_NIGHTS = 28
TREND_NIGHTS = 60
log = logs.logger(__name__)


def judge_window(folder: str, policy: DriftPolicy, *, publish: bool = True) -> NightVerdict:
    """Judge the window at `folder` from the evidence of its groups; writes verdict and report beside it.

    A whole day (UTC) is remembered as a night; a window of another length is judged alone. `publish`: log both to
    MLflow. The same again gives the same. Raises `NotFoundError` when a group was not tested.
    """
    window, policy = load_window(folder), policy.of_traffic()
    evidence = merged(window, _evidences(folder, window))
    verdict = judge(evidence, policy)
    records, slow = _nights(window, evidence, verdict, policy)
    outcome: Outcome = "drift" if verdict.verdict == "no_drift" and slow.drifted else verdict.verdict
    decision = _training(window, records, policy)
    before = next((each.outcome for each in reversed(records[:-1]) if each.outcome != "not_enough_data"), None)
    told = verdict.model_copy(update={"verdict": outcome, "reasons": _reasons(window, verdict, slow)})
    pairs = changed_pictures(folder, window.version, policy.traffic.examples) if evidence.embeddings else ()
    found = NightVerdict(
        window=folder,
        version=window.version,
        semver=window.semver,
        verdict=outcome,
        reasons=told.reasons,
        drifted=by_group(verdict, slow.drifted, policy),
        columns=scores(evidence, verdict),
        faults=faults(verdict),
        slow=slow.drifted,
        hours=window.hours,
        missing_hours=tuple(hour.isoformat() for hour in window.missing_hours),
        requests=window.requests,
        pictures=window.pictures,
        estimates=estimated(folder, _earlier(window), policy) if window.pictures else (),
        alert=alert_of(window, outcome, told, decision, before if window.is_night else None),
        retrain=decision.start,
        training=decision.reason,
        evidence=artifacts.join(folder, "evidence.json"),
        report=artifacts.join(folder, archive.REPORT),
    )
    if found.alert is not None and "://" in found.report:
        found = found.model_copy(update={"alert": found.alert.model_copy(update={"links": {"report": found.report}})})
    artifacts.write_bytes(found.evidence, evidence.model_dump_json(indent=1).encode())
    return _written(found, evidence, told, records, pairs, policy, publish=publish)


def _evidences(folder: str, window: Collected) -> dict[Group, Evidence]:
    found: dict[Group, Evidence] = {}
    for group in window.groups:
        uri = archive.evidence_uri(folder, group)
        if not artifacts.exists(uri):
            fix = f"run `masker drift test --window {folder} --group {group}`"
            raise NotFoundError("a group of the window was not tested", got=group, fix=fix)
        found[group] = Evidence.model_validate_json(artifacts.read_bytes(uri))
    return found


def _nights(
    window: Collected, evidence: Evidence, verdict: Verdict, policy: DriftPolicy
) -> tuple[list[NightRecord], SlowDrift]:
    """All nights up to this one, this one among them, and slow drift as of it; nothing for other windows."""
    nothing = SlowDrift(nights=0, columns=())
    if not window.is_night or not window.version:
        return [], nothing
    day = window.start.date()
    before = [record for record in remembered(window.version, day) if record.day < day]
    slow, own = nothing, remember(day, _reference_hash(window), _of_model(evidence, policy), verdict)
    if verdict.verdict in ("drift", "no_drift"):
        slow = slow_drift(with_night([record.night for record in before], own), policy)
    outcome: Outcome = "drift" if verdict.verdict == "no_drift" and slow.drifted else verdict.verdict
    record = NightRecord(
        night=own,
        outcome=outcome,
        drifted=by_group(verdict, slow.drifted, policy) if outcome == "drift" else {},
        faults=faults(verdict),
        missing_hours=len(window.missing_hours),
        effects=_effects(evidence, verdict),
    )
    remember_night(window.version, record)
    return [*before, record], slow


def _of_model(evidence: Evidence, policy: DriftPolicy) -> Evidence:
    """Without the service: its reference moves on with the days, and slow drift needs one that stays."""
    columns = tuple(column for column in evidence.columns if policy.traffic.group_of(column.name) != "service")
    return evidence.model_copy(update={"columns": columns})


def _reference_hash(window: Collected) -> str:
    uri = artifacts.join(archive.reference_uri(window.version), "reference.json")
    return artifacts.sha256(artifacts.read_bytes(uri)) if artifacts.exists(uri) else ""


def _effects(evidence: Evidence, verdict: Verdict) -> dict[str, float]:
    floors = {column.name: column.floor for column in verdict.columns}
    return {
        each.name: round(each.effect.value / floor, 4)
        for each in evidence.measured
        if each.effect is not None and (floor := floors.get(each.name))
    }


def _training(window: Collected, records: Sequence[NightRecord], policy: DriftPolicy) -> Training:
    if not records:
        return Training(start=False, reason="only a night, a whole day in UTC, is counted")
    day = window.start.date()
    decision = training(records, archive.days(archive.trainings_uri()), policy)
    if decision.start:
        note_training(window.version, day)
    return decision


def _seen(nights: int) -> str:
    return "one night shows" if nights == 1 else f"{nights} nights together show"


def _reasons(window: Collected, verdict: Verdict, slow: SlowDrift) -> tuple[str, ...]:
    reasons = list(verdict.reasons)
    if not window.version:
        reasons = ["no version is deployed"]
    if window.version and not window.requests:
        reasons = [f"no request of version {window.semver or window.version} in the window"]
    reasons += [
        f"{column.name}: {_seen(slow.nights)} a shift by {column.shift:.3g} deviations"
        for column in slow.columns
        if column.drift
    ]
    if window.missing_hours:
        reasons.append(
            f"{len(window.missing_hours)} of {window.hours} hours have not all arrived: the rest was compared"
        )
    return tuple(reasons)


def _earlier(window: Collected) -> list[str]:
    """The windows of the nights before, whose labels the estimates are calibrated on."""
    nights = (window.start - timedelta(days=back) for back in range(1, CALIBRATION_NIGHTS + 1))
    folders = (archive.window_uri(window.version, start, start + timedelta(days=1)) for start in nights)
    return [folder for folder in folders if artifacts.exists(artifacts.join(folder, archive.COLLECTED))]


def _written(
    found: NightVerdict,
    evidence: Evidence,
    verdict: Verdict,
    records: Sequence[NightRecord],
    pairs: Sequence[Pair],
    policy: DriftPolicy,
    *,
    publish: bool,
) -> NightVerdict:
    """Store the page, log to MLflow, and store the verdict last: who sees it, sees the rest."""
    trend = {record.day: record.effects for record in records[-TREND_NIGHTS:]}
    context = Context(estimates=found.estimates, trend=trend, pairs=tuple(pairs), training=found.training)
    content = page(evidence, verdict, policy, context).encode()
    artifacts.write_bytes(found.report, content)
    found = found.model_copy(update={"report_bytes": len(content)})
    if publish and found.version:
        day = records[-1].day.toordinal() if records else 0
        run = to_mlflow(found, content, _effects(evidence, verdict), day)
        found = found.model_copy(update={"mlflow_run": run})
    uri = artifacts.join(found.window, archive.VERDICT)
    artifacts.write_bytes(uri, found.model_dump_json(indent=1).encode())
    log.info("drift_judged", version=found.version, verdict=found.verdict, retrain=found.retrain)
    return found
