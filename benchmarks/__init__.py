"""Measurements of the goals of the project, each run as ``python -m benchmarks.NAME``."""
