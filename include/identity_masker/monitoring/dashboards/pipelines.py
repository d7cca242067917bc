"""Do the DAGs do their work, in time?"""

from __future__ import annotations

from identity_masker.monitoring.dashboards.grafana import Dashboard, lines, number, table

RUN = "a run that succeeded"
FAILED = "a run that failed"
PUSHED, STEP = "a step with a Pushgateway", "{{dag}} {{task}} {{map_index}}"

PIPELINES = Dashboard(
    "pipelines",
    "Masker: pipelines",
    "Airflow: outcome, age, duration and lateness of each DAG, steps, pools, health.",
    (
        table("Newest run", "masker_dag_last_run_state == 1", sparse="a run"),
        number(
            "Last success", "1000 * masker_dag_last_success_timestamp_seconds", "dateTimeFromNow", "{{dag}}", sparse=RUN
        ),
        number(
            "Last failure",
            "1000 * masker_dag_last_failure_timestamp_seconds",
            "dateTimeFromNow",
            "{{dag}}",
            sparse=FAILED,
        ),
        number(
            "Failures in a row",
            "masker_dag_failures_in_a_row",
            "short",
            "{{dag}}",
            thresholds=((1, "orange"), (3, "red")),
        ),
        lines("Duration of the newest success", "masker_dag_run_duration_seconds", "{{dag}}", "s", sparse=RUN),
        lines("Steps of the newest success", "masker_dag_task_duration_seconds", "{{dag}} {{task}}", "s", sparse=RUN),
        lines("Memory of steps at most", "masker_step_peak_memory_bytes", STEP, "bytes", sparse=PUSHED),
        lines("CPU time of steps", "masker_step_cpu_seconds", STEP, "s", sparse=PUSHED),
        lines("Running for", "masker_dag_run_running_seconds", "{{dag}}", "s"),
        lines("Late by", "masker_dag_late_seconds", "{{dag}}", "s"),
        lines("Active runs", "sum by (dag, state) (masker_dag_active_runs)", "{{dag}} {{state}}"),
        number("Paused", "masker_dag_paused", "bool", "{{dag}}"),
        lines("Pools", 'masker_airflow_pool_slots{state!="total"}', "{{pool}} {{state}}"),
        number("Airflow", "masker_airflow_healthy", "bool", "{{component}}"),
        number("Files that do not import", "masker_airflow_import_errors", "short", thresholds=((1, "red"),)),
        number("Training of each alias", "masker_model_training_seconds", "s", "{{alias}} {{semver}}", sparse=RUN),
    ),
)
