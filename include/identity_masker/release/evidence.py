"""What was seen in a rollout: counts, histograms and moments per interval and arm, checked at the door.

Nothing here knows how it was gathered: a Prometheus query, the event log and a test write the same document.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from identity_masker.documents import validated
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.release.policy import MetricName

Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
ArmName = Literal["champion", "canary"]
DIRECTIONS = {
    "lower": "lower",
    "lower_is_better": "lower",
    "higher": "higher",
    "higher_is_better": "higher",
}
# Measures that a policy may leave out without the evidence being wrong.
STANDARD = frozenset({"errors", "latency_ms", "leak", "face_found", "outside"})


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Events(_Document):
    """`events` of `n`."""

    n: Count
    events: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.events > self.n:
            raise ValueError(f"{self.events} events of {self.n}")
        return self


class Moments(_Document):
    """Number, mean and variance of values; mean and variance may be absent when there are none."""

    n: Count
    mean: Finite | None = None
    var: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.n > 0 and (self.mean is None or self.var is None):
            raise ValueError(f"n is {self.n} but mean or var is missing")
        return self


class Histogram(_Document):
    """Counts per bucket, not cumulated.

    `bounds` are upper bounds, with one more count above the last one (or none); or, with one bound more than
    counts, the edges of the buckets.
    """

    bounds: Annotated[tuple[Finite, ...], Field(min_length=1)]
    counts: Annotated[tuple[Count, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(after <= before for before, after in itertools.pairwise(self.bounds)):
            raise ValueError("bounds must rise")
        if abs(len(self.counts) - len(self.bounds)) > 1:
            raise ValueError(
                f"{len(self.counts)} counts do not fit {len(self.bounds)} bounds: as many, one more or one less do"
            )
        return self

    @property
    def upper(self) -> NDArray[np.float64]:
        """Upper bounds of all buckets but the last."""
        return np.array(self.bounds[1:] if len(self.bounds) > len(self.counts) else self.bounds, dtype=np.float64)

    @property
    def buckets(self) -> NDArray[np.float64]:
        """Counts, the last above the largest bound."""
        full = self.counts if len(self.counts) > len(self.bounds) else (*self.counts, 0)
        return np.array(full, dtype=np.float64)


def _kind(value: Any) -> str:
    names = set(value) if isinstance(value, dict) else set()
    if isinstance(value, Histogram) or names & {"bounds", "counts"}:
        return "histogram"
    return "events" if isinstance(value, Events) or "events" in names else "moments"


Measure = Annotated[
    Annotated[Events, Tag("events")] | Annotated[Moments, Tag("moments")] | Annotated[Histogram, Tag("histogram")],
    Discriminator(_kind),
]


class Slice(_Document):
    """One arm, or the part of it in one slice: requests, failed ones, and measures by name."""

    requests: Count
    errors: Count | None = None
    measures: dict[MetricName, Measure] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _measures_by_name(cls, document: Any) -> Any:
        """In JSON the measures stand beside `requests`."""
        if not isinstance(document, dict) or "measures" in document:
            return document
        own = {name: value for name, value in document.items() if name in cls.model_fields}
        others = {name: value for name, value in document.items() if name not in own and value is not None}
        return {**own, "measures": others}

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.errors is not None and self.errors > self.requests:
            raise ValueError(f"{self.errors} errors of {self.requests} requests")
        latency = self.measures.get("latency_ms")
        if isinstance(latency, Histogram) and sum(latency.counts) > self.requests:
            raise ValueError(
                f"latency_ms counts {sum(latency.counts)} of {self.requests} requests; counts must not be cumulated"
            )
        return self

    def measure(self, name: str) -> Measure | None:
        """The measure called `name`; `errors` is one of all requests."""
        if name == "errors" and self.errors is not None:
            return Events(n=self.requests, events=self.errors)
        return self.measures.get(name)


class Arm(Slice):
    slices: dict[Annotated[str, Field(min_length=1, max_length=200)], Slice] = Field(default_factory=dict)


class Interval(_Document):
    """What both arms did in `seconds`; `share` is the canary's asked share of the traffic."""

    seconds: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    share: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    arms: dict[ArmName, Arm] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _null_is_missing(cls, document: Any) -> Any:
        arms = document.get("arms") if isinstance(document, dict) else None
        if not isinstance(arms, dict):
            return document
        return {**document, "arms": {name: arm for name, arm in arms.items() if arm is not None}}

    def arm(self, name: ArmName) -> Arm | None:
        """The arm, when it has had traffic."""
        arm = self.arms.get(name)
        return arm if arm is not None and arm.requests > 0 else None


