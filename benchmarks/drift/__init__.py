"""Benchmarks of the drift engine: `python -m benchmarks.drift --help`."""
