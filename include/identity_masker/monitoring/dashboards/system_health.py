"""Does the system work for its users?"""

from __future__ import annotations

from identity_masker.monitoring.dashboards.grafana import Dashboard, Panel, Query, lines, number, table

ROUTE = 'route="/v1/mask"'

SYSTEM_HEALTH = Dashboard(
    "system-health",
    "Masker: system health",
    "Traffic, errors and latency at the gateway, the objectives, and what does not answer.",
    (
        lines(
            "Requests", f"sum by (status) (rate(masker_gateway_requests_total{{{ROUTE}}}[5m]))", "{{status}}", "reqps"
        ),
        Panel(
            "Unavailable",
            (
                Query("masker:unavailable:ratio_rate5m", "5 minutes"),
                Query("masker:unavailable:ratio_rate1h", "1 hour"),
                Query("masker:unavailable:ratio_rate6h", "6 hours"),
            ),
            "percentunit",
            help="Share of the requests answered with 5xx. Objective: at most 0.1 %.",
        ),
        Panel(
            "Slower than a second",
            (
                Query("masker:slow:ratio_rate5m", "5 minutes"),
                Query("masker:slow:ratio_rate1h", "1 hour"),
                Query("masker:slow:ratio_rate6h", "6 hours"),
            ),
            "percentunit",
            help="Objective: at most 1 %.",
        ),
        Panel(
            "Time to the answer",
            tuple(
                Query(
                    f"histogram_quantile({q}, sum by (le) "
                    f"(rate(masker_gateway_request_duration_seconds_bucket{{{ROUTE}}}[5m])))",
                    f"{q:.0%}",
                )
                for q in (0.5, 0.95, 0.99)
            ),
            "s",
        ),
        Panel(
            "In flight",
            (
                Query("sum(masker_gateway_places_taken)", "gateway"),
                Query("sum(masker_server_places_taken)", "model servers"),
                Query("sum(masker_server_queue_length)", "waiting for the model"),
            ),
        ),
        lines(
            "Refused by the gateway", "sum by (reason) (rate(masker_gateway_rejected_total[5m]))", "{{reason}}", "reqps"
        ),
        lines(
            "Refused by model servers",
            "sum by (reason) (rate(masker_server_rejected_total[5m]))",
            "{{reason}}",
            "reqps",
        ),
        lines(
            "Model servers",
            "max by (version, state) (masker_fleet_servers)",
            "{{version}} {{state}}",
            help="The fleets of a cluster each see all of them.",
        ),
        lines("Restarts", "max by (version) (increase(masker_fleet_restarts_total[1h]))", "{{version}}"),
        number("Answering Prometheus", "min by (job) (up)", "bool", "{{job}}"),
        table("Alerts", 'count by (alertname, severity, area) (ALERTS{alertstate="firing"}) or vector(0)'),
        lines(
            "Requests sent to a second server",
            "sum(rate(masker_gateway_retries_total[5m]))",
            "retries",
            "reqps",
            help="A model server was full, draining or gone.",
        ),
        lines("Event log", "sum by (kind) (rate(masker_event_log_appended_total[5m]))", "{{kind}}", "reqps"),
        lines(
            "Events lost", "sum by (reason) (increase(masker_event_log_dropped_total[1h])) or vector(0)", "{{reason}}"
        ),
        lines("Control database read", "time() - masker_gateway_control_read_timestamp_seconds", "{{instance}}", "s"),
        lines("Alerts that wait", "sum by (channel) (masker_alert_deliveries_waiting) or vector(0)", "{{channel}}"),
        lines("Open incidents", "sum by (area, severity) (masker_alert_incidents_open) or vector(0)", "{{area}}"),
        number("Sources of the exporter", "masker_exporter_source_up", "bool", "{{source}}"),
    ),
)
