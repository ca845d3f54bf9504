"""Benchmarks that anyone can run; each claim is a ratio measured within one run."""
