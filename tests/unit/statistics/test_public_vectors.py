"""Every number of tests/data/ab_statistics.json, each with its public source, computed by the package."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from identity_masker.statistics import (
    bandits,
    bayes,
    confidence_sequences,
    multiple,
    power,
    proportions,
    quantiles,
    sample_ratio,
    sequential,
    two_sample,
)
from identity_masker.statistics.effects import adjusted_means, adjusted_ratios, difference, mean_level, slope_of
from identity_masker.statistics.moments import Moments

DATA = Path(__file__).parents[2] / "data" / "ab_statistics.json"
ITEMS: list[dict[str, Any]] = json.loads(DATA.read_text())["items"]

# GrowthBook's test of a ratio metric with CUPED (packages/stats/tests/frequentist/test_tests.py, 8f1db445): sums of
# numerator, denominator and the same before exposure, with their products, for both arms.
RATIO_SUMS = (
    [485.112236689623, 679.9093275844917, 192.59138069991536, 290.1398399750233],
    [514.7757826608777, 705.4090874383759, 206.94157227402536, 302.54389139107326],
)
RATIO_PRODUCTS = (
    [
        [2715.484666118136, 3602.146836776702, 1113.6215759318352, 1559.2878434944676],
        [3602.146836776702, 4939.424001640236, 1460.3181079276983, 2130.9404074446747],
        [1113.6215759318352, 1460.3181079276983, 460.076026390857, 634.239482353647],
        [1559.2878434944676, 2130.9404074446747, 634.239482353647, 920.9461385038898],
    ],
    [
        [2994.897482705013, 3918.1561431600717, 1237.0953021125997, 1701.0287270040265],
        [3918.1561431600717, 5291.36604146392, 1604.0759503266522, 2292.081739775257],
        [1237.0953021125997, 1604.0759503266522, 514.2903702246757, 698.4173425817908],
        [1701.0287270040265, 2292.081739775257, 698.4173425817908, 994.4506208125663],
    ],
)


def item_id(item: dict[str, Any]) -> str:
    return f"{item['area']}: {item['name']} {json.dumps(item['inputs'])[:60]}"


def sums(arm: dict[str, float]) -> Moments:
    return Moments.from_sums(arm["n"], [arm["sum"]], [[arm.get("sum_squares", arm["sum"])]])


def relative_standard_error(i: dict[str, Any], effect: float) -> float:
    n = i["total_n"] / i["nVariations"]
    variance = power.relative_variance(i["variance"], i["mean"], n, i["variance"], i["mean"] * (1 + effect), n)
    return math.sqrt(variance)


def sequential_critical(i: dict[str, Any]) -> float:
    n = 2 * i["total_n"] / i["nVariations"]
    return sequential.asymptotic_half_width(math.sqrt(n), n, i["alpha"], i["Nstar"])


def sequential_mde(i: dict[str, Any]) -> float:
    """GrowthBook's published approximation: it inflates the sampling noise by the ratio of the critical values too."""
    inflation = sequential_critical(i) / stats.norm.isf(i["alpha"] / 2)

    def gap(effect: float) -> float:
        se = relative_standard_error(i, effect) * inflation
        return power.power_of_effect(effect, se, i["alpha"]) - i["power"]

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if gap(middle) < 0 else (low, middle)
    return high


def welch(i: dict[str, Any]) -> dict[str, float]:
    bernoulli = "sum_squares" not in i["a"]
    levels = [mean_level(sums(i[arm]), bernoulli=bernoulli) for arm in ("a", "b")]
    effect = difference(*levels, "relative")
    low, high = effect.interval()
    return {
        "effect": effect.estimate, "ci_low": low, "ci_high": high, "lo": low, "hi": high,
        "se": effect.standard_error, "p": effect.p_value(),
    }  # fmt: skip


def sequential_proportions(i: dict[str, Any]) -> dict[str, float]:
    effect = difference(*(mean_level(sums(i[arm]), bernoulli=True) for arm in ("a", "b")), "relative")
    sd = effect.standard_error * math.sqrt(effect.units)
    half = sequential.asymptotic_half_width(sd, effect.units, 0.05, 5000)
    low, high = effect.estimate - half, effect.estimate + half
    return {"effect": effect.estimate, "lo": low, "hi": high, "se": effect.standard_error}


