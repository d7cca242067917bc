"""Recorded state as metrics: the exporter, metrics declared in YAML, the catalogue, the dashboards."""
