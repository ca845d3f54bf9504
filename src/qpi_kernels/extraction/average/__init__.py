"""Extraction by averaging over the defects; begin at `estimator`."""
