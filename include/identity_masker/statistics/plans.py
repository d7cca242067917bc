"""A group sequential design as a whole: its boundaries, exact power, and the sample it uses on average."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats
from scipy.special import ndtr

from identity_masker.errors import BadInputError
from identity_masker.statistics.crossing import Crossing, crossing_probabilities
from identity_masker.statistics.samples import Floats, probability
from identity_masker.statistics.sequential import information_fractions, spending_boundaries
from identity_masker.statistics.spending import Spending


@dataclass(frozen=True)
class SequentialPlan:
    """Boundaries at scheduled looks.

    `information`: fractions at the looks, 1.0 being the planned total. `upper`: z boundaries for a benefit;
    `lower`: for harm (-upper when two-sided, -inf when one-sided). `futility`: z below which the experiment may
    stop for futility (-inf: never). Futility is non-binding: the error rate holds whether or not it is obeyed.
    `drift` in the methods is the expected z at information 1, which is effect / standard error at the planned size.
    """

    information: Floats
    upper: Floats
    lower: Floats
    futility: Floats
    alpha: float
    two_sided: bool = True
    spending: Spending = field(default="obrien_fleming")

    @classmethod
    def designed(
        cls,
        information: ArrayLike,
        alpha: float = 0.05,
        spending: Spending = "obrien_fleming",
        *,
        two_sided: bool = True,
    ) -> SequentialPlan:
        """The plan that spends `alpha` at the looks `information`; without futility."""
        times = information_fractions(information)
        upper = spending_boundaries(times, alpha, spending, two_sided)
        never = np.full(times.size, -np.inf)
        return cls(times, upper, -upper if two_sided else never, never, alpha, two_sided, spending)

    def with_futility(self, drift: float, conditional_power: float) -> SequentialPlan:
        """Add stops for futility: where the power given the data, at effect `drift`, is below `conditional_power`."""
        probability(conditional_power, "the conditional power")
        times, final = self.information[:-1], self.upper[-1] * math.sqrt(self.information[-1])
        left = self.information[-1] - times
        score = final - drift * left - np.sqrt(left) * stats.norm.isf(conditional_power)
        bounds = np.append(np.minimum(score / np.sqrt(times), self.upper[:-1]), self.upper[-1])
        return SequentialPlan(
            self.information, self.upper, self.lower, bounds, self.alpha, self.two_sided, self.spending
        )

    def crossing(self, drift: float, *, obey_futility: bool = False) -> Crossing:
        """Probabilities of stopping first at each look: above (benefit), and below (harm or, if obeyed, futility)."""
        lower = np.maximum(self.lower, self.futility) if obey_futility else self.lower
        return crossing_probabilities(self.information, self.upper, lower, drift)

    def power(self, drift: float, *, obey_futility: bool = False) -> float:
        """Exact probability of a rejection when the expected final z is `drift`.

        Two-sided plans count both boundaries, as fixed two-sided tests do; with futility obeyed only the upper one,
        since futility and harm are then one stop.
        """
        exits = self.crossing(drift, obey_futility=obey_futility)
        both = self.two_sided and not obey_futility
        return float(exits.above.sum() + (exits.below.sum() if both else 0.0))

    def average_information(self, drift: float, *, obey_futility: bool = False) -> float:
        """Expected fraction of the planned sample that is used."""
        exits = self.crossing(drift, obey_futility=obey_futility)
        stopped = exits.above + exits.below
        return float(stopped[:-1] @ self.information[:-1] + (1.0 - stopped[:-1].sum()) * self.information[-1])

    def drift_for(self, power: float) -> float:
        """The expected final z at which the plan has `power`."""
        if not self.alpha < power < 1.0:
            raise BadInputError("the power is out of range", got=power, allowed=f"a number between {self.alpha} and 1")
        return float(optimize.brentq(lambda drift: self.power(drift) - power, 0.0, 40.0, xtol=1e-10))

    def inflation(self, power: float) -> float:
        """How many times the sample of a fixed test the plan needs at most, for the same power."""
        one_tail = float(stats.norm.isf(self.alpha / 2.0 if self.two_sided else self.alpha))

        def fixed(drift: float) -> float:
            far = float(ndtr(-one_tail - drift)) if self.two_sided else 0.0
            return float(ndtr(drift - one_tail)) + far - power

        return (self.drift_for(power) / float(optimize.brentq(fixed, 0.0, 40.0, xtol=1e-12))) ** 2


def conditional_power(z: float, information: float, drift: float, final_bound: float) -> float:
    """P(final z passes `final_bound` | z at `information` < 1, expected final z `drift`), intermediate looks aside."""
    if not 0.0 < information < 1.0:
        raise BadInputError("the information is out of range", got=information, allowed="a number between 0 and 1")
    left = 1.0 - information
    return float(ndtr((z * math.sqrt(information) + drift * left - final_bound) / math.sqrt(left)))


def predictive_power(z: float, information: float, final_bound: float) -> float:
    """As `conditional_power`, averaged over what the data so far say of the effect (flat prior)."""
    if not 0.0 < information < 1.0:
        raise BadInputError("the information is out of range", got=information, allowed="a number between 0 and 1")
    return float(ndtr((z / math.sqrt(information) - final_bound) * math.sqrt(information / (1.0 - information))))
