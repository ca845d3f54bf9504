"""Simulated maps for the benchmark of blind extraction."""
