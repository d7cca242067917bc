"""Traffic that never was: events of an experiment with effects that are known, to see whether they are found.

Units are placed by the same function as in the gateway, and the events lie in a store as the event log's do. Everything
follows from the seed.
"""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from identity_masker import artifacts
from identity_masker.errors import BadInputError
from identity_masker.experiments.assignment import assign
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.durations import DAY
from identity_masker.experiments.event_source import FROM_REQUESTS
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.outcomes import sources_of
from identity_masker.telemetry.event_store import COMPLETE, HOUR, hour_of, hour_uri
from identity_masker.telemetry.events.kinds import Kind

VALUES = {"device": ("phone", "tablet"), "region": ("eu", "us", "asia"), "plan": ("free", "pro")}
REQUESTS_A_UNIT, LATENCY_MS, ERROR_SHARE, SPREAD = 4.0, 120.0, 0.002, 0.35
TIME = pl.Datetime("us", "UTC")
Whole = NDArray[np.int64]
Floats = NDArray[np.float64]


class Traffic(BaseModel):
    """What to simulate. `effects`: by outcome, the relative change that every treatment causes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime
    days: int = Field(default=7, ge=1, le=366)
    units_per_day: int = Field(default=1000, ge=1, le=1_000_000)
    effects: dict[str, float] = {}
    seed: int = Field(default=0, ge=0)


class Simulated(BaseModel):
    """What was written: events by kind, and units that take part."""

    experiment: str
    store: str
    start: str
    end: str
    units: int
    events: dict[str, int]


class Crowd:
    """The units that enter: names, entry times, arms, habits (mean 1) and attributes."""

    def __init__(self, experiment: Experiment, traffic: Traffic, rng: np.random.Generator) -> None:
        count = traffic.days * traffic.units_per_day
        names = [f"sim-{traffic.seed}-{k}" for k in range(count)]
        wanted = dict.fromkeys([*experiment.analysis.segments, experiment.analysis.stratify_by, "device", "region"])
        options = {name: VALUES.get(name, (f"{name}-1", f"{name}-2")) for name in wanted if name}
        drawn = {name: rng.choice(values, count) for name, values in options.items()}
        rule = experiment.model_copy(update={"status": "running"}).rule
        self.attributes: list[dict[str, str]] = []
        self.units: list[str] = []
        arms, places = [], []
        for place, name in enumerate(names):
            attributes = {key: str(values[place]) for key, values in drawn.items()}
            found = assign(rule, {**attributes, "user": name})
            if found.included:
                self.units.append(name)
                self.attributes.append(attributes)
                arms.append(found.variant)
                places.append(place)
        if not places:
            raise BadInputError(
                "no simulated unit is in the experiment", got=f"{count} units", fix="widen targeting or coverage"
            )
        entered = rng.random(count) * traffic.days * DAY.total_seconds()
        self.entered = (entered[places] * 1e6).astype(np.int64) + round(traffic.start.timestamp() * 1e6)
        self.arms = np.array(arms)
        self.habits = rng.gamma(2.0, 0.5, len(places))


def simulate(experiment: Experiment, traffic: Traffic, store: str) -> Simulated:
    """Write the events into `store`, hour by hour and every hour complete.

    Raises `BadInputError` for effects on outcomes that the experiment does not measure, and when `store` holds events.
    """
    _check(experiment, traffic, store)
    rng = np.random.default_rng(traffic.seed)
    crowd = Crowd(experiment, traffic, rng)
    frames: dict[Kind, pl.DataFrame] = {
        "exposures": _exposures(experiment, crowd),
        "requests": _requests(experiment, traffic, crowd, rng),
        "outcomes": _outcomes(experiment, traffic, crowd, rng),
    }
    longest = max(experiment.window_of(metric) for metric in experiment.metrics)
    before = max((metric.covariate or timedelta(0) for metric in experiment.metrics), default=timedelta(0))
    begin, end = hour_of(traffic.start - before), traffic.start + traffic.days * DAY + longest + HOUR
    for kind, frame in frames.items():
        identified = frame.with_columns(
            pl.format("{}-{}-{}", pl.lit(kind), pl.lit(traffic.seed), pl.int_range(pl.len())).alias("event_id")
        )
        _write(identified, store, kind, begin, end)
    return Simulated(
        experiment=experiment.name,
        store=store,
        start=begin.isoformat(),
        end=end.isoformat(),
        units=len(crowd.units),
        events={kind: frame.height for kind, frame in frames.items()},
    )


def _check(experiment: Experiment, traffic: Traffic, store: str) -> None:
    known = sources_of(experiment)
    strangers = sorted(set(traffic.effects) - set(known))
    if strangers:
        raise BadInputError("effects on what is not measured", got=", ".join(strangers), allowed=", ".join(known))
    if artifacts.names(artifacts.join(store, "events")):
        raise BadInputError("the store holds events already", got=store, fix="simulate into a store of its own")


def _exposures(experiment: Experiment, crowd: Crowd) -> pl.DataFrame:
    names = np.array(list(experiment.variants))
    return pl.DataFrame(
        {
            "experiment": [experiment.name] * len(crowd.units),
            "unit": crowd.units,
            "variant": names[crowd.arms],
            "forced": [False] * len(crowd.units),
            "attributes": [json.dumps(each) for each in crowd.attributes],
            "time": _times(crowd.entered),
        }
    )


def _requests(experiment: Experiment, traffic: Traffic, crowd: Crowd, rng: np.random.Generator) -> pl.DataFrame:
    """Requests after exposure, and before it as far back as a covariate reads."""
    reading = {metric.source: metric for metric in experiment.metrics if metric.source in FROM_REQUESTS}
    masks = reading.get("masks")
    usual = masks.baseline.mean if masks and masks.baseline else REQUESTS_A_UNIT
    latency = _baseline(reading.get("latency_ms"), LATENCY_MS)
    window, before = _reach(experiment, list(reading.values()))
    lift = _lift(traffic, crowd, "masks")
    who, when = _moments(crowd, rng, usual * crowd.habits * lift, timedelta(0), window)
    if before:
        past, earlier = _moments(crowd, rng, usual * crowd.habits * (before / window), -before, timedelta(0))
        who, when = np.concatenate([who, past]), np.concatenate([when, earlier])
    after = when >= crowd.entered[who]
    slower = np.where(after, _lift(traffic, crowd, "latency_ms")[who], 1.0)
    failing = np.where(after, _lift(traffic, crowd, "request_error")[who], 1.0)
    failed = rng.random(who.size) < _baseline(reading.get("request_error"), ERROR_SHARE) * failing
    names, arms = np.array(list(experiment.variants)), crowd.arms[who]
    return pl.DataFrame(
        {
            "request_id": [f"r-{traffic.seed}-{k}" for k in range(who.size)],
            "unit": np.array(crowd.units)[who],
            "variant": names[arms],
            "version": np.where(after, arms + 1, 1).astype(str),
            "semver": [f"1.0.{arm}" for arm in arms],
            "latency_ms": latency * slower * rng.lognormal(0.0, SPREAD, who.size),
            "status": np.where(failed, 503, 200),
            "error": np.where(failed, "no_server", ""),
            "brightness": rng.normal(0.5, 0.1, who.size),
            "contrast": rng.normal(0.2, 0.03, who.size),
            "sharpness": rng.normal(0.3, 0.05, who.size),
            "changed": rng.beta(8.0, 4.0, who.size),
            "masked_code": "",
            "experiments": np.where(after, [json.dumps({experiment.name: str(names[arm])}) for arm in arms], "{}"),
            "time": _times(when),
        }
    )


def _outcomes(experiment: Experiment, traffic: Traffic, crowd: Crowd, rng: np.random.Generator) -> pl.DataFrame:
    """The outcomes that clients send, for every name that a metric reads and requests do not give."""
    frames: list[pl.DataFrame] = []
    for metric in experiment.metrics:
        for name in {metric.source, metric.denominator or metric.source} - {"count", *FROM_REQUESTS}:
            if any(name in frame.get_column("name").unique() for frame in frames if frame.height):
                continue
            frames.append(_sent(experiment, traffic, crowd, metric, name, rng))
    empty = pl.DataFrame(schema={"unit": pl.String, "name": pl.String, "value": pl.Float64, "time": TIME})
    return pl.concat([empty, *frames])


def _sent(
    experiment: Experiment, traffic: Traffic, crowd: Crowd, metric: Metric, name: str, rng: np.random.Generator
) -> pl.DataFrame:
    lift, window = _lift(traffic, crowd, name), experiment.window_of(metric)
    mean = _baseline(metric, 0.3 if metric.kind == "proportion" else 1.0)
    if metric.kind == "proportion":
        who = np.flatnonzero(rng.random(len(crowd.units)) < np.clip(mean * lift, 0.0, 1.0))
        span = (window - metric.delay) / timedelta(microseconds=1)
        when = crowd.entered[who] + _us(metric.delay) + (rng.random(who.size) * span).astype(np.int64)
        return _rows(crowd, name, who, when, np.ones(who.size))
    often = mean if metric.kind == "count" else 0.5
    who, when = _moments(crowd, rng, often * crowd.habits * lift, metric.delay, window)
    if metric.covariate:
        length = metric.covariate / (window - metric.delay)
        past, earlier = _moments(crowd, rng, often * crowd.habits * length, -metric.covariate, timedelta(0))
        who, when = np.concatenate([who, past]), np.concatenate([when, earlier])
    value = np.ones(who.size) if metric.kind == "count" else mean / often * rng.gamma(2.0, 0.5, who.size)
    return _rows(crowd, name, who, when, value)


def _moments(
    crowd: Crowd, rng: np.random.Generator, often: Floats, begin: timedelta, end: timedelta
) -> tuple[Whole, Whole]:
    """Units and times of Poisson many events, evenly spread over the time after entry."""
    who = np.repeat(np.arange(len(crowd.units)), rng.poisson(often))
    when = crowd.entered[who] + _us(begin) + (rng.random(who.size) * _us(end - begin)).astype(np.int64)
    return who, when


def _rows(crowd: Crowd, name: str, who: Whole, when: Whole, value: Floats) -> pl.DataFrame:
    return pl.DataFrame(
        {"unit": np.array(crowd.units)[who], "name": np.full(who.size, name), "value": value, "time": _times(when)},
        schema={"unit": pl.String, "name": pl.String, "value": pl.Float64, "time": TIME},
    )


def _lift(traffic: Traffic, crowd: Crowd, name: str) -> Floats:
    lift: Floats = np.where(crowd.arms > 0, 1.0 + traffic.effects.get(name, 0.0), 1.0)
    return lift


def _reach(experiment: Experiment, metrics: list[Metric]) -> tuple[timedelta, timedelta]:
    window = max((experiment.window_of(metric) for metric in metrics), default=DAY)
    return window, max((metric.covariate or timedelta(0) for metric in metrics), default=timedelta(0))


def _baseline(metric: Metric | None, usual: float) -> float:
    return metric.baseline.mean if metric and metric.baseline else usual


def _write(frame: pl.DataFrame, store: str, kind: Kind, begin: datetime, end: datetime) -> None:
    by_hour = {
        key[0]: part for key, part in frame.sort("time").group_by(pl.col("time").dt.truncate("1h"), maintain_order=True)
    }
    hour = begin
    while hour < end:
        folder = hour_uri(store, kind, hour)
        part, digest = by_hour.get(hour), ""
        if part is not None:
            buffer = io.BytesIO()
            part.write_parquet(buffer)
            digest = artifacts.sha256(buffer.getvalue())
            artifacts.write_bytes(artifacts.join(folder, "events.parquet"), buffer.getvalue())
        marker = {"events": 0 if part is None else part.height, "sha256": digest}
        artifacts.write_json(artifacts.join(folder, COMPLETE), marker)
        hour += HOUR


def _times(when: Whole) -> pl.Series:
    return pl.Series(when, dtype=pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _us(span: timedelta) -> int:
    return round(span / timedelta(microseconds=1))
