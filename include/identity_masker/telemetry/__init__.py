"""Logs, metrics and events of every process."""
