from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.stack import airflow_settings


def write(folder: Path, text: str) -> Path:
    path = folder / "airflow_settings.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_file_sets_connections_variables_and_pools() -> None:
    environment = airflow_settings.environment(airflow_settings.DEFAULT_PATH)
    assert json.loads(environment["AIRFLOW_CONN_MASKER_GATEWAY"]) == {
        "conn_type": "http",
        "host": "127.0.0.1",
        "schema": "http",
        "port": 8000,
    }
    assert environment["AIRFLOW_VAR_MASKER_MODEL"] == "masker-64"
    assert set(airflow_settings.pools(airflow_settings.DEFAULT_PATH)) == {"steps", "gpu"}


def test_shipped_file_leaves_heavy_steps_to_local_processes() -> None:
    assert "AIRFLOW_CONN_KUBERNETES_MASKER" not in airflow_settings.environment(airflow_settings.DEFAULT_PATH)


def test_every_pool_counts_deferred_tasks(tmp_path: Path) -> None:
    path = write(tmp_path, "airflow: {pools: [{pool_name: gpu, pool_slot: 4, pool_description: cards}]}")
    assert airflow_settings.pools(path) == {"gpu": {"slots": 4, "description": "cards", "include_deferred": True}}


def test_connection_keeps_its_extra_as_an_object(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "airflow: {connections: [{conn_id: kubernetes_masker, conn_type: kubernetes, "
        "conn_extra: {namespace: masker, in_cluster: false}}]}",
    )
    text = airflow_settings.environment(path)["AIRFLOW_CONN_KUBERNETES_MASKER"]
    assert json.loads(text) == {"conn_type": "kubernetes", "extra": {"namespace": "masker", "in_cluster": False}}


def test_connection_uri_goes_through_unchanged(tmp_path: Path) -> None:
    path = write(tmp_path, "airflow: {connections: [{conn_id: mail, conn_uri: 'smtp://u:p@mail:25'}]}")
    assert airflow_settings.environment(path) == {"AIRFLOW_CONN_MAIL": "smtp://u:p@mail:25"}


def test_entries_without_a_name_are_skipped_as_in_the_astro_scaffold(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "airflow: {connections: [{conn_id: , conn_type: }], pools: [{pool_name: , pool_slot: }], "
        "variables: [{variable_name: , variable_value: }]}",
    )
    assert airflow_settings.environment(path) == {}
    assert airflow_settings.pools(path) == {}


def test_numbers_become_text_in_variables(tmp_path: Path) -> None:
    path = write(tmp_path, "airflow: {variables: [{variable_name: retries, variable_value: 3}]}")
    assert airflow_settings.environment(path) == {"AIRFLOW_VAR_RETRIES": "3"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("airflow: {pools: [{pool_name: gpu, slots: 1}]}", "slots"),
        ("airflow: [", "expected"),
        ("{}", "airflow"),
        ("airflow: {connections: [{conn_id: x, conn_type: http, conn_port: 99999}]}", "conn_port"),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        airflow_settings.read(write(tmp_path, text))


def test_pool_without_slots_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="gpu"):
        airflow_settings.pools(write(tmp_path, "airflow: {pools: [{pool_name: gpu}]}"))


def test_connection_without_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="conn_type or conn_uri"):
        airflow_settings.environment(write(tmp_path, "airflow: {connections: [{conn_id: x, conn_host: h}]}"))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.yaml"):
        airflow_settings.read(tmp_path / "nowhere.yaml")


def test_pools_are_printed_for_airflow_pools_import() -> None:
    command = [sys.executable, "-m", "identity_masker.stack.airflow_settings"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == airflow_settings.pools(airflow_settings.DEFAULT_PATH)
