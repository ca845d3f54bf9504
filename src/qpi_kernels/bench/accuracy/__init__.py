"""Benchmark of the estimators' accuracy on simulated maps with known truth."""
