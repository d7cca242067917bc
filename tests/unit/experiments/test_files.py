"""From files to evidence, checked against what numpy and polars say of the same data."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.experiments.evidence import Reading
from identity_masker.experiments.gather import gather

Make = Callable[..., Any]
MASKS = {"name": "masks", "kind": "count", "role": "goal"}
SPENT = {"name": "spent", "kind": "mean", "role": "goal"}


def per_unit(world: Any, rows: pl.DataFrame, column: str = "value") -> np.ndarray:
    """Sum of a unit's outcomes, in the order of the units."""
    sums = dict(rows.group_by("user").agg(pl.col(column).sum()).iter_rows())
    return np.array([sums.get(unit, 0.0) for unit in world.units])


def agrees(found: Reading, y: np.ndarray, arm: np.ndarray) -> None:
    a, b = y[arm == 0], y[arm == 1]
    assert (found.control_units, found.treatment_units) == (a.size, b.size)
    assert (found.control, found.treatment) == pytest.approx((a.mean(), b.mean()), rel=1e-9)
    assert found.standard_error == pytest.approx(math.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size), rel=1e-9)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_counts_means_and_proportions_of_long_outcomes(design: Make, world: Make, tmp_path: Path, suffix: str) -> None:
    w = world()
    masks = w.happen("masks", 2.0)
    spent = w.happen("spent", 0.4, value=2.5)
    w.happen("spent", 0.4, hours=(25.0, 40.0))  # after the window
    w.happen("unused", 1.0)
    exposures, outcomes = w.files()
    if suffix == "csv":
        pl.read_parquet(exposures).write_csv(tmp_path / "e.csv")
        pl.read_parquet(outcomes).write_csv(tmp_path / "o.csv")
        exposures, outcomes = str(tmp_path / "e.csv"), str(tmp_path / "o.csv")
    kept = {"name": "kept", "kind": "proportion", "outcome": "masks"}
    found = gather(design(metrics=[MASKS, SPENT, kept]), exposures, outcomes)
    readings = {each.name: each.latest for each in found.metrics}
    agrees(readings["masks"], per_unit(w, masks), w.arm)
    agrees(readings["spent"], per_unit(w, spent), w.arm)
    agrees(readings["kept"], (per_unit(w, masks) > 0).astype(float), w.arm)
    assert found.missing_days == ()
    assert found.counts.units == 2000


def test_wide_outcomes_with_and_without_times_agree(design: Make, world: Make, tmp_path: Path) -> None:
    w = world()
    y = w.rng.gamma(2.0, 1.0, w.units.size)
    wide = pl.DataFrame({"user": w.units, "spent": y})
    plain = gather(design(metrics=[SPENT]), *w.files(outcomes=wide)).metrics[0].latest
    agrees(plain, y, w.arm)
    timed = wide.with_columns(pl.Series("timestamp", w.entered + np.timedelta64(3600, "s")))
    exact = gather(design(metrics=[SPENT]), *w.files(outcomes=timed)).metrics[0].latest
    assert (exact.control, exact.standard_error) == pytest.approx((plain.control, plain.standard_error))


def test_several_rows_a_unit_are_summed_in_wide_outcomes(design: Make, world: Make) -> None:
    w = world()
    y = w.rng.gamma(2.0, 1.0, w.units.size)
    halves = pl.DataFrame({"user": np.tile(w.units, 2), "spent": np.tile(y / 2, 2)})
    agrees(gather(design(metrics=[SPENT]), *w.files(outcomes=halves)).metrics[0].latest, y, w.arm)


def test_without_times_all_data_are_one_final_look(design: Make, world: Make) -> None:
    w = world()
    exposures = pl.DataFrame({"user": w.units, "variant": w.names[w.arm]})
    wide = pl.DataFrame({"user": w.units, "spent": w.rng.normal(size=2000)})
    found = gather(design(metrics=[SPENT]), *w.files(exposures, wide))
    assert not found.timed
    assert [look.day for look in found.metrics[0].looks] == [5]
    assert len(found.arms) == 1


