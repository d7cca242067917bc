"""Evidence from the gateway: its histogram of answers, read at the beginning and at the end of an interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from identity_masker.errors import TemporaryError
from identity_masker.release.evidence import Arm, ArmName, Histogram, Interval
from identity_masker.serving.answers import METRIC, SHARE

MEASURES = frozenset({"errors", "latency_ms"})
"""What the gateway measures of each arm, by the names that evidence uses."""

FAILED = ("failed", "gone")
TIMED = ("ok", "failed", "gone")
READ_SECONDS = 5.0


class Snapshot(BaseModel):
    """What one gateway process has counted since it started.

    `answers` maps a version to its outcomes, and those to counts per bucket (not cumulated) of `bounds` seconds and
    above. Only requests that the shares sent to the version are in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    process_start: float
    revision: int = Field(ge=0, description="Of the routing table that the gateway follows.")
    bounds: tuple[float, ...] = ()
    answers: dict[str, dict[str, tuple[int, ...]]] = Field(default_factory=dict)


class Gateway(Protocol):
    """Where snapshots come from."""

    def read(self) -> Snapshot:
        """Raises `TemporaryError` when the gateway does not answer."""
        ...


class HttpGateway:
    """The gateway at `url`."""

    def __init__(self, url: str, token: SecretStr | None = None) -> None:
        """`token`: for a gateway that asks for one."""
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token.get_secret_value()}"} if token else {}

    def read(self) -> Snapshot:
        try:
            answer = httpx.get(
                f"{self._url}/metrics", timeout=READ_SECONDS, headers=self._headers, trust_env=False
            ).raise_for_status()
        except httpx.HTTPError as error:
            raise TemporaryError(
                "the gateway does not tell its metrics",
                got=f"{self._url}/metrics: {type(error).__name__} {error}",
                fix="start `masker gateway`, or set MASKER_GATEWAY_URL",
            ) from error
        return parse(answer.text)


def parse(text: str) -> Snapshot:
    """The snapshot in the text format of Prometheus."""
    found: dict[str, float] = {}
    buckets: list[Sample] = []
    for family in text_string_to_metric_families(text):
        if family.name == METRIC:
            buckets += [sample for sample in family.samples if sample.name == f"{METRIC}_bucket"]
        elif family.name in ("process_start_time_seconds", "masker_gateway_routing_revision"):
            found[family.name] = family.samples[0].value
    drawn = [sample for sample in buckets if sample.labels["via"] == SHARE]
    return Snapshot(
        process_start=found.get("process_start_time_seconds", 0.0),
        revision=int(found.get("masker_gateway_routing_revision", 0)),
        bounds=tuple(sorted({float(s.labels["le"]) for s in buckets if s.labels["le"] != "+Inf"})),
        answers=_answers(drawn),
    )


def _answers(samples: Iterable[Sample]) -> dict[str, dict[str, tuple[int, ...]]]:
    cumulated: dict[tuple[str, str], dict[float, int]] = {}
    for sample in samples:
        series = cumulated.setdefault((sample.labels["version"], sample.labels["outcome"]), {})
        bound = float(sample.labels["le"])
        series[bound] = series.get(bound, 0) + int(sample.value)  # a version may have answered under two names
    answers: dict[str, dict[str, tuple[int, ...]]] = {}
    for (version, outcome), series in sorted(cumulated.items()):
        counts = np.diff([series[bound] for bound in sorted(series)], prepend=0)
        answers.setdefault(version, {})[outcome] = tuple(int(count) for count in counts)
    return answers


def interval(
    before: Snapshot, after: Snapshot, arms: Mapping[ArmName, str], *, seconds: float, share: float
) -> Interval:
    """What the versions `arms` answered between two snapshots. A gateway that started anew has counted from zero."""
    restarted = before.process_start != after.process_start
    first = {} if restarted else before.answers
    made = {name: _arm(first.get(version, {}), after.answers.get(version, {}), after) for name, version in arms.items()}
    return Interval(seconds=seconds, share=share, arms=made)


def _arm(before: Mapping[str, tuple[int, ...]], after: Mapping[str, tuple[int, ...]], snapshot: Snapshot) -> Arm:
    width = len(snapshot.bounds) + 1
    zero = np.zeros(width, dtype=np.int64)
    new = {outcome: np.array(counts) - np.array(before.get(outcome, zero)) for outcome, counts in after.items()}
    requests, errors = (int(sum(new[name].sum() for name in names if name in new)) for names in (tuple(new), FAILED))
    timed = sum((new[name] for name in TIMED if name in new), start=zero)
    measures = {}
    if snapshot.bounds:
        bounds = tuple(round(1000.0 * bound, 6) for bound in snapshot.bounds)
        measures["latency_ms"] = Histogram(bounds=bounds, counts=tuple(int(count) for count in timed))
    return Arm(requests=requests, errors=errors, measures=measures)
