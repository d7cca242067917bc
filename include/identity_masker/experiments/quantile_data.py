"""Quantile metrics: order statistics of all outcomes of an arm, with units as clusters."""

from __future__ import annotations

import duckdb
import numpy as np

from identity_masker.errors import BadInputError
from identity_masker.experiments.design import Experiment
from identity_masker.experiments.metric import Metric
from identity_masker.experiments.outcomes import Outcomes, metric_cells
from identity_masker.experiments.tables import one
from identity_masker.statistics import quantiles
from identity_masker.statistics.effects import Level
from identity_masker.statistics.moments import Moments


def quantile_level(
    connection: duckdb.DuckDBPyConnection,
    experiment: Experiment,
    metric: Metric,
    outcomes: Outcomes,
    arm: int,
    days: int,
) -> Level:
    """The metric's quantile over the outcomes of the units of `arm` that entered on the first `days` days.

    Raises `BadInputError` when there are too few values for the quantile, or they are tied around it.
    """
    nu = metric.quantile or 0.5
    (condition, value), *_ = metric_cells(experiment, metric, outcomes)
    values = (
        f"SELECT e.unit, {value} AS v FROM entry e JOIN outcome o ON o.unit = e.unit "  # noqa: S608
        f"WHERE e.arm = {arm} AND e.day < {days} AND {condition} AND {value} IS NOT NULL"
    )
    count, units = one(connection, f"SELECT count(*), count(DISTINCT unit) FROM ({values})")  # noqa: S608
    around = quantiles.bracket(nu, count) if count else None
    if around is None or units < 2:
        raise BadInputError("too few values for this quantile", got=f"{count} values of {units} units for {nu}")
    shares = ", ".join(f"quantile_cont(v, {share!r})" for share in around)
    low, middle, high = one(connection, f"SELECT {shares} FROM ({values})")  # noqa: S608
    below = _clusters(connection, values, float(middle))
    inflation = max(quantiles.cluster_inflation(below, nu), 1e-12)
    return quantiles.quantile_level(
        count, float(middle), float(low), float(high), inflation=inflation, units=float(units)
    )


def _clusters(connection: duckdb.DuckDBPyConnection, values: str, middle: float) -> Moments:
    """Moments over units of (values at or below the quantile, values)."""
    clusters = (
        f"SELECT count(*) FILTER (v <= {middle!r})::DOUBLE AS b, count(*)::DOUBLE AS n FROM ({values}) GROUP BY unit"  # noqa: S608
    )
    moments = "count(*), avg(b), avg(n), var_pop(b), covar_pop(b, n), var_pop(n)"
    row = one(connection, f"SELECT {moments} FROM ({clusters})")  # noqa: S608
    count, below, size, spread, joint, spread_of_size = (float(each) for each in row)
    scatter = [[spread * count, joint * count], [joint * count, spread_of_size * count]]
    return Moments(count, np.array([below, size]), np.array(scatter))
