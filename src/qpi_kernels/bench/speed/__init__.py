"""Benchmark of run times and memory, as ratios measured in one run."""
