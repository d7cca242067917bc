"""From the analysis plan to the critical values: shared by planning and analysis, so that both speak of one test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from identity_masker.experiments.design import Analysis, Experiment
from identity_masker.statistics.plans import SequentialPlan
from identity_masker.statistics.samples import Floats
from identity_masker.statistics.sequential import asymptotic_half_width, spending_boundaries


class Alphas(NamedTuple):
    """How the error is split: `scheduled` looks and looks at any time together are the analysis' alpha.

    `each`: what the first of the goals' hypotheses has to pass when all are corrected for together.
    """

    scheduled: float
    unscheduled: float
    hypotheses: int

    @property
    def each(self) -> float:
        return self.scheduled / self.hypotheses


def split(experiment: Experiment) -> Alphas:
    """The split of alpha between scheduled and unscheduled looks and over the goals' hypotheses."""
    analysis = experiment.analysis
    hypotheses = len(experiment.goals) * len(experiment.treatments) if analysis.correction != "none" else 1
    spare = analysis.alpha * analysis.unscheduled_share
    return Alphas(analysis.alpha - spare, spare, hypotheses)


def look_days(experiment: Experiment) -> list[int]:
    """Days of entry after which one looks, counted in units whose window is over: the last day is always one."""
    if experiment.analysis.method == "fixed":
        return [experiment.schedule.days]
    step = experiment.analysis.look_every_days
    days = list(range(step, experiment.schedule.days + 1, step))
    return days if days and days[-1] == experiment.schedule.days else [*days, experiment.schedule.days]


def z_bounds(analysis: Analysis, information: Floats, alpha: float, planned_units: float) -> Floats:
    """Two-sided critical z values at fractions `information` of the planned units."""
    if analysis.method == "always_valid":
        tuned = analysis.n_tuned or planned_units
        return np.array([any_time_z(fraction * planned_units, alpha, tuned) for fraction in information])
    return spending_boundaries(information, alpha, analysis.spending, planned=1.0)


def spending_bounds(analysis: Analysis, information: Floats, clock: Floats, alpha: float) -> Floats:
    """Two-sided critical z values at looks with this much information, alpha spent by `clock` (1 is the end)."""
    return spending_boundaries(
        information / information[-1], alpha, analysis.spending, planned=1.0, spending_time=np.minimum(clock, 1.0)
    )


def any_time_z(units: float, alpha: float, n_tuned: float) -> float:
    """The half width of the asymptotic confidence sequence in standard errors."""
    return asymptotic_half_width(math.sqrt(units), units, alpha, n_tuned)


def designed(experiment: Experiment, alpha: float, planned_units: float) -> SequentialPlan:
    """The sequential plan of the experiment's scheduled looks at level `alpha`, two-sided, without futility."""
    information = np.array(look_days(experiment)) / experiment.schedule.days
    upper = z_bounds(experiment.analysis, information, alpha, planned_units)
    never = np.full(information.size, -np.inf)
    return SequentialPlan(information, upper, -upper, never, alpha)