def test_numbers_as_units_and_seconds_or_milliseconds_as_times(design: Make, world: Make) -> None:
    w = world()
    rows = w.happen("masks", 2.0)
    code = {unit: at for at, unit in enumerate(w.units)}
    seconds = (w.entered - np.datetime64(0, "us")) / np.timedelta64(1, "s")
    exposures = pl.DataFrame({"user": np.arange(2000), "variant": w.names[w.arm], "timestamp": seconds})
    outcomes = rows.with_columns(
        pl.col("user").replace_strict(code, return_dtype=pl.Int64), pl.col("timestamp").dt.epoch("ms")
    )
    agrees(gather(design(), *w.files(exposures, outcomes)).metrics[0].latest, per_unit(w, rows), w.arm)


def test_only_days_whose_window_is_over_are_read(design: Make, world: Make) -> None:
    w = world()
    rows = w.happen("masks", 2.0)
    found = gather(design(), *w.files(), as_of=datetime(2026, 11, 6, 12, tzinfo=UTC))
    assert (found.days, found.mature["masks"]) == (4, 3)
    early = (w.entered - np.datetime64("2026-11-02T00:00:00", "us")) < np.timedelta64(3, "D")
    y = per_unit(w, rows)
    agrees(found.metrics[0].latest, y[early], w.arm[early])
    assert [look.day for look in found.metrics[0].looks] == [1, 2, 3]


def test_delay_moves_the_beginning_of_the_window(design: Make, world: Make) -> None:
    w = world()
    w.happen("masks", 2.0, hours=(0.0, 11.9))
    late = w.happen("masks", 2.0, hours=(12.1, 24.0))
    found = gather(design(metrics=[MASKS | {"delay": "12h"}]), *w.files())
    agrees(found.metrics[0].latest, per_unit(w, late), w.arm)


def test_first_exposure_counts_and_units_of_two_variants_are_left_out(design: Make, world: Make) -> None:
    w = world()
    rows = w.happen("masks", 2.0)
    base = w.exposures()
    again = base.with_columns(pl.col("timestamp") + timedelta(hours=3))
    both = base.head(30).with_columns(pl.Series("variant", w.names[1 - w.arm[:30]]))
    found = gather(design(), *w.files(pl.concat([again, base, both])))
    assert found.counts.multiple_exposure == 30
    agrees(found.metrics[0].latest, per_unit(w, rows)[30:], w.arm[30:])


def test_ratio_uses_the_delta_method_with_units_as_clusters(design: Make, world: Make) -> None:
    w = world()
    tries = w.happen("tries", 3.0)
    wins = w.happen("wins", 1.0)
    ratio = {"name": "won", "kind": "ratio", "role": "goal", "outcome": "wins", "denominator": "tries"}
    found = gather(design(metrics=[ratio]), *w.files()).metrics[0].latest
    n, d = per_unit(w, wins), per_unit(w, tries)
    variances = []
    for arm in (0, 1):
        a, b = n[w.arm == arm], d[w.arm == arm]
        residual = (a - a.mean() / b.mean() * b) / b.mean()
        variances.append(residual.var(ddof=1) / residual.size)
    assert found.control == pytest.approx(n[w.arm == 0].sum() / d[w.arm == 0].sum())
    assert found.standard_error == pytest.approx(math.sqrt(sum(variances)), rel=1e-9)


def test_mean_per_event_is_a_ratio_over_the_count(design: Make, world: Make) -> None:
    w = world()
    rows = w.happen("latency", 3.0, value=7.0)
    ratio = {"name": "latency", "kind": "ratio", "role": "goal", "denominator": "count"}
    found = gather(design(metrics=[ratio]), *w.files()).metrics[0].latest
    assert found.control == pytest.approx(7.0)
    assert len(rows) > 0


