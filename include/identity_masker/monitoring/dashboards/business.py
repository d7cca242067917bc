"""What do users do, and what is it worth?"""

from __future__ import annotations

from identity_masker.monitoring.dashboards.grafana import Dashboard, lines, number

HOUR = "a whole hour of events"
OUTCOMES = "outcome events of users"
TWO_DAYS = "users of the day before"

BUSINESS = Dashboard(
    "business",
    "Masker: business",
    "By variant, from the event log up to the last whole hour; include/config/metrics.yaml says how each is counted.",
    (
        lines(
            "Pictures an hour",
            "sum by (variant) (increase(masker_business_masks_total[1h]))",
            "{{variant}}",
            sparse=HOUR,
        ),
        lines("Users of the last 24 hours", "masker_business_users", "{{variant}}", sparse=HOUR),
        lines("Pictures a user", "masker_business_masks_per_user", "{{variant}}", sparse=HOUR),
        lines(
            "Retention from one day to the next",
            "masker_business_retention_ratio",
            "{{variant}}",
            "percentunit",
            sparse=TWO_DAYS,
        ),
        lines("Revenue of the last 24 hours", "masker_business_revenue", "{{variant}}", sparse=OUTCOMES),
        lines("Revenue a user", "masker_business_revenue_per_user", "{{variant}}", sparse=HOUR),
        number(
            "Revenue a user against the champion",
            "masker_business_revenue_per_user - on () group_left () "
            'masker_business_revenue_per_user{variant="champion"}',
            "short",
            "{{variant}}",
            sparse=HOUR,
            help="The difference alone proves nothing: experiments say what a variant caused.",
        ),
        lines("Leaks reported in the last 24 hours", "masker_business_leaks_reported", "{{variant}}", sparse=OUTCOMES),
        lines(
            "Outcome events an hour",
            "sum by (name) (increase(masker_business_outcomes_total[1h]))",
            "{{name}}",
            sparse=OUTCOMES,
        ),
        number("Queries that succeed", "masker_exporter_custom_metric_ok", "bool", "{{metric}}", sparse=HOUR),
        number(
            "Counted up to", "1000 * masker_exporter_events_until_timestamp_seconds", "dateTimeFromNow", sparse=HOUR
        ),
    ),
)
