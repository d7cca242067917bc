"""For each alert: series under which it fires and series under which it does not, as promtool writes them.

`EXPRESSION xN` of promtool: a value each `step` minutes. A case is looked at after `minutes`.
"""

from __future__ import annotations

from typing import NamedTuple

Series = dict[str, str]


class Case(NamedTuple):
    """`fires` and `silent`: series → values. The alert is looked at after `minutes`."""

    fires: Series
    silent: Series
    minutes: int
    step: int = 1


def _one(series: str, fires: str, silent: str, minutes: int = 30) -> Case:
    return Case({series: fires}, {series: silent}, minutes)


def _age(series: str, seconds: int) -> Case:
    """A timestamp of 0, whose age is the time of the test, looked at well beyond `seconds`; and one that keeps up."""
    step = max(1, seconds // 60 // 20)
    after = 30 * step
    return Case({series: "0x30"}, {series: f"0+{60 * step}x30"}, after, step)


def _requests(failing: int, good: int) -> Series:
    route = 'masker_gateway_requests_total{route="/v1/mask"'
    return {f'{route},status="200"}}': f"0+{good}x400", f'{route},status="503"}}': f"0+{failing}x400"}


def _answers(slow: int, all_: int) -> Series:
    name = "masker_gateway_request_duration_seconds"
    return {
        f'{name}_bucket{{route="/v1/mask",le="1.0"}}': f"0+{all_ - slow}x400",
        f'{name}_count{{route="/v1/mask"}}': f"0+{all_}x400",
    }


_DISK = '{device="/dev/sda1",fstype="ext4",mountpoint="/"}'

CASES: dict[str, Case] = {
    # 2 % fail: 20 times the budget. 0.05 % fail: half of it.
    "AvailabilityBudgetBurnsFast": Case(_requests(20, 980), _requests(1, 1999), 70),
    "AvailabilityBudgetBurnsSlowly": Case(_requests(4, 996), _requests(1, 1999), 760, 2),
    "LatencyBudgetBurnsFast": Case(_answers(200, 1000), _answers(5, 1000), 70),
    "LatencyBudgetBurnsSlowly": Case(_answers(40, 1000), _answers(5, 1000), 760, 2),
    "TargetDown": _one('up{job="gateway",instance="a:1"}', "0x30", "1x30"),
    "NoModelServer": Case(
        {'masker_fleet_servers_wanted{version="1"}': "2x30", 'masker_gateway_servers{state="ready"}': "0x30"},
        {'masker_fleet_servers_wanted{version="1"}': "2x30", 'masker_gateway_servers{state="ready"}': "1x30"},
        30,
    ),
    "ModelServersMissing": Case(
        {
            'masker_fleet_servers_wanted{version="1"}': "2x30",
            'masker_fleet_servers{version="1",state="failed"}': "2x30",
        },
        # Two fleets of a cluster each see both of its servers.
        {
            f'masker_fleet_{name},instance="{fleet}"}}': "2x30"
            for name in ('servers_wanted{version="1"', 'servers{version="1",state="ready"')
            for fleet in ("a:9101", "b:9101")
        },
        30,
    ),
    "ModelServerRestarts": _one('masker_fleet_restarts_total{version="1"}', "0+1x30", "0x15 1x15"),
    "ServersFull": Case(
        {'masker_server_places_taken{job="server"}': "62x30", 'masker_server_places{job="server"}': "64x30"},
        {'masker_server_places_taken{job="server"}': "8x30", 'masker_server_places{job="server"}': "64x30"},
        30,
    ),
    "ControlDatabaseDown": _one('masker_fleet_control_database_up{job="fleet"}', "0x30", "1x30"),
    "EventLogDrops": _one('masker_event_log_dropped_total{kind="requests",reason="log_full"}', "0x20 5x10", "5x30"),
    "CanaryRolledBack": _one('masker_rollouts_ended_total{outcome="rolled_back"}', "0x10 1x20", "3x30"),
    "CanaryLostItsLease": _one(
        'masker_gateway_decisions_total{variant="champion",fallback="lease"}', "0x20 7x10", "7x30"
    ),
    "RolloutWaitsForPerson": _one("masker_rollout_waits_for_person", "1x300", "0x250 1x50", 300),
    "SampleRatioMismatch": _one('masker_experiment_sample_ratio_ok{experiment="e"}', "0x30", "1x30"),
    "ExperimentUnhealthy": Case(
        {
            'masker_experiment_healthy{experiment="e"}': "0x30",
            'masker_experiment_sample_ratio_ok{experiment="e"}': "1x30",
        },
        {
            'masker_experiment_healthy{experiment="e"}': "0x30",
            'masker_experiment_sample_ratio_ok{experiment="e"}': "0x30",
        },
        30,
    ),
    "ExperimentNotEvaluated": Case(
        {
            'masker_experiment_evaluated_timestamp_seconds{experiment="e"}': "0x30",
            'masker_experiment_running{experiment="e"}': "1x30",
        },
        {
            'masker_experiment_evaluated_timestamp_seconds{experiment="e"}': "0x30",
            'masker_experiment_running{experiment="e"}': "0x30",
        },
        2900,
        100,
    ),
    "DriftFound": _one('masker_drift_verdict{version="1",verdict="drift"}', "1x30", "0x30"),
    "DriftSchemaChanged": _one('masker_drift_verdict{version="1",verdict="schema_changed"}', "1x30", "0x30"),
    "DriftNotChecked": _age('masker_drift_window_end_timestamp_seconds{version="1"}', 180_000),
    "EventsNotCompacted": _age("masker_events_whole_until_timestamp_seconds", 10_800),
    "DatasetOld": _age('masker_dataset_created_timestamp_seconds{dataset="d",version="1.0.0"}', 2_592_000),
    "IngestionStale": _age('masker_dag_last_success_timestamp_seconds{dag="ingest_faces"}', 129_600),
    "DagFailed": _one('masker_dag_failures_in_a_row{dag="train_masker"}', "1x30", "0x30"),
    "DagFailsAgainAndAgain": _one('masker_dag_failures_in_a_row{dag="train_masker"}', "3x30", "2x30"),
    "DagLate": _one('masker_dag_late_seconds{dag="keep_house"}', "1000x30", "60x30"),
    "DagRunsLong": _one('masker_dag_run_running_seconds{dag="train_masker"}', "30000x30", "3000x30"),
    "DagDoesNotImport": _one("masker_airflow_import_errors", "1x30", "0x30"),
    "AirflowUnhealthy": _one('masker_airflow_healthy{component="scheduler"}', "0x30", "1x30"),
    "DiskNearlyFull": Case(
        {f"node_filesystem_avail_bytes{_DISK}": "5x30", f"node_filesystem_size_bytes{_DISK}": "100x30"},
        {f"node_filesystem_avail_bytes{_DISK}": "50x30", f"node_filesystem_size_bytes{_DISK}": "100x30"},
        30,
    ),
    "DiskFullSoon": Case(
        {f"node_filesystem_avail_bytes{_DISK}": "1000-1x700", f"node_filesystem_size_bytes{_DISK}": "3000x700"},
        {f"node_filesystem_avail_bytes{_DISK}": "1000x700", f"node_filesystem_size_bytes{_DISK}": "3000x700"},
        600,
    ),
    "MemoryShort": Case(
        {"node_memory_MemAvailable_bytes": "5x30", "node_memory_MemTotal_bytes": "100x30"},
        {"node_memory_MemAvailable_bytes": "50x30", "node_memory_MemTotal_bytes": "100x30"},
        30,
    ),
    "GpuMemoryFull": Case(
        {'masker_gpu_memory_used_bytes{gpu="0"}': "99x30", 'masker_gpu_memory_total_bytes{gpu="0"}': "100x30"},
        {'masker_gpu_memory_used_bytes{gpu="0"}': "50x30", 'masker_gpu_memory_total_bytes{gpu="0"}': "100x30"},
        30,
    ),
    "ExporterSourceDown": _one('masker_exporter_source_up{source="airflow"}', "0x30", "0x20 1x3 0x5"),
    "CustomMetricFails": _one('masker_exporter_custom_metric_ok{metric="m"}', "0x30", "1x30"),
    "AlertsBacklog": _age('masker_alert_deliveries_oldest_due_timestamp_seconds{channel="slack"}', 900),
    "AlertsNotSent": _one('masker_alert_deliveries_lost{channel="slack",state="given_up"}', "0x10 2x20", "2x30"),
}
