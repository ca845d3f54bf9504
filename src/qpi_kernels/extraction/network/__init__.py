"""Extraction by trained networks, `two_step` and `one_step`; begin at `estimator`."""