def test_cuped_reads_the_time_before_exposure(design: Make, world: Make) -> None:
    w = world()
    habit = w.rng.gamma(3.0, 1.0, w.units.size)
    before = w.happen("masks", habit, hours=(-48.0, 0.0))
    after = w.happen("masks", habit)
    found = gather(design(metrics=[MASKS | {"covariate": "2d"}]), *w.files())
    x, y = per_unit(w, before), per_unit(w, after)
    centred = [(x[w.arm == k] - x[w.arm == k].mean(), y[w.arm == k] - y[w.arm == k].mean()) for k in (0, 1)]
    theta = sum(a @ b for a, b in centred) / sum(a @ a for a, _ in centred)
    adjusted = y - theta * (x - x.mean())
    latest = found.metrics[0].latest
    assert latest.estimate == pytest.approx(adjusted[w.arm == 1].mean() - adjusted[w.arm == 0].mean(), rel=1e-6)
    assert latest.standard_error == pytest.approx(
        math.sqrt(sum(adjusted[w.arm == k].var(ddof=1) / (w.arm == k).sum() for k in (0, 1))), rel=1e-4
    )
    assert found.metrics[0].imbalance is not None
    assert found.counts.outcomes_before_exposure == len(before)


def test_cuped_reads_a_column_of_wide_outcomes(design: Make, world: Make) -> None:
    w = world()
    x = w.rng.normal(size=2000)
    wide = pl.DataFrame({"user": w.units, "spent": x + w.rng.normal(size=2000), "spent_before": x})
    found = gather(design(metrics=[SPENT | {"covariate": "7d"}]), *w.files(outcomes=wide)).metrics[0].latest
    plain = gather(design(metrics=[SPENT]), *w.files(outcomes=wide)).metrics[0].latest
    assert (found.standard_error or 1) / (plain.standard_error or 1) == pytest.approx(math.sqrt(0.5), abs=0.05)


def test_winsorising_caps_the_values(design: Make, world: Make) -> None:
    w = world()
    y = w.rng.lognormal(0.0, 1.5, w.units.size)
    wide = pl.DataFrame({"user": w.units, "spent": y})
    for rule, limit in (({"value": 5.0}, 5.0), ({"quantile": 0.95}, np.quantile(y, 0.95))):
        found = gather(design(metrics=[SPENT | {"winsorise": rule}]), *w.files(outcomes=wide)).metrics[0]
        agrees(found.latest, np.minimum(y, limit), w.arm)
        assert found.limit == pytest.approx(limit)


def test_quantile_with_clusters(design: Make, world: Make) -> None:
    w = world(seed=4)
    metric = {"name": "latency", "kind": "quantile", "quantile": 0.9, "role": "goal"}
    rows = w.happen("latency", 3.0)
    rows = rows.with_columns(pl.Series("value", w.rng.lognormal(size=len(rows))))
    found = gather(design(metrics=[metric]), *w.files(outcomes=rows)).metrics[0].latest
    arm = dict(zip(w.units, w.arm, strict=True))
    values = rows["value"].to_numpy()
    control = values[np.array([arm[unit] for unit in rows["user"]]) == 0]
    assert found.control == pytest.approx(np.quantile(control, 0.9))
    density = stats.lognorm(1.0).pdf(stats.lognorm(1.0).ppf(0.9))
    assert found.standard_error == pytest.approx(math.sqrt(0.09 * 2 / control.size) / density, rel=0.2)


def test_post_stratification_narrows(design: Make, world: Make) -> None:
    w = world()
    device = w.rng.integers(0, 2, 2000)
    wide = pl.DataFrame({"user": w.units, "spent": device * 4.0 + w.rng.normal(size=2000)})
    exposures = w.exposures(device=np.array(["phone", "tv"])[device])
    analysis = {"window": "1d", "scale": "absolute"}
    plain = gather(design(metrics=[SPENT], analysis=analysis), *w.files(exposures, wide)).metrics[0].latest
    inside = analysis | {"stratify_by": "device", "segments": ["device"]}
    found = gather(design(metrics=[SPENT], analysis=inside), *w.files(exposures, wide)).metrics[0]
    assert (found.latest.standard_error or 1) / (plain.standard_error or 1) == pytest.approx(1 / math.sqrt(5), abs=0.03)
    assert [(each.attribute, each.value) for each in found.segments] == [("device", "phone"), ("device", "tv")]
    agrees(found.segments[0].reading, wide["spent"].to_numpy()[device == 0], w.arm[device == 0])


