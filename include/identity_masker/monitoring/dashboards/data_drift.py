"""Is the data fresh, and does the traffic still look like it?"""

from __future__ import annotations

from identity_masker.monitoring.dashboards.grafana import Dashboard, Panel, Query, lines, number, table

NIGHT = "a night of check_drift"
INGESTION = "an ingestion"

DATA_DRIFT = Dashboard(
    "data-drift",
    "Masker: data and drift",
    "Datasets and their age, the event log, and the nightly comparison of the traffic with the training data.",
    (
        table("Verdict on the newest window", "masker_drift_verdict == 1", sparse=NIGHT),
        number(
            "Columns with drift",
            "sum by (version) (masker_drift_column_drift)",
            "short",
            "version {{version}}",
            sparse=NIGHT,
            thresholds=((1, "orange"),),
        ),
        number(
            "Last window ended",
            "1000 * masker_drift_window_end_timestamp_seconds",
            "dateTimeFromNow",
            "version {{version}}",
            sparse=NIGHT,
        ),
        lines(
            "Effect by column",
            'masker_drift_column_score{score="effect"}',
            "{{column}}",
            sparse=NIGHT,
            help="In spreads of the reference; a column drifts at its floor and beyond, when that is significant too.",
        ),
        lines("PSI by column", 'masker_drift_column_score{score="psi"}', "{{column}}", sparse=NIGHT),
        lines(
            "Adjusted p-value by column",
            'masker_drift_column_score{score="adjusted_p_value"}',
            "{{column}}",
            sparse=NIGHT,
        ),
        lines(
            "Estimated outcomes",
            "masker_drift_estimate",
            "{{version}} {{outcome}} {{bound}}",
            sparse=NIGHT,
            help="Such as the identity leak: from the examiner's scores, corrected by the labels that there are.",
        ),
        number("Requests in the window", "masker_drift_requests", "short", "version {{version}}", sparse=NIGHT),
        number("Asked for a training", "masker_drift_retrain", "bool", "version {{version}}", sparse=NIGHT),
        number("Windows judged", "masker_drift_windows", "short", "version {{version}}", sparse=NIGHT),
        number(
            "Newest valid version",
            "1000 * masker_dataset_created_timestamp_seconds",
            "dateTimeFromNow",
            "{{dataset}} {{version}}",
            sparse=INGESTION,
        ),
        number("Versions", "masker_dataset_versions", "short", "{{dataset}} {{state}}", sparse=INGESTION),
        number("Pictures", "masker_dataset_images", "short", "{{dataset}} {{split}}", sparse=INGESTION),
        number("People", "masker_dataset_people", "short", "{{dataset}}", sparse=INGESTION),
        number("What became of the input", "masker_dataset_ingested_images", "short", "{{outcome}}", sparse=INGESTION),
        lines("Events that wait for compaction", "masker_events_waiting_bytes", "{{kind}}", "bytes"),
        Panel(
            "Lag of the event store",
            (Query("time() - masker_events_whole_until_timestamp_seconds", "whole up to"),),
            "s",
            sparse="a whole hour of events",
        ),
        lines("Hours that are not whole", "masker_events_missing_hours", "{{kind}}", sparse="a whole hour of events"),
    ),
)
