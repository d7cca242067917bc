"""How do the versions perform?"""

from __future__ import annotations

from identity_masker.monitoring.dashboards.grafana import Dashboard, Panel, Query, lines, number, table

ROLLOUT = "a rollout"

MODEL_PERFORMANCE = Dashboard(
    "model-performance",
    "Masker: model performance",
    "Answers and latency by variant and version, what the model's time goes to, quality, and the rollout under way.",
    (
        lines("Answers", "sum by (variant, version) (masker:answers:rate5m)", "{{variant}} {{version}}", "reqps"),
        lines(
            "Answers by outcome",
            "sum by (variant, outcome) (masker:answers:rate5m)",
            "{{variant}} {{outcome}}",
            "reqps",
        ),
        Panel(
            "Time to the answer",
            (
                Query("masker:answer_seconds:p50_5m", "{{variant}} {{version}} 50 %"),
                Query("masker:answer_seconds:p95_5m", "{{variant}} {{version}} 95 %"),
                Query("masker:answer_seconds:p99_5m", "{{variant}} {{version}} 99 %"),
            ),
            "s",
        ),
        lines(
            "Where a picture's time goes",
            "sum by (stage) (rate(masker_server_stage_seconds_sum[5m]))"
            " / sum by (stage) (rate(masker_server_stage_seconds_count[5m]) > 0)",
            "{{stage}}",
            "s",
        ),
        lines(
            "Pictures a call",
            "sum by (job) (rate(masker_server_batch_size_sum[5m]))"
            " / sum by (job) (rate(masker_server_batch_size_count[5m]) > 0)",
            "mean",
        ),
        lines(
            "Time of a call",
            "histogram_quantile(0.95, sum by (le) (rate(masker_server_inference_seconds_bucket[5m])))",
            "95 %",
            "s",
        ),
        table("Served", "max by (version, semver, sha256) (masker_model_info)"),
        number("Load and warm-up", "max by (instance) (masker_server_model_load_seconds)", "s", "{{instance}}"),
        table("Aliases", "masker_model_alias_info"),
        number(
            "Age",
            "time() - masker_model_registered_timestamp_seconds",
            "s",
            "{{alias}} {{semver}}",
            help="Since the registration.",
        ),
        number(
            "Re-identification of the masked",
            'masker_model_evaluation{figure=~"attack.*masked.*rank1"}',
            "percentunit",
            "{{alias}} {{figure}}",
            help="Share of the people that an attacker still finds, by attacker; lower is better.",
        ),
        number(
            "Use of the masked",
            'masker_model_evaluation{figure=~"utility.*masked"}',
            "short",
            "{{alias}} {{figure}}",
            help="What pose, expression, gaze and light can still be told from, by group; see docs/model.md.",
        ),
        lines("Shares", "sum by (variant, semver) (masker_gateway_share)", "{{variant}} {{semver}}", "percentunit"),
        lines("Routing revision", "max(masker_gateway_routing_revision)", "revision"),
        table("Rollout", "masker_rollout_info", sparse=ROLLOUT),
        table("Phase and verdict", "masker_rollout_phase == 1 or masker_rollout_verdict == 1", sparse=ROLLOUT),
        Panel(
            "Progress of the rollout",
            (
                Query("masker_rollout_stage + 1", "stage"),
                Query("masker_rollout_stages", "of"),
                Query("masker_rollout_looks", "looks"),
            ),
            sparse=ROLLOUT,
        ),
        lines(
            "Evidence against the canary",
            "masker_rollout_metric_e_value",
            "{{metric}}",
            help="E-values of the judge: from 1/alpha on the canary is rolled back.",
            sparse="a look of a rollout",
        ),
        number("Rollouts", "sum by (outcome) (masker_rollouts_ended_total)", "short", "{{outcome}}"),
        lines(
            "Fallbacks to the champion",
            'sum by (fallback) (rate(masker_gateway_decisions_total{fallback!=""}[5m])) or vector(0)',
            "{{fallback}}",
            "reqps",
        ),
    ),
)