def test_duplicated_events_are_counted_once(design: Make, world: Make) -> None:
    w = world()
    rows = w.happen("masks", 2.0)
    found = gather(design(), *w.files(outcomes=pl.concat([rows, rows.head(50)])))
    assert found.counts.duplicated_outcomes == 50
    agrees(found.metrics[0].latest, per_unit(w, rows), w.arm)
    named = rows.with_row_index("event_id")
    found = gather(design(), *w.files(outcomes=pl.concat([named, named.head(7)])))
    assert found.counts.duplicated_outcomes == 7


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
def test_values_that_are_no_numbers_leave_no_estimate(design: Make, world: Make, bad: float | None) -> None:
    w = world()
    w.happen("masks", 1.0)
    spent = w.happen("spent", 1.0)
    broken = spent.with_columns(pl.when(pl.int_range(pl.len()) < 3).then(pl.lit(bad)).otherwise("value").alias("value"))
    outcomes = pl.concat([w.outcomes[0], broken])
    found = gather(design(metrics=[MASKS, SPENT]), *w.files(outcomes=outcomes))
    by_name = {each.name: each.latest for each in found.metrics}
    assert found.counts.invalid_outcomes == {"spent": 3}
    assert by_name["spent"].problem == "invalid_values"
    assert by_name["spent"].estimate is None
    assert by_name["masks"].estimate is not None


def test_a_wide_table_with_missing_values_leaves_no_estimate(design: Make, world: Make) -> None:
    w = world()
    values = w.rng.normal(size=2000)
    values[:5] = np.nan
    wide = pl.DataFrame({"user": w.units, "spent": values})
    found = gather(design(metrics=[SPENT]), *w.files(outcomes=wide))
    assert found.metrics[0].latest.problem == "invalid_values"


def test_one_empty_arm_and_zero_variance_are_problems_not_numbers(design: Make, world: Make) -> None:
    w = world()
    alone = w.exposures().filter(pl.col("variant") == "control")
    wide = pl.DataFrame({"user": w.units, "spent": np.ones(2000)})
    assert gather(design(metrics=[SPENT]), *w.files(alone, wide)).metrics[0].latest.problem == "empty_arm"
    flat = gather(design(metrics=[SPENT]), *w.files(outcomes=wide)).metrics[0].latest
    assert (flat.problem, flat.estimate) == ("zero_variance", None)
    zero = wide.with_columns(pl.lit(0.0).alias("spent"))
    relative = gather(design(metrics=[SPENT], analysis={"window": "1d"}), *w.files(outcomes=zero)).metrics[0].latest
    assert relative.problem in ("zero_variance", "control_is_zero")


def test_missing_days_are_named(design: Make, world: Make) -> None:
    w = world()
    rows = w.happen("masks", 2.0)
    third = pl.col("timestamp").dt.date() == datetime(2026, 11, 4).date()
    found = gather(design(), *w.files(w.exposures().filter(~third), rows))
    assert found.missing_days == (2,)
    found = gather(design(), *w.files(outcomes=rows.filter(~third)))
    assert found.missing_days == (2,)


def test_entries_outside_the_schedule_are_left_out(design: Make, world: Make) -> None:
    w = world()
    w.happen("masks", 2.0)
    schedule = {"days": 2, "start": "2026-11-03T00:00:00Z", "minimum_days": 0}
    found = gather(design(schedule=schedule), *w.files())
    day = (w.entered - np.datetime64("2026-11-02T00:00:00", "us")) // np.timedelta64(1, "D")
    inside = int(np.isin(day, [1, 2]).sum())
    assert (found.counts.units, found.counts.outside_schedule) == (inside, 2000 - inside)