def ratio_with_cuped(_: object) -> dict[str, float]:
    arms = [Moments.from_sums(100, s, p) for s, p in zip(RATIO_SUMS, RATIO_PRODUCTS, strict=True)]
    effect = difference(*adjusted_ratios(*arms), "relative")
    low, high = effect.interval()
    return {"effect": effect.estimate, "lo": low, "hi": high, "se": effect.standard_error, "p": effect.p_value()}


def cuped_identity(i: dict[str, Any]) -> dict[str, float]:
    x, y = np.array(i["x"]), np.array(i["y"])
    arm = Moments.of(y, x)
    adjusted = adjusted_means(arm, arm)[0].variance * len(x)
    return {
        "theta": slope_of(x, y), "rho": float(np.corrcoef(x, y)[0, 1]), "var_y": y.var(ddof=1), "var_adj": adjusted,
    }  # fmt: skip


def posterior_of(estimate: float, se: float, mean: float = 0.0, sd: float = math.inf) -> dict[str, float]:
    found = bayes.posterior(estimate, se, mean, sd)
    low, high = found.interval()
    return {"effect": found.mean, "sd": found.sd, "lo": low, "hi": high, "ctw": found.chance_to_win()}


def posterior_of_shares(i: dict[str, Any]) -> dict[str, float]:
    arms = [Moments.from_sums(n, [k], [[k]]) for k, n in (i["a"], i["b"])]
    effect = difference(*(mean_level(arm, bernoulli=True) for arm in arms), "relative")
    return posterior_of(effect.estimate, effect.standard_error)


def posterior_with_prior(i: dict[str, Any]) -> dict[str, float]:
    # The means of GrowthBook's TestNorm: 100 of 10 and 105 of 10 units, sums of squares 1002.25 and 1111.5.
    arms = [Moments.from_sums(10, [s], [[q]]) for s, q in ((100, 1002.25), (105, 1111.5))]
    effect = difference(*(mean_level(arm) for arm in arms), "relative")
    return posterior_of(effect.estimate, effect.standard_error, i["prior_mean"], math.sqrt(i["prior_var"]))


def quantile_effect(i: dict[str, Any]) -> dict[str, float]:
    levels = [
        quantiles.quantile_level(i[f"n_{arm}"], i[f"q_{arm}"], i[f"lower_{arm}"], i[f"upper_{arm}"]) for arm in "ct"
    ]
    low, high = quantiles.difference_interval(*levels)
    return {"effect": difference(*levels).estimate, "lo": low, "hi": high}


def rejections(i: dict[str, Any]) -> list[int]:
    return [int(np.sum(adjust(i["p"]) <= 0.05)) for adjust in (multiple.benjamini_hochberg, multiple.bonferroni)]


def discrepancy(_: object) -> float:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2000, 64)), rng.standard_normal((2000, 64))
    y[:, :4] += 0.1
    return two_sample.mmd(x, y, permutations=1).statistic


def eppo_bound(i: dict[str, Any]) -> float:
    """Eppo's bound is the two-sided normal mixture at variance t, in standard errors √t."""
    t, alpha = i["t"], 1 - i["c"]
    return confidence_sequences.normal_mixture_bound(t, alpha, i["Ntune"], alpha) / math.sqrt(t)


def statsig_critical(i: dict[str, Any]) -> float:
    """What Statsig's documented formula comes to: a mixture whose variance is a fixed share of the data's."""
    n = 1000.0  # units an arm, of variance 1: any number gives the same
    v = 2.0 / n
    tau = stats.norm.isf(i["alpha"] / 2) ** 2 * 2.0 / (2.0 * n)
    return math.sqrt((v + tau) / tau * (-2 * math.log(i["alpha"] / 2) - math.log(v / (v + tau))))


HANDLERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("power", "two-sample t n per group"): lambda i: power.sample_size_means(
        i["cohen_d"], i["alpha"], i["power"], i["alternative"]
    ),
    ("power", "two-sample z n per group"): lambda i: power.sample_size_means(
        i["effect"], i["alpha"], i["power"], method="z"
    ),
    ("power", "proportion effect size h"): lambda i: power.cohen_h(i["p1"], i["p2"]),
    ("power", "n per group 10%->11% pooled-null (Fleiss)"): lambda i: power.sample_size_proportions(
        i["p1"], i["p2"], i["alpha"], i["power"], "pooled"
    ),
    ("power", "total n two arms (G*Power)"): lambda i: (
        2 * power.sample_size_means(i["mde"] / math.sqrt(i["var"]), i["alpha"], i["power"])
    ),
    ("power", "GrowthBook power, relative effect 5%, 3 variations"): lambda i: power.power_of_effect(
        i["effect"], relative_standard_error(i, i["effect"]), i["alpha"]
    ),
    ("power", "EXACT power of the AsympCS test at the final look (same inputs)"): lambda i: power.power_of_effect(
        i["effect"], relative_standard_error(i, i["effect"]), i["alpha"], sequential_critical(i)
    ),
    ("power", "GrowthBook sequential MDE 80%"): sequential_mde,
    ("delta-method", "absolute variance of difference"): lambda i: power.difference_variance(
        i["varA"], i["nA"], i["varB"], i["nB"]
    ),
    ("fixed test", "Welch t, relative (delta method) effect"): welch,
    ("fixed test", "proportions, relative, variance p(1-p)"): welch,
    ("fixed test", "pooled two-proportion z"): lambda i: list(
        proportions.pooled_z(i["count"][0], i["nobs"][0], i["count"][1], i["nobs"][1])
    ),
    ("fixed test", "CI difference of proportions agresti-caffo"): lambda i: list(
        proportions.agresti_caffo(i["c1"], i["n1"], i["c2"], i["n2"], i["alpha"])
    ),
    ("fixed test", "Wilson interval 5/50"): lambda i: list(proportions.wilson(i["count"], i["nobs"])),
    ("SRM", "chi-square p"): lambda i: sample_ratio.chi_square(i["users"], i["weights"]),
    ("SRM", "Statsig docs 3-arm example (units 166.08k/171.18k/166.30k)"): lambda i: sample_ratio.chi_square(
        i["users"], i["weights"]
    ),
    (
        "SRM sequential",
        "SSRM log marginal likelihoods [M1,M0] after each batch (Dirichlet(1,1,1) prior)",
    ): lambda i: sample_ratio.log_marginals(i["batches"], i["null"], i["dirichlet_alpha"]),
    ("sequential", "GrowthBook/Waudby-Smith rho"): lambda i: sequential.asymptotic_rho(i["alpha"], i["Nstar"]),
    (
        "sequential",
        "AsympCS half-width, unit variance of the scaled effect (s2=1)",
    ): lambda i: sequential.asymptotic_half_width(1.0, i["n"], i["alpha"], i["Nstar"]),
    ("sequential", "gb sequential proportions N*=5000"): sequential_proportions,
    ("sequential", "Statsig mSPRT critical value at equal split (independent of n!)"): statsig_critical,
    ("sequential", "Eppo bound B (x standard error)"): eppo_bound,
    ("sequential", "confseq two-sided normal mixture best_rho"): lambda i: confidence_sequences.normal_mixture_rho(
        i["v_opt"], i["alpha_opt"]
    ),
    (
        "sequential",
        "confseq two-sided normal log mixture s=10,v=100",
    ): lambda i: confidence_sequences.normal_log_mixture(i["s"], i["v"], i["v_opt"]),
    (
        "sequential",
        "gamma_exponential_mixture_bound",
    ): lambda i: confidence_sequences.gamma_exponential_mixture_bound(i["v"], i["alpha"], i["v_opt"], i["c"]),
    (
        "sequential",
        "beta_binomial_mixture_bound two-sided",
    ): lambda i: confidence_sequences.beta_binomial_mixture_bound(
        i["v"], i["alpha"], i["v_opt"], i["g"], i["h"], one_sided=False
    ),
    ("sequential", "poly_stitching_bound"): lambda i: confidence_sequences.poly_stitching_bound(
        i["v"], i["alpha"], i["v_min"], i["c"]
    ),
    ("sequential", "confseq bernoulli_confidence_interval"): lambda i: list(
        confidence_sequences.bernoulli_interval(i["successes"], i["trials"], i["alpha"], i["t_opt"])
    ),
    (
        "sequential quantile",
        "confseq QuantileABTest p (A=1..1000, B=A+offset)",
    ): lambda i: quantiles.sequential_quantile_p_value(
        np.arange(1, 1001), np.arange(1, 1001) + i["offset"], i["quantile"], t_opt=i["t_opt"], alpha_opt=i["alpha_opt"]
    ),
    (
        "group sequential",
        "Lan-DeMets O'Brien-Fleming-type bounds, 5 equal looks, two-sided .05",
    ): lambda i: sequential.spending_boundaries(i["t"], 0.05, "obrien_fleming"),
    (
        "group sequential",
        "power-family spending alpha*t^2 (Spotify confidence), 5 equal looks two-sided .05",
    ): lambda i: sequential.spending_boundaries(i["t"], 0.05, i["phi"]),
    (
        "CUPED",
        "variance identity Var(Y-theta X)=Var(Y)(1-rho^2) exactly when theta=Cov/Var in the same sample",
    ): cuped_identity,
    ("CUPED", "ratio metric with CUPED (gb RegressionAdjustedRatioStatistic)"): ratio_with_cuped,
    ("multiple testing", "Holm-Bonferroni"): lambda i: multiple.holm(i["p"]),
    ("multiple testing", "Benjamini & Hochberg 1995 data: #rejected at .05 (BH, Bonferroni)"): rejections,
    ("Bayesian", "flat-prior Gaussian effect, proportions 49/100 v 51/100"): posterior_of_shares,
    ("Bayesian", "informative prior N(.1,.1 var)"): posterior_with_prior,
    ("Bayesian", "P(B>A), Beta(1,1) priors, 49/100 v 51/100"): lambda i: bayes.chance_of_higher_share(*i["a"], *i["b"]),
    ("bandit", "P(best) 3 independent normals"): lambda i: bandits.p_best(i["mean"], i["sd"]),
    ("quantile", "gb quantile (nu=.9) absolute, flat prior"): quantile_effect,
    ("drift", "wasserstein_distance"): lambda i: two_sample.wasserstein(i["u"], i["v"]).statistic,
    ("drift", "wasserstein_distance weighted 2"): lambda i: two_sample.wasserstein_distance(
        i["u"], i["v"], i["uw"], i["vw"]
    ),
    ("drift", "energy_distance weighted"): lambda i: two_sample.energy_distance(i["u"], i["v"], i["uw"], i["vw"]),
    ("drift", "jensenshannon base e"): lambda i: two_sample.jensen_shannon(i["p"], i["q"]),
    ("drift", "ks_2samp exact 0..9 vs 5..14"): lambda _: dict(
        zip("Dp", two_sample.ks(np.arange(10), np.arange(5, 15)), strict=True)
    ),
    ("drift", "PSI sum((q-p)ln(q/p))"): lambda i: two_sample.psi_of_shares(i["p"], i["q"]),
    ("drift", "PSI calibrated threshold at alpha=.01, B=10"): lambda i: two_sample.psi_threshold(
        i["n"], i["m"], i["B"], i["alpha"]
    ),
    (
        "drift",
        "MMD^2 2000x64 v 2000x64 (first 4 dims +.1, rng default_rng(0)); sigma=sqrt(median(d^2)/2)",
    ): discrepancy,
}


@pytest.mark.parametrize(
    "item", [i for i in ITEMS if i["name"] != "weight floor identity p_i=f+(1-n f) w_i"], ids=item_id
)
def test_public_number_is_reproduced(item: dict[str, Any]) -> None:
    found, expected = HANDLERS[item["area"], item["name"]](item["inputs"]), item["expected"]
    tolerance = max(item["tolerance"], 1e-12)
    if isinstance(expected, dict):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=tolerance, rel=1e-12), name
    else:
        # Tolerances below an expected number's own digits are met to the digits it was printed with.
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=1e-12)


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(0.1, [0.52, 0.28, 0.1, 0.1]), (0.25, [0.25] * 4), (0.9, [0.25] * 4), (-1.0, [0.7, 0.3, 0.0, 0.0])],
)
def test_weight_floor_raises_every_arm_to_the_floor(floor: float, expected: list[float]) -> None:
    np.testing.assert_allclose(bandits.with_floor([0.7, 0.3, 0.0, 0.0], floor), expected, atol=1e-12)
