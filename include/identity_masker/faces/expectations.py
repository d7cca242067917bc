"""Rules as Great Expectations suites: one suite and checkpoint a table, and Data Docs that people can read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from identity_masker.errors import BadInputError, MaskerError
from identity_masker.faces.findings import EXAMPLES, Finding
from identity_masker.faces.rules import Rule, Table
from identity_masker.faces.tables import KEYS

if TYPE_CHECKING:
    import pandas as pd

_PARTNER = "near_duplicate_of"
SITE = Path("gx/uncommitted/data_docs/local_site")
"""Where the Data Docs lie under the working folder."""


def judge(
    tables: Mapping[Table, pd.DataFrame], rules: Mapping[str, Rule], folder: Path, run_name: str
) -> list[Finding]:
    """Check `rules` on `tables`, in the order of the rules; `folder` receives the context and the Data Docs.

    `run_name` is what the Data Docs call this run.

    Raises `BadInputError` for a rule on a column that its table does not have.
    """
    _check_columns(tables, rules)
    context = _context(folder)
    found: dict[str, Finding] = {}
    for table, rows in tables.items():
        mine = {name: rule for name, rule in rules.items() if rule.table == table}
        if rows.empty:
            found |= {name: _nothing_to_check(name, rule) for name, rule in mine.items()}
        elif mine:
            found |= _judge_table(context, table, rows, mine, run_name)
    return [found[name] for name in rules]


def needed(tables: Mapping[Table, pd.DataFrame], rules: Mapping[str, Rule]) -> dict[Table, pd.DataFrame]:
    """Of `tables` only what `judge` looks at, so that the rest need not be kept; raises as it does.

    Numbers come in 64 bits: Great Expectations copies all columns for each rule, and compares numbers of 32 bits one
    by one in Python.
    """
    _check_columns(tables, rules)
    return {table: _narrow(table, rows, rules) for table, rows in tables.items()}


def _narrow(table: Table, rows: pd.DataFrame, rules: Mapping[str, Rule]) -> pd.DataFrame:
    wanted = {KEYS[table], _PARTNER, *(rule.column for rule in rules.values() if rule.table == table)}
    chosen = rows[[name for name in rows.columns if name in wanted]]
    wide = {"float32": "float64", "int32": "int64"}
    return chosen.astype({name: wide[str(kind)] for name, kind in chosen.dtypes.items() if str(kind) in wide})


def _details(rule: Rule, failing: list[dict[str, Any]], key: str | None, rows: pd.DataFrame) -> tuple[str, ...]:
    """The value of each example, and of a near duplicate the other picture."""
    if key is None or not failing or "unexpected" in failing[0]:
        return ()
    values = [row.get(rule.column) for row in failing if key in row]
    if not rule.column.startswith("near_duplicates"):
        return tuple(f"{value:.3g}" if isinstance(value, float) else str(value) for value in values)
    partners = rows.set_index(key)[_PARTNER]
    return tuple(f"like {partners[row[key]]}" for row in failing if key in row)


def _check_columns(tables: Mapping[Table, pd.DataFrame], rules: Mapping[str, Rule]) -> None:
    for name, rule in rules.items():
        columns = list(tables[rule.table].columns)
        if rule.column not in columns:
            raise BadInputError(
                "a rule names a column that its table does not have",
                got=f"{rule.column!r} in the rule {name}",
                allowed=f"a column of {rule.table}: {', '.join(columns)}",
                fix="correct the rule in include/config/datasets",
            )


def _context(folder: Path) -> Any:
    import great_expectations as gx

    context = gx.get_context(mode="file", project_root_dir=str(folder))
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    return context


def _judge_table(
    context: Any, table: Table, rows: pd.DataFrame, rules: Mapping[str, Rule], run_name: str
) -> dict[str, Finding]:
    import great_expectations as gx

    batch = (
        context.data_sources.add_pandas(f"{table}_source")
        .add_dataframe_asset(table)
        .add_batch_definition_whole_dataframe("version")
    )
    suite = context.suites.add(gx.ExpectationSuite(table))
    for name, rule in rules.items():
        suite.add_expectation(_expectation(name, rule))
    validation = context.validation_definitions.add(gx.ValidationDefinition(name=table, data=batch, suite=suite))
    key = KEYS[table]
    result_format = {"result_format": "COMPLETE", "partial_unexpected_count": EXAMPLES}
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=table,
            validation_definitions=[validation],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs")],
            result_format=result_format | ({"unexpected_index_column_names": [key]} if key else {}),
        )
    )
    run = checkpoint.run(batch_parameters={"dataframe": rows}, run_id=gx.RunIdentifier(run_name=run_name))
    (outcome,) = run.run_results.values()
    judged = {result.expectation_config.meta["rule"]: result for result in outcome.results}
    return {name: _finding(name, rule, judged[name], key, rows) for name, rule in rules.items()}


def _expectation(name: str, rule: Rule) -> Any:
    import great_expectations.expectations as gxe

    told = {
        "column": rule.column,
        "meta": {"rule": name},
        "notes": f"{rule.why}. To fix: {rule.fix}.",
        "severity": "critical" if rule.severity == "stop" else "warning",
    }
    if rule.between is not None:
        low, high = rule.between
        return gxe.ExpectColumnValuesToBeBetween(min_value=low, max_value=high, mostly=rule.mostly, **told)
    if rule.mean_between is not None:
        low, high = rule.mean_between
        return gxe.ExpectColumnMeanToBeBetween(min_value=low, max_value=high, **told)
    if rule.unique:
        return gxe.ExpectColumnValuesToBeUnique(**told)
    return gxe.ExpectColumnValuesToBeInSet(value_set=list(rule.one_of or ()), mostly=rule.mostly, **told)


def _nothing_to_check(name: str, rule: Rule) -> Finding:
    return Finding(
        rule=name, severity=rule.severity, table=rule.table, ok=True, asks=rule.asks(), checked=0, failed=0,
        why=rule.why, fix=rule.fix,
    )  # fmt: skip


def _finding(name: str, rule: Rule, outcome: Any, key: str | None, rows: pd.DataFrame) -> Finding:
    if outcome.exception_info.get("raised_exception"):
        raise MaskerError("a rule could not be checked", got=f"{name}: {outcome.exception_info['exception_message']}")
    result = outcome.result
    failing = result.get("partial_unexpected_index_list") or []
    observed = result.get("observed_value")
    if observed is None and len(rows) == 1:
        observed = rows[rule.column].iloc[0]
    return Finding(
        rule=name,
        severity=rule.severity,
        table=rule.table,
        ok=bool(outcome.success),
        asks=rule.asks(),
        checked=len(rows),
        failed=int(result.get("unexpected_count") or 0),
        observed=None if observed is None else f"{observed:.4g}",
        examples=tuple(str(row[key]) for row in failing if key in row) if key else (),
        details=_details(rule, failing, key, rows),
        why=rule.why,
        fix=rule.fix,
    )
