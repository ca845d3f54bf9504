"""Benchmark of the estimators where the model of the map is wrong."""