class Evidence(_Document):
    """All intervals of a rollout so far, oldest first."""

    metrics_direction: dict[MetricName, str] = Field(default_factory=dict)
    intervals: tuple[Interval, ...]

    @model_validator(mode="after")
    def _directions(self) -> Self:
        wrong = {name: word for name, word in self.metrics_direction.items() if word not in DIRECTIONS}
        if wrong:
            raise ValueError(f"metrics_direction: {wrong}; allowed: {', '.join(DIRECTIONS)}")
        return self

    @model_validator(mode="after")
    def _same_bounds(self) -> Self:
        seen: dict[str, tuple[float, ...]] = {}
        for where, name, measure in self.all_measures():
            if isinstance(measure, Histogram) and seen.setdefault(name, measure.bounds) != measure.bounds:
                raise ValueError(f"{where}: bounds of {name} differ from those seen before: {_short(measure.bounds)}")
        return self

    def direction(self, name: str) -> str | None:
        word = self.metrics_direction.get(name)
        return DIRECTIONS[word] if word else None

    def all_measures(self) -> Iterator[tuple[str, str, Measure]]:
        """(place, name, measure) of everything but errors."""
        for number, interval in enumerate(self.intervals):
            for arm_name, arm in interval.arms.items():
                where = f"intervals.{number}.arms.{arm_name}"
                yield from ((where, name, measure) for name, measure in arm.measures.items())
                for slice_name, part in arm.slices.items():
                    yield from ((f"{where}.slices.{slice_name}", name, each) for name, each in part.measures.items())

    def prefix(self, looks: int) -> Evidence:
        """The evidence as it was after `looks` intervals."""
        return self.model_copy(update={"intervals": self.intervals[:looks]})


class Pairs(_Document):
    """Values of one metric for the same inputs by both versions; null where a version gave no answer."""

    champion: tuple[Finite | None, ...]
    candidate: tuple[Finite | None, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self.champion) != len(self.candidate):
            raise ValueError(f"{len(self.champion)} values of the champion, {len(self.candidate)} of the candidate")
        return self


class ReplayEvidence(_Document):
    """Paired shadow replay: both versions on the same inputs, in the order of the replay."""

    pairs: dict[MetricName, Pairs]


def load_evidence(path: Path) -> Evidence | ReplayEvidence:
    """The evidence in the JSON file `path`.

    Raises `NotFoundError` when there is none, `BadInputError` with every place that does not validate.
    """
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError("there is no such evidence file", got=path) from error
    except OSError as error:
        raise BadInputError("the evidence cannot be read", got=f"{path}: {error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInputError("the evidence is not JSON", got=f"{path}: {error}") from error
    return parse_evidence(document, str(path))


def parse_evidence(document: Any, origin: str = "evidence") -> Evidence | ReplayEvidence:
    """`document` as evidence of a rollout (`intervals`) or of a paired replay (`pairs`)."""
    replay = isinstance(document, dict) and "pairs" in document
    model: type[Evidence] | type[ReplayEvidence] = ReplayEvidence if replay else Evidence
    return validated(model, document, "evidence", origin)


def _short(values: tuple[float, ...]) -> str:
    text = ", ".join(f"{value:g}" for value in values[:6])
    return f"({text}{', …' if len(values) > 6 else ''})"
