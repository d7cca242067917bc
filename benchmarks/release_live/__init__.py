"""Releases under live traffic, measured: python -m benchmarks.release_live"""
