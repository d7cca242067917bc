"""Grafana's dashboards, as data: what each panel asks, and the JSON that Grafana reads."""
