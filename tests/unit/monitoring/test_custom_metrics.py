"""Metrics declared in YAML: what is refused, and what a query may do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.errors import BadInputError, MaskerError, NotFoundError, TemporaryError
from identity_masker.monitoring.custom import CustomMetrics, load_metrics
from identity_masker.monitoring.event_views import event_views, rows
from identity_masker.settings import PROJECT

GOOD = {"name": "masker_x", "help": "X.", "labels": ["variant"], "sql": "SELECT variant, 1.5 AS value FROM requests"}


def written(folder: Path, **changes: object) -> Path:
    path = folder / "metrics.yaml"
    path.write_text(yaml.safe_dump({"metrics": [{**GOOD, **changes}]}))
    return path


def test_the_file_of_the_project_is_valid() -> None:
    assert len(load_metrics(PROJECT / "include" / "config" / "metrics.yaml").metrics) >= 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "requests"}, "metrics.0.name"),
        ({"name": "masker_x_total"}, "_total"),
        ({"unit": "seconds"}, "masker_x_seconds"),
        ({"labels": ["value"]}, "no name of a label"),
        ({"labels": ["variant", "variant"]}, "named twice"),
        ({"labels": []}, "gives other columns"),
        ({"colour": "red"}, "metrics.0.colour"),
        ({"kind": "histogram"}, "metrics.0.kind"),
        ({"sql": "SELEC 1"}, "sql of masker_x"),
        ({"sql": "SELECT variant, value FROM payments"}, "payments"),
        ({"sql": "SELECT variant, 'many' AS value FROM requests"}, "gives no number"),
        ({"sql": "CREATE TABLE t AS SELECT 1"}, "one SELECT"),
        ({"sql": "SELECT variant, 1 AS value FROM requests; DROP VIEW requests"}, "one SELECT"),
        ({"sql": "COPY requests TO '/tmp/requests.csv'"}, "one SELECT"),
        ({"sql": "SELECT content AS variant, 1 AS value FROM read_text('/etc/passwd')"}, "sql of masker_x"),
        ({"sql": "SELECT a AS variant, 1 AS value FROM read_csv('http://127.0.0.1/x.csv') t(a)"}, "sql of masker_x"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        load_metrics(written(tmp_path, **changes))


def test_a_name_declared_twice_a_missing_file_and_no_yaml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file of metrics"):
        load_metrics(tmp_path / "metrics.yaml")
    path = tmp_path / "metrics.yaml"
    path.write_text(yaml.safe_dump({"metrics": [GOOD, GOOD]}))
    with pytest.raises(BadInputError, match="declared twice: masker_x"):
        load_metrics(path)
    path.write_text("metrics: [")
    with pytest.raises(BadInputError, match="not YAML"):
        load_metrics(path)


@given(st.text(min_size=1, max_size=60))
def test_no_text_in_place_of_sql_gets_through_or_breaks_the_check(text: str) -> None:
    from identity_masker.monitoring.custom import CustomMetric, check_sql

    metric = CustomMetric.model_validate({**GOOD, "sql": text})
    with event_views({}, memory="64MB") as connection, pytest.raises(MaskerError):
        check_sql(connection, metric)


def test_a_query_that_takes_too_long_ends() -> None:
    slow = "SELECT count(*) AS value FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3"
    with event_views({}, memory="64MB") as connection, pytest.raises(TemporaryError, match=r"more than 0\.2 s"):
        rows(connection, slow, seconds=0.2)


def test_a_query_cannot_give_itself_more_rights() -> None:
    with event_views({}, memory="64MB") as connection:
        for statement in ("SET enable_external_access = true", "SET memory_limit = '8GB'", "INSTALL httpfs"):
            with pytest.raises(TemporaryError):
                rows(connection, statement, seconds=5)


def test_defaults_are_bounded() -> None:
    found = CustomMetrics()
    assert (found.days, found.seconds, found.memory) == (8, 20.0, "256MB")


def test_the_views_hold_the_window_alone_and_say_where_it_ends() -> None:
    until = datetime(2026, 11, 3, tzinfo=UTC)
    with event_views({}, memory="64MB", since=until - timedelta(days=1), until=until) as connection:
        found = rows(connection, "SELECT epoch(until()) - epoch(since()) AS value", seconds=5)
    assert found == [{"value": 86_400.0}]