def test_weight_changes_are_compared_within_periods(design: Make, world: Make) -> None:
    """Simpson's paradox: the days differ much, and the treatment's share grew; within days there is no effect."""
    w = world(seed=3, units=6000)
    late = w.entered >= np.datetime64("2026-11-05T00:00:00", "us")
    w.arm = (w.rng.random(6000) < np.where(late, 0.9, 0.1)).astype(int)
    wide = pl.DataFrame({"user": w.units, "spent": late * 10.0 + w.rng.normal(size=6000)})
    changes = [{"at": "2026-11-05T00:00:00Z", "weights": {"control": 0.1, "warm": 0.9}}]
    variants = {"control": {"model": "m", "weight": 0.9}, "warm": {"model": "m", "weight": 0.1}}
    naive = gather(design(metrics=[SPENT]), *w.files(outcomes=wide)).metrics[0].latest
    found = gather(design(metrics=[SPENT], variants=variants, weight_changes=changes), *w.files(outcomes=wide))
    latest = found.metrics[0].latest
    assert (naive.estimate or 0) > 5.0
    assert abs(latest.estimate or 9) < 4 * (latest.standard_error or 0)
    assert {each.weights for each in found.arms} == {(0.9, 0.1), (0.1, 0.9)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda e, o: (e.rename({"variant": "colour"}), o), "variant"),
        (lambda e, o: (e.rename({"user": "who"}), o), "unit"),
        (lambda e, o: (e.with_columns(pl.lit("purple").alias("variant")), o), "purple"),
        (lambda e, o: (e.head(0), o), "no exposure"),
        (lambda e, o: (e.drop("timestamp"), o), "times"),
        (lambda e, o: (e, o.drop("outcome")), "metrics"),
        (lambda e, o: (e, o.rename({"user": "who"})), "unit"),
    ],
)
def test_files_with_wrong_columns_are_refused(design: Make, world: Make, change: Any, says: str) -> None:
    w = world(units=200)
    rows = w.happen("masks", 1.0)
    with pytest.raises(BadInputError, match=says):
        gather(design(), *w.files(*change(w.exposures(), rows)))


def test_covariates_and_segments_that_are_not_there_are_refused(design: Make, world: Make) -> None:
    w = world(units=200)
    wide = pl.DataFrame({"user": w.units, "spent": w.rng.normal(size=200)})
    with pytest.raises(BadInputError, match="spent_before"):
        gather(design(metrics=[SPENT | {"covariate": "7d"}]), *w.files(outcomes=wide))
    with pytest.raises(BadInputError, match="device"):
        gather(design(metrics=[SPENT], analysis={"segments": ["device"]}), *w.files(outcomes=wide))


def test_files_that_are_missing_or_of_another_format_are_refused(design: Make, world: Make, tmp_path: Path) -> None:
    w = world(units=50)
    w.happen("masks", 1.0)
    exposures, outcomes = w.files()
    with pytest.raises(NotFoundError):
        gather(design(), str(tmp_path / "none.parquet"), outcomes)
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    with pytest.raises(BadInputError):
        gather(design(), exposures, str(tmp_path / "broken.parquet"))


def test_a_folder_of_parquet_files_is_one_table(design: Make, world: Make, tmp_path: Path) -> None:
    w = world()
    rows = w.happen("masks", 2.0)
    exposures, _ = w.files()
    (tmp_path / "parts").mkdir()
    rows.head(1000).write_parquet(tmp_path / "parts" / "a.parquet")
    rows.slice(1000).write_parquet(tmp_path / "parts" / "b.parquet")
    agrees(gather(design(), exposures, str(tmp_path / "parts")).metrics[0].latest, per_unit(w, rows), w.arm)


def test_names_with_quotes_stay_names(design: Make, world: Make) -> None:
    w = world(units=300)
    rows = w.happen('it\'s "odd"', 2.0)
    found = gather(design(metrics=[MASKS | {"outcome": 'it\'s "odd"'}]), *w.files())
    agrees(found.metrics[0].latest, per_unit(w, rows), w.arm)
