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
from identity_masker.release.evidence import Arm, ArmName, Events, Histogram, Interval, Measure, Moments
from identity_masker.serving.answers import METRIC, PAIRED, SHADOW, SHARE
from identity_masker.serving.quality_measures import EXAMINER, SQUARES, SUM, VALUES

MEASURES = frozenset({"errors", "latency_ms", "leak", "face_found", "outside"})
"""What the gateway measures of each arm, by the names that evidence uses; the last three only with an examiner."""

FAILED = ("failed", "gone")
TIMED = ("ok", "failed", "gone")
READ_SECONDS = 5.0


Outcomes = dict[str, tuple[int, ...]]
Sums = tuple[int, float, float]
"""Number of values, their sum, and the sum of their squares."""


class Snapshot(BaseModel):
    """What one gateway process has counted since it started, or what several have, each in its own.

    `answers` maps a version to its outcomes, and those to counts per bucket (not cumulated) of `bounds` seconds and
    above. Only requests that the shares sent to the version are in it. `quality` maps a version to the measures that
    `examiner` took of a sample of them. `mirrored` and `mirrored_quality` are the same of requests that a shadow got
    too: the shadow's answers, and the champion's to the same pictures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    process_start: float
    revision: int = Field(ge=0, description="Of the routing table that the gateway follows.")
    bounds: tuple[float, ...] = ()
    answers: dict[str, Outcomes] = Field(default_factory=dict)
    examiner: str = ""
    quality: dict[str, dict[str, Sums]] = Field(default_factory=dict)
    mirrored: dict[str, Outcomes] = Field(default_factory=dict)
    mirrored_quality: dict[str, dict[str, Sums]] = Field(default_factory=dict)
    processes: dict[str, Snapshot] = Field(
        default_factory=dict, description="Of several gateways, by address: the counts are in them alone."
    )


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
    qualities: list[Sample] = []
    examiner = ""
    for family in text_string_to_metric_families(text):
        if family.name == METRIC:
            buckets += [sample for sample in family.samples if sample.name == f"{METRIC}_bucket"]
        elif family.name in (VALUES, SUM, SQUARES):
            qualities += family.samples
        elif family.name == EXAMINER and family.samples:
            examiner = family.samples[0].labels["examiner"]
        elif family.name in ("process_start_time_seconds", "masker_gateway_routing_revision"):
            found[family.name] = family.samples[0].value
    if not examiner and qualities:  # it starts again: the series that came last are of the one that scored last
        examiner = qualities[-1].labels["examiner"]
    ours = [sample for sample in qualities if sample.labels["examiner"] == examiner]
    return Snapshot(
        process_start=found.get("process_start_time_seconds", 0.0),
        revision=int(found.get("masker_gateway_routing_revision", 0)),
        bounds=tuple(sorted({float(s.labels["le"]) for s in buckets if s.labels["le"] != "+Inf"})),
        answers=_answers(_of(buckets, SHARE)),
        examiner=examiner,
        quality=_sums(_of(ours, SHARE)),
        mirrored=_answers(_of(buckets, SHADOW, PAIRED)),
        mirrored_quality=_sums(_of(ours, SHADOW, PAIRED)),
    )


def _of(samples: Iterable[Sample], *via: str) -> list[Sample]:
    return [sample for sample in samples if sample.labels["via"] in via]


def _answers(samples: Iterable[Sample]) -> dict[str, Outcomes]:
    cumulated: dict[tuple[str, str], dict[float, int]] = {}
    for sample in samples:
        series = cumulated.setdefault((sample.labels["version"], sample.labels["outcome"]), {})
        bound = float(sample.labels["le"])
        series[bound] = series.get(bound, 0) + int(sample.value)  # a version may have answered under two names
    answers: dict[str, Outcomes] = {}
    for (version, outcome), series in sorted(cumulated.items()):
        counts = np.diff([series[bound] for bound in sorted(series)], prepend=0)
        answers.setdefault(version, {})[outcome] = tuple(int(count) for count in counts)
    return answers


def _sums(samples: Iterable[Sample]) -> dict[str, dict[str, Sums]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for sample in samples:
        numbers = found.setdefault(sample.labels["version"], {}).setdefault(sample.labels["measure"], {})
        numbers[sample.name.removesuffix("_total")] = sample.value
    return {
        version: {
            measure: (int(numbers[VALUES]), numbers[SUM], numbers[SQUARES])
            for measure, numbers in sorted(measures.items())
        }
        for version, measures in sorted(found.items())
    }


def interval(
    before: Snapshot,
    after: Snapshot,
    arms: Mapping[ArmName, str],
    *,
    seconds: float,
    share: float | None,
    mirrored: bool = False,
) -> Interval:
    """What the versions `arms` answered between two snapshots. A gateway that started anew has counted from zero.

    `mirrored`: of requests that a shadow got too, instead of those that the shares sent.
    """
    restarted = before.process_start != after.process_start
    compared = restarted or before.examiner != after.examiner
    answers, quality = (after.mirrored, after.mirrored_quality) if mirrored else (after.answers, after.quality)
    first, first_quality = (before.mirrored, before.mirrored_quality) if mirrored else (before.answers, before.quality)
    made = {}
    for name, version in arms.items():
        arm = _arm({} if restarted else first.get(version, {}), answers.get(version, {}), after)
        scored = _scored({} if compared else first_quality.get(version, {}), quality.get(version, {}))
        made[name] = arm.model_copy(update={"measures": {**arm.measures, **scored}})
    return Interval(seconds=seconds, share=share, arms=made)


def _arm(before: Outcomes, after: Outcomes, snapshot: Snapshot) -> Arm:
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


def _scored(before: Mapping[str, Sums], after: Mapping[str, Sums]) -> dict[str, Measure]:
    """The measures of quality; one without a value in between is missing."""
    found: dict[str, Measure] = {}
    for name, sums in after.items():
        n, total, squares = (new - old for new, old in zip(sums, before.get(name, (0, 0.0, 0.0)), strict=True))
        if n <= 0:
            continue
        if name == "face_found":
            found[name] = Events(n=int(n), events=round(total))
        else:
            mean = total / n
            found[name] = Moments(n=int(n), mean=mean, var=max(squares / n - mean**2, 0.0))
    return found
