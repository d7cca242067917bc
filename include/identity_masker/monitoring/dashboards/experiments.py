"""What do the A/B tests say, and can they be trusted?"""

from __future__ import annotations

from identity_masker.monitoring.dashboards.grafana import Dashboard, Panel, Query, lines, number, table

EVALUATION = "an evaluation of an experiment"

EXPERIMENTS = Dashboard(
    "ab-tests",
    "Masker: A/B tests",
    "The experiments of include/config/experiments: progress, health, decisions and effects.",
    (
        number("Running", "masker_experiment_running", "bool", "{{experiment}}"),
        Panel(
            "Day",
            (
                Query("masker_experiment_day", "{{experiment}}: day"),
                Query("masker_experiment_days", "{{experiment}}: of"),
            ),
            kind="stat",
        ),
        number("Weights", "masker_experiment_weight", "percentunit", "{{experiment}} {{variant}}"),
        number("Shares as designed", "masker_experiment_sample_ratio_ok", "bool", "{{experiment}}", sparse=EVALUATION),
        number(
            "Sample ratio: p-value",
            "masker_experiment_sample_ratio_p_value",
            "short",
            "{{experiment}}",
            sparse=EVALUATION,
            help="Small: the variants did not get their shares, and the results cannot be trusted.",
        ),
        number("Data in order", "masker_experiment_healthy", "bool", "{{experiment}}", sparse=EVALUATION),
        lines("Units", "masker_experiment_units", "{{experiment}} {{variant}}", sparse=EVALUATION),
        table("Decisions", "masker_experiment_decision == 1", sparse=EVALUATION),
        number(
            "Evaluated up to",
            "1000 * masker_experiment_evaluated_timestamp_seconds",
            "dateTimeFromNow",
            "{{experiment}}",
            sparse=EVALUATION,
        ),
        lines(
            "Effects",
            "masker_experiment_effect",
            "{{experiment}} {{variant}} {{metric}} {{bound}}",
            sparse=EVALUATION,
            help="Against the control; the interval holds at every scheduled look.",
        ),
        table("P-values", "masker_experiment_p_value", sparse=EVALUATION),
        lines(
            "Traffic by variant", "sum by (variant) (rate(masker_gateway_decisions_total[5m]))", "{{variant}}", "reqps"
        ),
        lines(
            "Requests without experiments after an error",
            "sum(rate(masker_gateway_assignment_failures_total[5m]))",
            "failures",
            "reqps",
        ),
    ),
)
