"""The design of an experiment: one file in include/config/experiments, checked as a whole."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from identity_masker.errors import BadInputError
from identity_masker.experiments import targeting
from identity_masker.experiments.assignment import Range, Rule, bucket_ranges
from identity_masker.experiments.durations import Duration
from identity_masker.experiments.metric import Metric, Section

VariantName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
ExperimentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Alpha = Annotated[float, Field(gt=0.0, lt=0.5)]
WEIGHT_TOLERANCE = 1e-6


class Variant(Section):
    """What a share of the units gets."""

    model: str = Field(min_length=1, description="Model reference: champion, challenger, a semver or a version number.")
    weight: Share


class Layer(Section):
    """Experiments of one layer share its units out among them: a slot is a range of the layer, from 0 to 1."""

    name: str = Field(min_length=1)
    slot: tuple[Share, Share] = (0.0, 1.0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.slot[0] >= self.slot[1]:
            raise ValueError(f"the slot {list(self.slot)} of layer {self.name} is empty")
        return self


class Holdout(Section):
    """Units that see none of the experiments with this holdout, so that all of them together can be measured."""

    name: str = Field(min_length=1)
    share: float = Field(gt=0.0, lt=1.0)


class Schedule(Section):
    """When units enter, how many, and when one looks."""

    start: AwareDatetime | None = Field(default=None, description="First exposure that counts; default the first seen.")
    days: int = Field(ge=1, le=366, description="Days in which units enter.")
    minimum_days: int = Field(default=7, ge=0, description="No ship before this many days: a whole week by default.")
    units_per_day: float | None = Field(default=None, gt=0.0, description="New units a day before targeting.")
    eligible_share: float = Field(default=1.0, gt=0.0, le=1.0, description="Share of them that the targeting admits.")


class Analysis(Section):
    """How the data are read, fixed before they come in."""

    method: Literal["fixed", "group_sequential", "always_valid"] = "group_sequential"
    alpha: Alpha = Field(default=0.05, description="Two-sided error over goals and looks together.")
    power: float = Field(default=0.8, gt=0.5, lt=1.0)
    spending: Literal["obrien_fleming", "pocock"] | Annotated[float, Field(gt=0.0, le=10.0)] = 2.0
    look_every_days: int = Field(default=1, ge=1, description="Days between scheduled looks.")
    unscheduled_share: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Share of alpha kept for looks at any time (confidence sequence)."
    )
    n_tuned: float | None = Field(default=None, gt=0.0, description="Units at which the confidence sequence is best.")
    window: Duration = Field(default=timedelta(days=1), description="Time after exposure that counts.")
    scale: Literal["absolute", "relative"] = "relative"
    correction: Literal["holm", "benjamini_hochberg", "none"] = "holm"
    stratify_by: str | None = Field(default=None, description="Attribute known before exposure (post-stratification).")
    segments: tuple[str, ...] = Field(default=(), description="Attributes to break results down by, exploratory.")
    prior_sd: float | None = Field(default=None, gt=0.0, description="Prior deviation of effects; default flat.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.unscheduled_share and self.method != "group_sequential":
            raise ValueError(
                "`unscheduled_share` splits the alpha of `group_sequential`; other methods have one use of it"
            )
        return self


class StopRules(Section):
    """When to stop before the end."""

    harm: bool = Field(default=True, description="Stop when a goal or a guardrail is shown to be worse.")
    futility: Share | None = Field(
        default=0.1, description="Stop when the power left for the smallest effect that matters is below this."
    )


class Health(Section):
    """Limits beyond which the numbers of an experiment are not believed."""

    sample_ratio_alpha: float = Field(default=0.001, gt=0.0, lt=1.0)
    multiple_exposure_share: float = Field(default=0.01, ge=0.0, le=1.0)
    imbalance_alpha: float = Field(default=0.001, gt=0.0, lt=1.0)
    interaction_alpha: float = Field(default=0.01, gt=0.0, lt=1.0)
    invalid_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Share of outcomes that may be NaN or missing."
    )


class Bandit(Section):
    """Dynamic weights: top-two Thompson sampling on the first goal."""

    floor: float = Field(default=0.05, gt=0.0, lt=0.5, description="No arm gets less while it is not vetoed.")
    beta: float | None = Field(
        default=None, gt=0.0, le=1.0, description="Share of the best arm's draws; default by arms."
    )
    minimum_units: int = Field(default=100, ge=2, description="Units every arm has before weights first move.")


class WeightChange(Section):
    """From when on which weights applied: written by whoever changes them, read by the sample-ratio test."""

    at: AwareDatetime
    weights: dict[VariantName, Share]


class Experiment(Section):
    """A whole file of include/config/experiments."""

    name: ExperimentName
    hypothesis: str = Field(min_length=10, description="What is expected to change, for whom, and why.")
    status: Literal["draft", "running", "stopped"] = "draft"
    unit: Literal["user", "session"] = "user"
    fallback_unit: Literal["user", "session"] | None = Field(
        default=None, description="Attribute that names the unit when the first is missing (sticky experiments)."
    )
    variants: dict[VariantName, Variant] = Field(min_length=2, max_length=20, description="The first is the control.")
    coverage: float = Field(default=1.0, gt=0.0, le=1.0, description="Share of eligible units that take part.")
    seed: str = Field(default="", description="Hash seed; default the name. A new seed draws the units anew.")
    targeting: dict[str, Any] = Field(default_factory=dict, description="Condition on attributes; see docs.")
    layer: Layer | None = None
    holdout: Holdout | None = None
    forced: dict[str, VariantName] = Field(default_factory=dict, description="Unit → variant, for testers.")
    sticky: bool = Field(default=False, description="A unit keeps its variant when weights change.")
    bucket_version: int = Field(default=0, ge=0)
    min_bucket_version: int = Field(default=0, ge=0)
    schedule: Schedule
    metrics: tuple[Metric, ...] = Field(min_length=1, max_length=100)
    analysis: Analysis = Analysis()
    stop: StopRules = StopRules()
    health: Health = Health()
    bandit: Bandit | None = None
    weight_changes: tuple[WeightChange, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_weights({name: variant.weight for name, variant in self.variants.items()})
        for change in self.weight_changes:
            self._check_weights(change.weights)
        times = [change.at for change in self.weight_changes]
        if times != sorted(set(times)):
            raise ValueError("weight_changes are not in the order of time")
        strangers = sorted(set(self.forced.values()) - set(self.variants))
        if strangers:
            raise ValueError(f"forced names variants that do not exist: {', '.join(strangers)}")
        try:
            targeting.compiled(self.targeting)
        except BadInputError as error:
            raise ValueError(str(error)) from error
        if self.bandit and self.bandit.floor * len(self.variants) >= 1.0:
            raise ValueError("the bandit's floor leaves nothing to share out")
        if self.bandit and self.goals and self.goals[0].kind == "quantile":
            raise ValueError("a bandit needs a mean, count, proportion or ratio as its first goal")
        if self.fallback_unit == self.unit:
            raise ValueError("fallback_unit is the unit itself")
        return self._check_metrics()

    def _check_weights(self, weights: dict[str, float]) -> None:
        if set(weights) != set(self.variants):
            raise ValueError(f"weights are given for {sorted(weights)}, the variants are {sorted(self.variants)}")
        total = sum(weights.values())
        if abs(total - 1.0) > WEIGHT_TOLERANCE:
            raise ValueError(f"the weights sum to {total:g}, not to 1")

    def _check_metrics(self) -> Self:
        names = [metric.name for metric in self.metrics]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"metrics with the same name: {', '.join(double)}")
        if not self.goals:
            raise ValueError("no metric has the role `goal`: nothing to decide by")
        for metric in self.metrics:
            if self.window_of(metric) <= metric.delay:
                raise ValueError(f"metric {metric.name}: the window ends before it begins")
        if self.analysis.stratify_by and any(goal.kind in ("ratio", "quantile") for goal in self.goals):
            raise ValueError("stratify_by works on means, counts and proportions only")
        if self.analysis.stratify_by and (self.bandit or self.weight_changes):
            raise ValueError("stratify_by does not go together with weights that change")
        return self

    @property
    def goals(self) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if metric.role == "goal")

    @property
    def control(self) -> str:
        return next(iter(self.variants))

    @property
    def treatments(self) -> tuple[str, ...]:
        return tuple(self.variants)[1:]

    def metric(self, name: str) -> Metric:
        """The metric called `name`. Raises `BadInputError` when there is none."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise BadInputError("unknown metric", got=name, allowed=", ".join(metric.name for metric in self.metrics))

    def window_of(self, metric: Metric) -> timedelta:
        """The end of the metric's window after exposure."""
        return metric.window if metric.window is not None else self.analysis.window

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        return tuple(bucket_ranges(len(self.variants), self.coverage, [v.weight for v in self.variants.values()]))

    @cached_property
    def rule(self) -> Rule:
        """The experiment as assignment sees it."""
        return Rule(
            key=self.name,
            seed=self.seed,
            variants=tuple(self.variants),
            ranges=self.ranges,
            attribute=self.unit,
            fallback=self.fallback_unit,
            condition=targeting.compiled(self.targeting),
            layer=self.layer.name if self.layer else "",
            slot=self.layer.slot if self.layer else (0.0, 1.0),
            holdout=(self.holdout.name, self.holdout.share) if self.holdout else ("", 0.0),
            forced=self.forced,
            sticky=self.sticky,
            bucket_version=self.bucket_version,
            min_bucket_version=self.min_bucket_version,
            active=self.status == "running",
        )
