"""Benchmark of the preparation on maps with known truth, beside other programs."""
