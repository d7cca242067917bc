"""Benchmarks of the experiment engine: `python -m benchmarks.experiments --help`."""
